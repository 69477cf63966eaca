"""Changes come to the browser in the order in which they were made, however busy the socket is."""

import threading
from queue import Queue

import panel as pn
import pytest
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from tornado.ioloop import IOLoop

from sigma_scale.gui.app.message_order import keep_message_order


@pytest.fixture
def serve_column():
    """A function that serves a column of one text, and gives its address, document and column."""
    servers = []

    def start(*, is_ordered):
        made, listening = Queue(), Queue()

        def build():
            if is_ordered:
                keep_message_order(pn.state.curdoc)
            column = pn.Column("start")
            made.put((pn.state.curdoc, column))
            return column

        def run():
            server = pn.serve(
                {"/": build}, port=0, address="127.0.0.1", loop=IOLoop(make_current=False),
                start=False, show=False, verbose=False,
            )  # fmt: skip
            server.start()
            listening.put(server)
            server.io_loop.start()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        server = listening.get(timeout=60)
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.port}/", made

    yield start
    for server, thread in servers:
        server.io_loop.add_callback(server.io_loop.stop)
        thread.join(60)


def add_figure_while_the_socket_is_busy(doc, column):
    """As a page does under load: show a figure, then its data, while a message is on its way."""
    (connection,) = doc.session_context.session._subscribed_connections
    points = ColumnDataSource({"x": [1], "y": [1]})
    plot = figure(width=200, height=200)
    plot.scatter("x", "y", source=points)
    with connection._socket.write_lock.acquire().result():
        column[:] = [pn.pane.Bokeh(plot), "ready"]
    points.data = {"x": [1, 2], "y": [2, 3]}


@pytest.mark.parametrize("is_ordered", [True, False])
def test_data_never_come_before_their_figure(browser_page, serve_column, is_ordered):
    broken = []
    browser_page.on("pageerror", lambda error: broken.append(str(error)))
    address, made = serve_column(is_ordered=is_ordered)
    browser_page.goto(address)
    browser_page.get_by_text("start").wait_for()
    doc, column = made.get(timeout=60)
    while not pn.state._connected.get(doc):
        browser_page.wait_for_timeout(20)
    doc.add_next_tick_callback(lambda: add_figure_while_the_socket_is_busy(doc, column))
    browser_page.get_by_text("ready").wait_for()
    # Without the order, Panel's messages are late: should that be mended, so can the module go.
    assert bool(broken) != is_ordered

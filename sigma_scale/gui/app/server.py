"""The server of `sigma-scale view`: one page over the maps that it was started for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import ParameterError
from sigma_scale.gui.app.access import Access, PageAuth, gate, is_loopback
from sigma_scale.gui.app.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bokeh.resources import Resources
    from panel.io.server import Server

    from sigma_scale.store import PathOrUrl

__all__ = ["MapServer", "make_server"]

_FOLLOW_MS = 2000
_LATER_S = 4.0
_LARGEST_PORT = 65535
# The page draws without WebGL, and its texts are no formulas: two million bytes less to read.
_UNUSED_SCRIPTS = ("bokeh-gl", "bokeh-mathjax")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


@dataclass
class MapServer:
    """
    A server that listens already, and answers once it is started.

    Parameters
    ----------
    server : panel.io.server.Server
        Bokeh's server.
    workspace : Workspace
        The maps.
    access : Access
        What requests must show.
    """

    server: Server
    workspace: Workspace
    access: Access

    @property
    def address(self) -> str:
        """Address for a browser, with the token."""
        query = "" if self.access.token is None else f"?token={self.access.token}"
        return f"http://{self.access.hosts[0]}/{query}"

    def serve(self) -> None:
        """Answer until :meth:`stop` is called or the process is interrupted."""
        from tornado.ioloop import PeriodicCallback

        from sigma_scale.gui.app.warm_up import in_background, warm_up_clusters

        following = PeriodicCallback(self.workspace.follow, _FOLLOW_MS)
        try:
            self.server.start()
            following.start()
            # Not before the first page, which needs the processor for itself.
            self.server.io_loop.call_later(_LATER_S, in_background, warm_up_clusters)
            self.server.io_loop.start()
        finally:
            following.stop()
            self.workspace.close()
            self.server.stop(wait=False)

    def stop(self) -> None:
        """End :meth:`serve`, from whatever thread."""
        self.server.io_loop.add_callback(self.server.io_loop.stop)


def make_server(
    paths: Sequence[PathOrUrl],
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    token: str | None = "",
) -> MapServer:
    """
    Open maps and listen for browsers.

    Parameters
    ----------
    paths : sequence of path or URL
        Stores, or folders of results that hold one. Requests only choose among them, by number.
    address : str, default: "127.0.0.1"
        Network interface to listen on.
    port : int, default: 0
        Port; 0: any that is free.
    token : str, optional
        What the address must hold. Empty: a random one; None: none.

    Returns
    -------
    MapServer

    Raises
    ------
    ParameterError
        If there is no map, or the port is none or is taken.
    SigmaScaleError
        If a map can't be opened.
    """
    from sigma_scale.gui.app.warm_up import in_background, warm_up_first_view

    if not paths:
        raise ParameterError("There is no map to show. Name a store or a folder of results.")
    if not 0 <= port <= _LARGEST_PORT:
        raise ParameterError(f"A port is a number from 0 to {_LARGEST_PORT}, not {port}.")
    warming = in_background(warm_up_first_view)
    from sigma_scale.workflow.project import Project

    workspace = Workspace([Project.open(path) for path in paths])
    warming.join()  # Its imports would hold up the first page all the same.
    return _listen(workspace, address, port, secrets.token_urlsafe(24) if token == "" else token)


def _listen(workspace: Workspace, address: str, port: int, token: str | None) -> MapServer:
    import panel as pn
    from tornado.ioloop import IOLoop

    from sigma_scale.gui.app.page import Page

    pn.extension("tabulator")
    taken = _free_port(address, port)
    hosts = _hosts(address, taken)
    access = Access(hosts, token, taken)
    server = pn.serve(
        {"/": lambda: Page(workspace).template()},
        port=taken,
        address=address,
        websocket_origin=list(hosts),
        auth_provider=PageAuth(access),
        title={"/": "sigma-scale"},
        loop=IOLoop(make_current=False),
        start=False,
        show=False,
        verbose=False,
        location=False,
        index=None,
    )
    # Bokeh offers no place of its own for a rule that comes before its routes.
    server._tornado.default_router.rules.insert(0, gate(access))  # noqa: SLF001
    _drop_scripts(server._tornado)  # noqa: SLF001
    return MapServer(server, workspace, access)


def _drop_scripts(application: Any) -> None:
    """Leave out scripts that the page has no use for, which Panel sends with any HTML pane."""
    every: Callable[..., Resources] = application.resources

    def resources(*arguments: Any, **options: Any) -> Resources:
        found = every(*arguments, **options)
        kept = [name for name in found.components if name not in _UNUSED_SCRIPTS]
        return found.clone(components=kept)

    application.resources = resources


def _free_port(address: str, port: int) -> int:
    """Find out which port there is to listen on, and say in words if there is none."""
    import socket

    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            found: int = probe.getsockname()[1]
            return found
    except OSError as error:
        raise ParameterError(
            f"The server can't listen on {address}, port {port}: {error}. Choose another port, or "
            "--port 0 for any that is free."
        ) from error


def _hosts(address: str, port: int) -> tuple[str, ...]:
    """Names under which a browser may ask for the page; the first is the one to print."""
    import socket

    names = [address]
    if address in _EVERYWHERE:
        names = [socket.gethostname().lower(), "127.0.0.1", "localhost"]
    elif is_loopback(address):
        names += ["localhost", "127.0.0.1"] if ":" not in address else ["localhost"]
    listed = [f"[{name}]:{port}" if ":" in name else f"{name.lower()}:{port}" for name in names]
    return tuple(dict.fromkeys(listed))

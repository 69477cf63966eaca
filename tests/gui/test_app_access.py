"""Who is let in to the served page: by raw requests, without a browser."""

from __future__ import annotations

import asyncio
import http.client

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from sigma_scale.errors import ParameterError
from sigma_scale.gui.app import make_server
from sigma_scale.gui.app.access import Access, is_loopback

TOKEN = "a-token-of-the-tests"  # noqa: S105


def ask(server, path="/", method="GET", host=None, **headers):
    """Status, headers and text of an answer."""
    port = server.access.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{port}" if host is None else host)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, dict(answer.getheaders()), text


@pytest.fixture(scope="module")
def cookie(served):
    status, headers, _ = ask(served, f"/?token={TOKEN}")
    assert status == 200
    return headers["Set-Cookie"].partition(";")[0]


def test_the_token_opens_the_page_and_becomes_a_strict_cookie(served):
    status, headers, text = ask(served, f"/?token={TOKEN}")
    assert status == 200
    assert "sigma-scale" in text
    set_cookie = headers["Set-Cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert TOKEN not in set_cookie
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_the_cookie_is_enough(served, cookie):
    status, headers, _ = ask(served, Cookie=cookie)
    assert status == 200
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?token=",
        "/?token=wrong",
        f"/?token={TOKEN}x",
        f"/?token={TOKEN}&token=wrong",
        "/?token=%C3%A4%FF",
        "/ws",
        f"/ws?token={TOKEN}",
        "/metadata",
        "/autoload.js",
        "/static/js/bokeh.min.js",
        "/nothing",
    ],
)
def test_without_the_token_nothing_is_answered(served, path):
    status, headers, text = ask(served, path)
    assert status == 403
    assert "Set-Cookie" not in headers
    assert "printed" in text


def test_a_wrong_cookie_is_refused(served):
    name = served.access.cookie_name
    for value in ("", "wrong", TOKEN, '"\\351"'):
        assert ask(served, Cookie=f"{name}={value}")[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", "[::1]"])
def test_a_forged_host_is_refused(served, cookie, host):
    host = host.format(port=served.access.port)
    assert ask(served, f"/?token={TOKEN}", host=host)[0] in {400, 403}
    assert ask(served, host=host, Cookie=cookie)[0] in {400, 403}


def test_localhost_is_a_name_of_the_loopback(served, cookie):
    assert ask(served, host=f"localhost:{served.access.port}", Cookie=cookie)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(served, cookie, method):
    assert ask(served, method=method)[0] in {403, 405}
    assert ask(served, method=method, Cookie=cookie)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/../../../../../../etc/passwd",
        "/static/extensions/panel/..%2f..%2f..%2f..%2f__init__.py",
        "/static/extensions/..%2f..%2fetc/passwd",
        "/components/panel.io.server/Server/_x/..%2f__init__.py",
        "/first.zarr/zarr.json",
        "/metadata",
        "/autoload.js?bokeh-autoload-element=1",
    ],
)
def test_no_path_of_a_request_is_opened(served, cookie, path):
    status, _, text = ask(served, path, Cookie=cookie)
    assert status in {403, 404}
    assert "root:" not in text
    assert "import" not in text


def test_scripts_are_served_to_the_page(served, cookie):
    assert ask(served, "/static/js/bokeh.min.js", Cookie=cookie)[0] == 200


def connect(server, **headers):
    """Status that opening a socket ends with; 101 is an open one."""

    async def attempt():
        port = server.access.port
        request = HTTPRequest(
            f"ws://127.0.0.1:{port}/ws",
            headers={"Host": f"127.0.0.1:{port}", **headers},
            connect_timeout=60,  # the server may be drawing for other tests
        )
        try:
            socket = await websocket_connect(request, subprotocols=["bokeh", "e30"])
        except HTTPClientError as error:
            return error.code
        socket.close()
        return 101

    return asyncio.run(attempt())


def test_a_socket_needs_cookie_host_and_origin(served, cookie):
    here = f"http://127.0.0.1:{served.access.port}"
    assert connect(served, Cookie=cookie, Origin=here) == 101
    assert connect(served, Origin=here) == 403
    assert connect(served, Cookie=cookie, Origin="http://evil.example") == 403
    assert connect(served, Cookie=cookie, Origin=f"{here}0") == 403
    assert connect(served, Cookie=cookie, Origin=here, Host="evil.example") == 403


def test_without_a_token_hosts_and_origins_still_count(serve, map_stores):
    server = serve(map_stores[:1], token=None)
    assert "token" not in server.address
    assert ask(server)[0] == 200
    assert ask(server, host="evil.example")[0] == 403
    assert connect(server, Origin=f"http://127.0.0.1:{server.access.port}") == 101
    assert connect(server, Origin="http://evil.example") == 403


def test_tokens_are_random(serve, map_stores):
    first, second = (serve(map_stores[:1], token="") for _ in range(2))
    tokens = {first.access.token, second.access.token}
    assert len(tokens) == 2
    assert all(len(token) >= 32 for token in tokens)
    assert first.address.endswith(f"?token={first.access.token}")


def test_the_secret_of_the_cookie_is_not_shown():
    access = Access(("127.0.0.1:1",), "t", 1)
    assert access.secret not in repr(access)


def test_a_port_that_is_taken_is_said(served, map_stores):
    with pytest.raises(ParameterError, match=r"can't listen .* Choose another port"):
        make_server(map_stores[:1], port=served.access.port)


def test_bad_arguments_are_refused(map_stores):
    with pytest.raises(ParameterError, match="no map"):
        make_server([])
    with pytest.raises(ParameterError, match="from 0 to 65535"):
        make_server(map_stores, port=70000)


def test_loopback_addresses():
    assert all(map(is_loopback, ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"]))
    assert not any(map(is_loopback, ["0.0.0.0", "192.168.0.1", "example.org", ""]))  # noqa: S104

"""
Who may see the page: Host headers on a list, a token in the address, then a cookie.

A port of the loopback interface is open to everyone on the machine, and through a forged name to
any page that a browser shows; so neither is trusted.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bokeh.server.auth_provider import AuthProvider
from tornado.routing import Matcher, Rule
from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tornado.httputil import HTTPServerRequest

__all__ = ["Access", "PageAuth", "gate", "is_loopback"]

_METHODS = ("GET", "HEAD")
_SECURITY_HEADERS = {
    # The page is made of scripts that Bokeh writes into it and compiles; all comes from here.
    "Content-Security-Policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """
    What a request must show.

    Parameters
    ----------
    hosts : tuple of str
        Values of the Host header that are served, such as ``"127.0.0.1:5006"``.
    token : str or None
        What the address must hold at first. None: nothing, whoever reaches the port is let in.
    port : int
        Port of the server; cookies don't tell ports apart, so their names do.
    """

    hosts: tuple[str, ...]
    token: str | None
    port: int
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What the cookie holds, so that it doesn't tell the token."""

    @property
    def cookie_name(self) -> str:
        """Name of the cookie."""
        return f"sigma_scale_{self.port}"

    def knows_host(self, request: HTTPServerRequest) -> bool:
        """Whether a request names a host that is served."""
        return request.headers.get("Host", "").lower() in self.hosts

    def knows_token(self, request: HTTPServerRequest) -> bool:
        """Whether the token is in the address of a request for the page."""
        given = request.query_arguments.get("token", [])
        return (
            self.token is not None
            and request.path == "/"
            and len(given) == 1
            and hmac.compare_digest(given[0], self.token.encode())
        )

    def knows_cookie(self, request: HTTPServerRequest) -> bool:
        """Whether a request has the cookie."""
        found = request.cookies.get(self.cookie_name)
        return found is not None and hmac.compare_digest(found.value.encode(), self.secret.encode())

    def lets_in(self, request: HTTPServerRequest) -> bool:
        """Whether a request shows enough to be answered."""
        return self.knows_host(request) and (
            self.token is None or self.knows_cookie(request) or self.knows_token(request)
        )


class PageAuth(AuthProvider):
    """
    Bokeh's question who a user is, answered by an :class:`Access`.

    Parameters
    ----------
    access : Access
        What a request must show.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        super().__init__()

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Function that gives the user of a request, or None."""
        return self._user_of

    @property
    def get_user_async(self) -> Callable[[Any], Awaitable[Any]] | None:
        """Nothing: the answer needs no waiting."""
        return None

    @property
    def get_login_url(self) -> Callable[[Any], str]:
        """Function that is asked where to log in: nowhere."""
        return _no_login

    def _user_of(self, handler: RequestHandler) -> str | None:
        if not self._access.lets_in(handler.request):
            return None
        for name, value in _SECURITY_HEADERS.items():
            handler.set_header(name, value)
        if self._access.knows_token(handler.request):
            handler.set_cookie(
                self._access.cookie_name,
                self._access.secret,
                httponly=True,
                samesite="Strict",
                path="/",
                expires_days=None,
            )
        return "user"


def gate(access: Access) -> Rule:
    """
    Make the rule that comes before all others of the server and refuses who may not come in.

    Bokeh asks its provider for the page and the socket only. The rule holds for scripts and
    anything else as well, and leaves out what the page doesn't need.

    Parameters
    ----------
    access : Access
        What a request must show.

    Returns
    -------
    tornado.routing.Rule
    """
    return Rule(_Refused(access), _Refusal)


def is_loopback(address: str) -> bool:
    """
    Whether only programs on this machine reach an address.

    Parameters
    ----------
    address : str
        Name or number of a network interface.

    Returns
    -------
    bool
    """
    if address.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class _Refused(Matcher):
    """Requests that get no answer but a refusal."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        status = self._status(request)
        return None if status is None else {"target_kwargs": {"status": status}}

    def _status(self, request: HTTPServerRequest) -> int | None:
        if not self._access.lets_in(request):
            return 403
        if request.method not in _METHODS:
            return 405
        known = ("/", "/ws", "/favicon.ico")
        if request.path in known or request.path.startswith("/static/"):
            return None
        return 404


class _Refusal(RequestHandler):
    def initialize(self, status: int) -> None:
        self._status = status

    def prepare(self) -> None:
        # Raised before the method is looked at, so that any method is refused alike.
        raise HTTPError(self._status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ARG002
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        said = {
            403: "Open the whole address that `sigma-scale view` printed, with its token.",
            405: "This page is only looked at: requests other than GET are refused.",
        }
        self.finish(said.get(status_code, "There is nothing here.") + "\n")


def _no_login(handler: RequestHandler) -> str:  # noqa: ARG001 - Bokeh's call
    raise HTTPError(403)

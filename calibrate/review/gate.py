"""Who may ask: one browser, which knows the token; the page's own scripts; and nobody else's page in that browser."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "frame-ancestors 'none'",  # the page says itself what may run in it
}
READING = ("GET", "HEAD")
# A page that goes on by itself: after a redirect, a link from another site would bring no SameSite=Strict cookie.
GO_ON = (
    '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0; url=/"><link rel="icon" href="data:,">'
    "<title>Setpoint</title>"
)


@dataclass
class Key:
    """How the browser is known.

    Attributes:
        port: that is listened on.
        token: in the address that is printed; good once.
        cookie: what the browser shows from then on.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    is_used: bool = False

    @property
    def name(self) -> str:
        """Of the cookie: browsers send cookies of one port to the others of a machine."""
        return f"setpoint-review-{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """As which this server may be asked: a name that somebody pointed at this machine is another."""
        return (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    def knows(self, cookies: str) -> bool:
        """Whether the cookie is among these."""
        try:
            found = SimpleCookie(cookies).get(self.name)
        except CookieError:
            return False
        return found is not None and secrets.compare_digest(found.value.encode(), self.cookie.encode())

    def exchange(self, token: str) -> bool:
        """Whether a token opens; it does once."""
        opens = secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode()) and not self.is_used
        self.is_used |= opens
        return opens


class Gate:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, key: Key) -> None:
        self.app, self.key = app, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let through; every answer gets the headers that keep it to this page."""
        assert scope["type"] == "http"

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(scope["method"], Headers(scope=scope), QueryParams(scope["query_string"]))
        await (answer or self.app)(scope, receive, guarded)

    def _answer(self, method: str, headers: Headers, query: Mapping[str, str]) -> Response | None:
        """What is answered instead; None lets the request through."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self.key.hosts:
            return refused(403, f"Ask for http://{self.key.hosts[0]}/: this server answers under no other name.")
        if not self.key.knows("; ".join(headers.getlist("cookie"))):
            return self._first(method, query)
        if method not in READING and headers.getlist("origin") != [f"http://{hosts[0]}"]:
            return refused(403, "Only the page of this server may send something.")
        if not _from_here(method, headers):
            return refused(403, "Only the page of this server may ask for this.")
        if "token" in query and method in READING:
            return HTMLResponse(GO_ON)
        return None

    def _first(self, method: str, query: Mapping[str, str]) -> Response:
        if method != "GET" or "token" not in query:
            return refused(403, "Open the address that `setpoint review` printed.")
        if self.key.exchange(query["token"]):
            answer = HTMLResponse(GO_ON)
            answer.set_cookie(self.key.name, self.key.cookie, httponly=True, samesite="strict")
            return answer
        if self.key.is_used:
            return refused(403, "This address was used already, and opens once. Start `setpoint review` again.")
        return refused(403, "This is not the address that `setpoint review` printed: its token is another.")


def _from_here(method: str, headers: Headers) -> bool:
    """Whether the browser says that this page asks, or a person who opens an address, where it says anything.

    A strict cookie does not tell: to it, pages of other ports of this machine are of the same site.
    """
    site = headers.get("sec-fetch-site", "same-origin")
    if site == "same-origin" or method not in READING:
        return site == "same-origin"
    return site == "none" or headers.get("sec-fetch-mode") == "navigate"


def refused(status: int, why: str) -> Response:
    """A refusal in words; what was not read of the request is not waited for."""
    return PlainTextResponse(f"{why}\n", status, headers={"connection": "close"})

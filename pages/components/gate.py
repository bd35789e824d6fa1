"""The one door: every request, page, socket and own route passes here before anything else sees it."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.components import session_gate

OWN = "/lab/"  # the prefix of the server's own routes
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
TOKEN_HEADER = "x-replab"  # only a script of our own origin can set it: a form or another site's page cannot

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def content_policy(host: str) -> str:
    """What a page may load: this server only, so that no text on it can call home.

    Streamlit runs components from blob: URLs and its own page has an inline script and inline styles.
    """
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' data: blob:",
            f"connect-src 'self' ws://{host} wss://{host} data: blob:",
            "worker-src 'self' blob:",
            "frame-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def host_name(host: str) -> str | None:
    """The name in a Host header without its port; None if it is no host at all."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises where the port is no number
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname:
        return None
    return parts.hostname.lower().rstrip(".")


def origin_host(origin: str) -> str | None:
    """The host and port of an Origin header, as a Host header would write them; None if it is none."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


class Gate:
    """Pure ASGI middleware: checks who may ask for what, and adds the security headers to each answer.

    Args:
        app: What lies behind.
        hosts: Names that the server is reached by.
        sign_in: Whether only people who are signed in may pass, as on a class server.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], sign_in: bool = False) -> None:
        self.app = session_gate.SessionGate(app) if sign_in else app
        self.sign_in = sign_in
        self.hosts = {host.strip().strip("[]").lower().rstrip(".") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self.refusal(scope, headers)
        if refusal is None:
            await self.app(scope, receive, with_headers(send, headers.get("host", "")))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        else:
            answer = JSONResponse({"error": refusal}, status_code=403, headers=HEADERS)
            await answer(scope, receive, send)

    def refusal(self, scope: Scope, headers: Headers) -> str | None:
        """Why this request is turned away, as one sentence; None lets it in."""
        host = headers.get("host", "")
        if host_name(host) not in self.hosts:
            known = "the name your teacher gave you" if self.sign_in else "localhost or 127.0.0.1"
            return f"This address is not one of the app's: open it under {known}."
        socket, path = scope["type"] == "websocket", str(scope["path"])
        changes = not socket and scope["method"] not in SAFE_METHODS
        form = self.sign_in and path in session_gate.FORMS
        origin = headers.get("origin")
        if (changes or socket) and origin is not None and origin_host(origin) != host:
            return "This request came from another site's page."
        if self.sign_in and origin is None and (socket or (changes and form)):
            return "This request does not say which page it came from: use a browser."
        if changes and path.startswith(OWN) and not form and headers.get(TOKEN_HEADER) != "1":
            return "This request did not come from a page of the app."
        return None


def with_headers(send: Send, host: str) -> Send:
    """`send` that adds the security headers, unless an answer has set one of them itself."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", content_policy(host))
        await send(message)

    return sender

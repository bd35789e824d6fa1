"""The one door: every request, page, socket and own route passes here before anything else sees it."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class Gate:
    """Pure ASGI middleware: checks who may ask for what, and adds the security headers to each answer."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
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
            return "This address is not one of the app's: open it under localhost or 127.0.0.1."
        changes = scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        own = str(scope["path"]).startswith(OWN)
        origin = headers.get("origin")
        if (
            origin is not None
            and (changes or scope["type"] == "websocket")
            and urlsplit(origin).netloc != host
        ):
            return "This request came from another site's page."
        if changes and own and headers.get(TOKEN_HEADER) != "1":
            return "This request did not come from a page of the app."
        # Sign-in of the class server belongs here: the session cookie is checked before the request goes on.
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

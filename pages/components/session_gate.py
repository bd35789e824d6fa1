"""The class server's inner door: the session cookie says who asks; a visitor sees only the sign-in page."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.access import THE_VISITOR, Person, acting_as
from engine.people import sessions

COOKIE = "replab_session"
PROVIDER_COOKIE = "_streamlit_user"  # what Streamlit leaves after a provider vouched for somebody
SIGN_IN, JOIN, PASSWORD, SIGN_OUT = "/lab/sign-in", "/lab/join", "/lab/password", "/lab/sign-out"
WHO, PROVIDER, VOUCHED = "/lab/who", "/lab/provider", "/lab/vouched"
FORMS = frozenset((SIGN_IN, JOIN, PASSWORD))  # posted without script: these check a token of their own
OPEN = frozenset(
    (
        *(SIGN_IN, JOIN, SIGN_OUT, PROVIDER, VOUCHED),
        *("/lab/sign-in.css", "/lab/logo.svg", "/lab/icon.svg"),
        *("/lab/fonts/inter-latin.woff2", "/lab/fonts/inter-latin-ext.woff2"),
        *("/auth/login", "/oauth2callback", "/auth/logout"),
        "/_stcore/health",
    )
)
SESSION_OVER = 4401  # why a socket is closed
MAX_NEXT = 500
NO_STORE = {"Cache-Control": "no-store"}


def token_in(headers: Headers) -> str:
    """The session's token that a request brings; empty without one."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


async def person_of(token: str, seen: bool = True) -> Person | None:
    """Whose session it is, without holding up other requests while the disk is asked."""
    if not token:
        return None
    return sessions.remembered(token) or await run_in_threadpool(sessions.person_of, token, seen)


def safe_next(asked: str) -> str:
    """Where to go after signing in: a page of this site, or Home for anything else."""
    bad = not asked.startswith("/") or asked[1:2] in ("/", "\\") or len(asked) > MAX_NEXT
    bad = bad or "\\" in asked or any(not 0x20 < ord(letter) < 0x7F for letter in asked)
    path = asked.partition("?")[0]
    return "/" if bad or path in OPEN or path in (PASSWORD, WHO) else asked


class SessionGate:
    """Pure ASGI middleware: lets in who is signed in, as themselves; leads visitors to the sign-in page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), str(scope["path"])
        token = token_in(headers)
        person = await person_of(token, seen=path != WHO)  # a page that only looks on is not in use
        if scope["type"] == "websocket":
            if person is None:
                await send({"type": "websocket.close", "code": SESSION_OVER})
            else:  # scripts run in threads of their own, where the session's cookie is asked again
                await self.app(scope, *while_it_lasts(token, receive, send))
        elif person is None and path not in OPEN:
            await turned_away(scope, headers)(scope, receive, send)
        else:
            with acting_as(person or THE_VISITOR):
                await self.app(scope, receive, send if path in OPEN else private(send))


def turned_away(scope: Scope, headers: Headers) -> Response:
    """Pages lead to the sign-in page, all else is a sentence."""
    page = scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")
    if not page:
        sentence = "You are not signed in: sign in, then try again."
        return JSONResponse({"error": sentence}, status_code=401, headers=NO_STORE)
    if PROVIDER_COOKIE in cookie_parser(headers.get("cookie", "")):
        return RedirectResponse(VOUCHED, status_code=303, headers=NO_STORE)
    query = scope.get("query_string", b"").decode("latin-1")
    asked = safe_next(quote(str(scope["path"]), safe="/") + (f"?{query}" if query else ""))
    there = SIGN_IN if asked == "/" else f"{SIGN_IN}?{urlencode({'next': asked})}"
    return RedirectResponse(there, status_code=303, headers=NO_STORE)


def while_it_lasts(token: str, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """`receive` and `send` of a socket that is closed as soon as its session has ended."""
    over = False

    async def ended() -> bool:
        nonlocal over
        if not over and await person_of(token) is None:
            over = True
            await send({"type": "websocket.close", "code": SESSION_OVER})
        return over

    async def receiver() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and await ended():
            return {"type": "websocket.disconnect", "code": SESSION_OVER}
        return message

    async def sender(message: Message) -> None:
        if over or (message["type"] == "websocket.send" and await ended()):
            return
        await send(message)

    return receiver, sender


def private(send: Send) -> Send:
    """`send` that lets only the reader's own browser keep what is theirs to see."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if kept := headers.get("cache-control"):
                headers["cache-control"] = kept.replace("public", "private")
        await send(message)

    return sender

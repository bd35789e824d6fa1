"""The server's routes for signing in, joining, changing one's password and signing out."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from urllib.parse import parse_qsl

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from engine import access, people
from engine.access import Person
from engine.errors import UserError
from engine.people import passwords, sessions
from engine.settings import PROJECT_ROOT, settings
from pages.components import oidc
from pages.components.session_gate import (
    COOKIE,
    JOIN,
    NO_STORE,
    PASSWORD,
    SIGN_IN,
    SIGN_OUT,
    WHO,
    safe_next,
    token_in,
)
from pages.components.sign_in_page import TOKEN_FIELD, join_page, password_page, sign_in_page

P = ParamSpec("P")
T = TypeVar("T")

FORM_COOKIE = "replab_form"
FORM_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_BODY = 8192
MOST_WAITING = 100  # people whose passwords are checked or wait for it
ASSETS = {"sign-in.css": "sign_in.css", "logo.svg": "logo.svg", "icon.svg": "icon.svg"}
EXPIRED = "This page was open for too long or in two windows: try again."
UNEQUAL = "The two passwords are not the same: type them again."
_turns: dict[str, anyio.CapacityLimiter] = {}


def routes() -> list[Route]:
    return [
        Route(SIGN_IN, sign_in, methods=["GET", "POST"]),
        Route(JOIN, join, methods=["GET", "POST"]),
        Route(PASSWORD, password, methods=["GET", "POST"]),
        Route(SIGN_OUT, sign_out, methods=["POST"]),
        Route(WHO, who),
        *(Route(f"/lab/{name}", asset) for name in ASSETS),
        *oidc.routes(entered),
    ]


async def sign_in(request: Request) -> Response:
    """Ask for name and password; with right ones a new session begins."""
    if request.method != "POST":
        after = safe_next(request.query_params.get("next", ""))
        if access.me().role != access.NOBODY:
            return RedirectResponse(after, status_code=303, headers=NO_STORE)
        return shown_sign_in(request, after, error=oidc.refusal(request))
    form = await read_form(request)
    after, name = safe_next(form.get("next", "")), form.get("name", "")
    if not form:
        return shown_sign_in(request, after, error=EXPIRED, status=400)
    try:
        person = await slowly(people.check, name, form.get("password", ""), address(request))
    except people.MustWait as wait:
        return waiting(shown_sign_in(request, after, name, str(wait), 429), wait)
    except UserError as error:
        return shown_sign_in(request, after, name, str(error), 503)
    if person is None:
        return shown_sign_in(request, after, name, people.WRONG, 401)
    return await run_in_threadpool(entered, request, person, after)


async def join(request: Request) -> Response:
    """Make an account with the class code, and sign in with it."""
    open_now = people.code_is_open()
    if request.method != "POST":
        after = safe_next(request.query_params.get("next", ""))
        return with_token(request, lambda token: join_page(token, after, joining=open_now))
    form = await read_form(request)
    after, name = safe_next(form.get("next", "")), form.get("name", "")

    def refused(error: str, status: int) -> Response:
        return with_token(
            request,
            lambda token: join_page(token, after, name=name, error=error, joining=open_now, status=status),
        )

    if not form:
        return refused(EXPIRED, 400)
    typed = form.get("password", "")
    if typed != form.get("again"):
        return refused(UNEQUAL, 400)
    try:
        person = await slowly(people.join, name, typed, form.get("code", ""), address(request))
    except people.MustWait as wait:
        return waiting(refused(str(wait), 429), wait)
    except UserError as error:
        return refused(str(error), 400)
    return await run_in_threadpool(entered, request, person, after)


async def password(request: Request) -> Response:
    """Change the password of who is signed in; this browser gets a new session."""
    person = access.me()

    def page(error: str = "", status: int = 200) -> Response:
        return with_token(
            request, lambda token: password_page(token, name=person.name, error=error, status=status)
        )

    if request.method != "POST":
        return page()
    form = await read_form(request)
    if not form:
        return page(EXPIRED, 400)
    new = form.get("password", "")
    if new != form.get("again"):
        return page(UNEQUAL, 400)
    try:
        await slowly(people.change_password, person.id, form.get("old", ""), new, address(request))
    except people.MustWait as wait:
        return waiting(page(str(wait), 429), wait)
    except UserError as error:
        return page(str(error), 400)
    return await run_in_threadpool(entered, request, person, "/")


def sign_out(request: Request) -> Response:
    """End the session; the page that asked goes to the sign-in page then."""
    sessions.end(token_in(request.headers))
    answer = JSONResponse({"to": SIGN_IN}, headers=NO_STORE)
    answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=by_https(request))
    return answer


def who(request: Request) -> Response:
    """Who is signed in; the gate answers for those who are not."""
    person = access.me()
    return JSONResponse({"name": person.name, "role": person.role}, headers=NO_STORE)


def asset(request: Request) -> Response:
    name = ASSETS[request.url.path.rpartition("/")[2]]
    return FileResponse(PROJECT_ROOT / "assets" / name, headers={"Cache-Control": "public, max-age=3600"})


# what the handlers share


def entered(request: Request, person: Person, after: str) -> Response:
    """Begin a session with a token of its own, whatever token the browser brought."""
    sessions.end(token_in(request.headers))
    answer = RedirectResponse(after, status_code=303, headers=NO_STORE)
    token = sessions.begin(person.id)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=by_https(request))
    return answer


def shown_sign_in(
    request: Request, after: str, name: str = "", error: str = "", status: int = 200
) -> Response:
    joining, providers = people.code_is_open(), oidc.providers()
    return with_token(
        request,
        lambda token: sign_in_page(
            token, after, name=name, error=error, joining=joining, providers=providers, status=status
        ),
    )


def with_token(request: Request, draw: Callable[[str], Response]) -> Response:
    """A page whose form sends back what a cookie holds, which no other site can read or set."""
    token = request.cookies.get(FORM_COOKIE, "")
    if not FORM_TOKEN.fullmatch(token):
        token = secrets.token_urlsafe(32)
    answer = draw(token)
    answer.set_cookie(
        FORM_COOKIE, token, httponly=True, samesite="strict", secure=by_https(request), path="/lab"
    )
    return answer


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form; none where it is too long or not from a page of ours."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return {}
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=12))
    except (ValueError, ClientDisconnect):
        return {}
    token = request.cookies.get(FORM_COOKIE, "")
    sent = form.pop(TOKEN_FIELD, "").encode("utf-8", "replace")
    return form if FORM_TOKEN.fullmatch(token) and hmac.compare_digest(sent, token.encode()) else {}


async def slowly(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What hashes passwords: few at once, and who waits holds up nobody else's requests.

    Raises:
        UserError: Too many wait already.
    """
    turns = _turns.setdefault("passwords", anyio.CapacityLimiter(passwords.AT_ONCE))
    if turns.statistics().tasks_waiting >= MOST_WAITING:
        raise UserError("Many people are signing in just now: try again in a moment.")
    return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=turns)


def waiting(answer: Response, wait: people.MustWait) -> Response:
    answer.headers["Retry-After"] = str(wait.seconds)
    return answer


def address(request: Request) -> str:
    """Where a request comes from, for counting tries; of IPv6 the network, where one has many addresses."""
    host = request.client.host if request.client else ""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped:
        return str(getattr(found, "ipv4_mapped", None) or found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def by_https(request: Request) -> bool:
    return request.url.scheme == "https" or settings().https == "1"

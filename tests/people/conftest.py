"""A class of its own for each test: quick hashing, a clock that tests move, the door without Streamlit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from engine import access, people
from engine.people import passwords, store
from engine.people.tries import TRIES
from pages.components import server

SITE = "http://127.0.0.1:8501"
PASSWORD = "correct horse battery"
HTML = {"Accept": "text/html,application/xhtml+xml"}


class Clock:
    """Seconds since 1970 that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def class_mode(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("REPLAB_MODE", "class")
    monkeypatch.setattr(passwords, "N", 16)
    monkeypatch.setattr(passwords, "P", 1)
    TRIES.forget()
    yield workspace
    TRIES.forget()
    access.resolve_by(None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(store, "clock", found)
    return found


@pytest.fixture
def ada() -> access.Person:
    """A teacher."""
    return people.add("Ada", PASSWORD, "teacher")


@pytest.fixture
def ben() -> access.Person:
    """A student."""
    return people.add("Ben", PASSWORD)


async def whoever(request: Request) -> Response:
    """Stands for what Streamlit serves: it would tell who is let in."""
    person = access.me()
    return JSONResponse({"behind": "the door", "name": person.name, "role": person.role})


def whoever_in_a_thread(request: Request) -> Response:
    return JSONResponse({"behind": "the door", "name": access.me().name, "role": access.me().role})


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


BEHIND = ("/", "/data-sets", "/media/abc.png", "/component/x/index.html", "/_stcore/upload_file/a/b")
BEHIND += (
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/static/js/main.js",
    "/app/static/x",
    "/_stcore/agent",
)


def door(**options: Any) -> TestClient:
    """The server's own routes and its gate, with stand-ins for Streamlit's routes behind it."""
    everything = ["GET", "POST", "PUT", "DELETE"]
    behind = [Route(path, whoever, methods=everything) for path in BEHIND]
    behind += [Route("/thread", whoever_in_a_thread), WebSocketRoute("/_stcore/stream", talk)]
    behind += [Route("/_stcore/health", lambda request: PlainTextResponse("ok"))]
    behind += [Route("/kept", lambda request: Response("x", headers={"Cache-Control": "public, max-age=9"}))]
    app = Starlette(
        routes=[*server.routes(), *options.pop("more", []), *behind],
        middleware=[*server.middleware(), *options.pop("middleware", [])],
    )
    return TestClient(app, base_url=SITE, follow_redirects=False, **options)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with door() as found:
        yield found


@pytest.fixture
def another() -> Iterator[TestClient]:
    """A second browser."""
    with door() as found:
        yield found


def form_token(page: str) -> str:
    return re.search(r'name="form" value="([^"]+)"', page)[1]  # type: ignore[index]


Post = Callable[..., Any]


def post(client: TestClient, path: str, headers: dict[str, str] | None = None, **fields: str) -> Any:
    """Fill the form of a page as a browser would and send it."""
    token = form_token(client.get(path, headers=HTML).text)
    sent = {"Origin": str(client.base_url).rstrip("/"), **(headers or {})}
    return client.post(path, data={"form": token, **fields}, headers=sent)


def sign_in(client: TestClient, name: str = "Ben", password: str = PASSWORD, **fields: str) -> Any:
    return post(client, "/lab/sign-in", name=name, password=password, **fields)

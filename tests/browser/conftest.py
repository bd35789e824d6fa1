"""A real server with its own workspace and port, and a real Chromium that may reach nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "out" / "screenshots"
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """`streamlit run app.py` on a workspace; can be killed and started again on the same port."""

    def __init__(self, workspace: Path, **environment: str) -> None:
        self.workspace = workspace
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = workspace.parent / f"{workspace.name}-server.log"
        self.environment = {
            **os.environ,
            "REPLAB_WORKSPACE": str(workspace),
            "REPLAB_EXECUTOR": "local",
            "REPLAB_DEVICE": "cpu",
            "REPLAB_MIN_FREE_BYTES": "0",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.log.read_text()[-3000:]}")
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1),
            ):
                return
            time.sleep(0.05)
        raise RuntimeError("the server did not answer within a minute")

    def stop(self, force: bool = False) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL if force else signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)
        self.process = None


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server on an empty workspace; all of them end with the session."""
    servers: list[Server] = []

    def make(**environment: str) -> Server:
        servers.append(Server(tmp_path_factory.mktemp("lab") / "workspace", **environment))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(make_server: Callable[..., Server]) -> Server:
    return make_server()


@pytest.fixture(scope="session")
def app_url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; without one the test is skipped, or fails where REPLAB_REQUIRE_BROWSER is 1."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None  # type: ignore[assignment]
    if not found or sync_playwright is None:
        reason = "no Chromium" if sync_playwright else "playwright is not installed"
        if os.environ.get("REPLAB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"the browser tests are required here, but there is {reason}")
        pytest.skip(f"{reason}: the browser tests need it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A browser page that remembers what must not happen: errors, dialogs, requests to other machines."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self.external: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._dialog)
        page.context.on("request", self._request)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.external.append(request.url)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_selector(IDLE, timeout=60_000)

    def shot(self, name: str) -> Path:
        """A screenshot in out/screenshots, which git ignores."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(400)  # pictures and fonts
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def clean(self) -> None:
        assert not self.errors and not self.dialogs and not self.external


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Watched]]:
    """Open a fresh browser window: `visit(width=400, dark=True)`."""
    contexts: list[Any] = []

    def make(width: int = 1400, height: int = 950, dark: bool = False) -> Watched:
        scheme = "dark" if dark else "light"
        contexts.append(
            chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        )
        return Watched(contexts[-1].new_page())

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit: Callable[..., Watched]) -> Watched:
    return visit()

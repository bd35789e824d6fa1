"""A class server in a real browser: join, sign in, sign out, and what everybody else gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
NAME = "Ben <b>& co</b>"
CLOSED = ("/", "/data-sets", "/_stcore/host-config", "/_stcore/metrics", "/_stcore/script-health-check")
CLOSED += (
    "/media/x.png",
    "/component/x/index.html",
    "/_stcore/bidi-components/x/y.js",
    "/static/js/index.js",
)
CLOSED += ("/_stcore/upload_file/a/b", "/_stcore/stream", "/lab/plotly.min.js", "/lab/who", "/app/static/x")


def command(environment: dict[str, str], *words: str, typed: str = "") -> Any:
    found = subprocess.run(
        [sys.executable, "-m", "engine", "people", *words, "--json"],
        cwd=ROOT,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def classroom(make_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server in class mode with a teacher; its `code` is the class code."""
    workspace = str(tmp_path_factory.mktemp("class") / "workspace")
    here = {**os.environ, "REPLAB_WORKSPACE": workspace}
    command(here, "add", "Ada", "--teacher", "--password-stdin", typed=PASSWORD)
    server = make_server(REPLAB_WORKSPACE=workspace, REPLAB_MODE="class")
    server.code = command(here, "code", "--new")["code"]
    return server


def asked(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize("path", CLOSED)
def test_b22_without_a_session_the_real_server_gives_nothing(classroom: Any, path: str) -> None:
    status, body = asked(classroom.url + path)
    assert status == 401 and json.loads(body) == {"error": "You are not signed in: sign in, then try again."}


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_b22_nothing_can_be_sent_without_a_session(classroom: Any, method: str) -> None:
    for path in ("/_stcore/upload_file/a/b", "/lab/upload", "/"):
        headers = {"X-Replab": "1", "Origin": classroom.url}
        request = urllib.request.Request(classroom.url + path, b"x", headers, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 401


def test_b28_the_real_socket_is_refused_without_session_origin_or_own_host(classroom: Any) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    there = classroom.url.replace("http", "ws") + "/_stcore/stream"
    for origin in (classroom.url, "http://evil.example", None):
        with pytest.raises(InvalidStatus) as refused, connect(there, origin=origin):
            pass
        assert refused.value.response.status_code == 403


def joined(watched: Any, server: Any, name: str) -> None:
    """Join the class as a browser without an account does."""
    page = watched.page
    page.goto(f"{server.url}/data-sets?data=digits")
    page.wait_for_url("**/lab/sign-in?next=*")
    page.get_by_text("New here? Join with the class code").click()
    for field, value in (("name", name), ("password", PASSWORD), ("again", PASSWORD), ("code", server.code)):
        page.fill(f"[name={field}]", value)
    page.get_by_role("button", name="Join").click()
    watched.ready()


def test_a_student_joins_signs_in_and_out_and_an_open_page_says_so(classroom: Any, visit: Any) -> None:
    watched = visit()
    joined(watched, classroom, NAME)
    page = watched.page
    page.get_by_role("heading", name="Data", exact=True, level=1).wait_for(timeout=60_000)
    assert "data=digits" in page.url
    entry = page.get_by_test_id("stSidebar")
    entry.get_by_text(NAME, exact=True).wait_for(timeout=60_000)
    entry.get_by_text("student", exact=True).wait_for()
    assert page.evaluate("document.cookie.includes('replab')") is False

    stranger = visit()
    stranger.page.goto(f"{classroom.url}/all-runs")
    assert stranger.page.url.startswith(f"{classroom.url}/lab/sign-in")
    assert stranger.page.get_by_role("heading", name="Sign in", exact=True).count() == 1
    assert stranger.page.locator("[data-testid=stApp]").count() == 0

    second = page.context.new_page()
    second.goto(classroom.url)
    second.get_by_role("heading", name="See how networks learn to represent images").wait_for(timeout=60_000)
    second.get_by_test_id("stSidebar").get_by_text("Sign out", exact=True).click()
    second.wait_for_url("**/lab/sign-in")
    page.bring_to_front()
    page.get_by_role("heading", name="Data", exact=True, level=1).click()
    notice = page.get_by_role("alertdialog", name="You are signed out")
    notice.wait_for(timeout=30_000)
    watched.shot("signed-out")
    notice.get_by_role("link", name="Sign in").click()
    page.wait_for_url("**/lab/sign-in?next=*")

    page.fill("[name=name]", NAME)
    page.fill("[name=password]", "not the password")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    watched.ready()
    page.get_by_role("heading", name="Data", exact=True, level=1).wait_for(timeout=60_000)
    assert not watched.errors and not watched.dialogs and not watched.external
    stranger.clean()


def test_a_blocked_student_is_out_of_an_open_page(classroom: Any, visit: Any) -> None:
    watched = visit()
    joined(watched, classroom, "Cleo")
    page = watched.page
    page.get_by_role("heading", name="Data", exact=True, level=1).wait_for(timeout=60_000)
    command(classroom.environment, "block", "Cleo")
    page.wait_for_timeout(2500)  # what another process changes is noticed within two seconds
    page.get_by_role("heading", name="Data", exact=True, level=1).click()
    page.get_by_role("alertdialog", name="You are signed out").wait_for(timeout=30_000)
    page.goto(classroom.url)
    assert "/lab/sign-in" in page.url


def test_the_pages_fit_both_themes_and_a_phone_and_need_no_script(classroom: Any, chromium: Any) -> None:
    for dark in (False, True):
        for width in (1400, 400):
            context = chromium.new_context(
                viewport={"width": width, "height": 850},
                color_scheme="dark" if dark else "light",
                java_script_enabled=False,
            )
            page = context.new_page()
            for path in ("sign-in", "join"):
                page.goto(f"{classroom.url}/lab/{path}")
                name = f"{path}-{'dark' if dark else 'light'}{'-narrow' if width == 400 else ''}"
                shots = ROOT / "out" / "screenshots"
                shots.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=shots / f"{name}.png")
                box = page.locator(".card").bounding_box()
                assert box["x"] >= 8 and box["x"] + box["width"] <= width - 8
                field = page.locator("[name=password]").bounding_box()
                assert field["width"] > 250 and field["x"] + field["width"] < box["x"] + box["width"]
            page.fill("[name=name]", "Ada")
            page.fill("[name=password]", "x" * 9)
            page.fill("[name=again]", "y" * 9)
            page.fill("[name=code]", "x")
            page.get_by_role("button", name="Join").click()
            assert page.get_by_role("alert").inner_text().startswith("The two passwords are not the same")
            context.close()

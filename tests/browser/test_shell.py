"""The shell in a real browser: deep links right after a start, themes, a phone, no outside request."""

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
PAGES = {
    "": "See how networks learn to represent images",
    "data-sets": "Data",
    "transfer-learning": "Transfer learning",
    "auto-encoders": "Autoencoders",
    "self-supervised": "Self-supervised learning",
    "maps": "Latent maps",
    "compare-encoders": "Compare",
    "try-it": "Try it",
    "all-runs": "Runs",
}


def heading(watched: Any, text: str) -> None:
    watched.page.get_by_role("heading", name=text, exact=True, level=1).wait_for(timeout=60_000)


@pytest.fixture(scope="module")
def fresh(make_server: Callable[..., Any]) -> Any:
    return make_server()


@pytest.mark.parametrize("address", list(PAGES))
def test_a_deep_link_right_after_a_start_opens_its_page(fresh: Any, visit: Any, address: str) -> None:
    fresh.stop()
    fresh.start()  # nobody has opened "/" yet
    watched = visit()
    watched.open(f"{fresh.url}/{address}")
    heading(watched, PAGES[address])
    assert watched.page.get_by_role("dialog").count() == 0
    assert watched.page.get_by_test_id("stSidebarNavLink").count() == len(PAGES)
    watched.clean()


def test_the_built_in_sets_are_ready_soon_after_the_first_start(fresh: Any, page: Any) -> None:
    page.open(fresh.url)
    page.page.get_by_text("Shapes", exact=True).first.wait_for(timeout=60_000)
    page.page.get_by_text("8,000 images", exact=False).first.wait_for(timeout=60_000)
    page.page.get_by_text("Train your first classifier").wait_for(timeout=60_000)
    page.clean()


@pytest.mark.parametrize("dark", [False, True])
def test_every_page_in_both_themes_and_on_a_phone(server: Any, visit: Any, dark: bool) -> None:
    for width in (1400, 400):
        watched = visit(width=width, dark=dark)
        for address, title in PAGES.items():
            watched.open(f"{server.url}/{address}")
            heading(watched, title)
            assert watched.page.locator("[data-testid=stException]").count() == 0
            name = f"{address or 'home'}-{'dark' if dark else 'light'}{'-narrow' if width == 400 else ''}"
            watched.shot(name)
            wide = watched.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{address} scrolls sideways by {wide} px at {width} px"
        watched.clean()


def test_the_font_is_our_own(server: Any, page: Any) -> None:
    page.open(server.url)
    heading(page, PAGES[""])
    # fonts.check is true, too, before the faces are declared: wait for one that is there
    page.page.wait_for_function(
        "[...document.fonts].some(f => f.status === 'loaded' && f.family.includes('Inter'))"
    )


def test_the_data_set_in_the_address_survives_a_reload_and_a_page_switch(server: Any, page: Any) -> None:
    page.open(f"{server.url}/data-sets?data=digits")
    page.page.get_by_text("1,797 images").first.wait_for(timeout=60_000)
    page.page.get_by_test_id("stSidebarNavLink").filter(has_text="Transfer learning").click()
    heading(page, PAGES["transfer-learning"])
    page.page.wait_for_function("location.search.includes('data=digits')")
    page.page.reload()
    page.ready()
    page.page.get_by_text("1,797 images").first.wait_for(timeout=60_000)
    assert "data=digits" in page.page.url
    page.clean()


def test_a_foreign_host_or_origin_gets_nothing(server: Any) -> None:
    for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{server.port}"}):
        for path in (
            "/",
            "/data-sets",
            "/_stcore/health",
            "/_stcore/host-config",
            "/lab/plotly.min.js",
            "/media/x",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers))
            assert refused.value.code == 403


def test_a_second_copy_on_the_same_workspace_says_so_in_one_line(server: Any) -> None:
    found = run_app(server.environment)
    assert found.returncode != 0
    line = [line for line in found.stderr.splitlines() if "Representation Lab" in line]
    assert len(line) == 1 and "already running" in line[0] and server.url in line[0]
    assert "Traceback" not in found.stderr + found.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"REPLAB_MODE": "class"}, "python -m engine people add NAME --teacher"),
        ({"REPLAB_SLOTS": "many"}, "REPLAB_SLOTS must be a whole number"),
        ({"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, "127.0.0.1"),
    ],
)
def test_a_setting_that_cannot_work_ends_the_start_with_one_line(
    tmp_path: Any, change: dict[str, str], words: str
) -> None:
    found = run_app({**os.environ, "REPLAB_WORKSPACE": str(tmp_path / "w"), **change})
    assert found.returncode != 0 and words in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


def test_a_workspace_that_cannot_be_written_ends_the_start_with_one_line(tmp_path: Any) -> None:
    (tmp_path / "file").write_text(json.dumps("not a folder"))
    found = run_app({**os.environ, "REPLAB_WORKSPACE": str(tmp_path / "file" / "w")})
    assert found.returncode != 0 and "cannot be written" in found.stderr
    assert "Traceback" not in found.stderr + found.stdout


def run_app(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start the app where it must refuse, and wait for its end."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "0"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

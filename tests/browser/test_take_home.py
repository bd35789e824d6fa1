"""Take it home in a real browser: files made in the background, the report by itself, a run handed on."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "<b>bold</b> $x^2$ run"
SCRIPT = """
import sys
from engine.runs.store import RunStore
from tests.pages.coded import code_run
from tests.pages.made import make_dataset
dataset = make_dataset(("blue", "<img src=x onerror=alert(1)>"), name="Colours <i>i</i>")
run = code_run(dataset)
RunStore().rename(run, sys.argv[1])
print(run)
"""


@pytest.fixture(scope="module")
def lab(make_server: Any) -> tuple[Any, str]:
    server = make_server()
    environment = {**server.environment, "REPLAB_EXECUTOR": "inline"}
    command = [sys.executable, "-c", SCRIPT, NAME]
    made = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return server, made.stdout.split()[-1]


def unfold(watched: Any, server: Any, run: str) -> None:
    watched.open(f"{server.url}/all-runs?run={run}")
    watched.page.get_by_text("Take it home", exact=True).click(timeout=60_000)
    row(watched, run, "report").wait_for(timeout=30_000)
    watched.ready()


def row(watched: Any, run: str, name: str) -> Any:
    return watched.page.locator(f".st-key-take-row-{name}-{run}")


def take(watched: Any, run: str, name: str, folder: Path) -> Path:
    """Make a file, wait for it, and download it."""
    row(watched, run, name).get_by_role("button", name="Make").click()
    link = row(watched, run, name).get_by_role("link")
    link.wait_for(timeout=120_000)
    watched.ready()
    with watched.page.expect_download() as download:
        link.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_report_is_made_downloaded_and_opens_without_a_network(
    lab: tuple[Any, str], visit: Any, tmp_path: Path, dark: bool
) -> None:
    server, run = lab
    watched = visit(height=1500, dark=dark)
    unfold(watched, server, run)
    there = row(watched, run, "report")
    there.get_by_role("button").or_(there.get_by_role("link")).first.wait_for(timeout=60_000)
    if there.get_by_role("button").count():
        report = take(watched, run, "report", tmp_path)
    else:  # the other theme has made it
        with watched.page.expect_download() as download:
            row(watched, run, "report").get_by_role("link").click()
        report = tmp_path / download.value.suggested_filename
        download.value.save_as(report)
    watched.shot(f"take-home-{'dark' if dark else 'light'}")
    watched.clean()
    assert report.name == f"report-{run}.html"
    alone = visit(width=1200, height=3000, dark=dark)
    asked: list[str] = []
    alone.page.context.on("request", lambda request: asked.append(request.url))
    alone.page.goto(report.as_uri())
    alone.shot(f"report-{'dark' if dark else 'light'}")
    assert alone.page.locator("h1").inner_text() == NAME
    assert [url for url in asked if not url.startswith(("data:", report.as_uri()))] == []
    assert alone.page.locator("script").count() == 0 and alone.page.locator("b b, img[src=x]").count() == 0
    broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    assert alone.page.evaluate(broken) == 0 and alone.page.evaluate("document.images.length") > 10
    wide = alone.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "nothing runs out of the page"
    assert not alone.errors and not alone.dialogs


def test_a_file_that_is_being_made_can_be_stopped(lab: tuple[Any, str], page: Any) -> None:
    server, run = lab
    unfold(page, server, run)
    row(page, run, "onnx").get_by_role("button", name="Make").click()
    row(page, run, "onnx").get_by_role("button", name="Stop").click(timeout=30_000)
    page.page.get_by_text("Stopped; nothing was kept.").wait_for(timeout=30_000)
    assert not list((server.workspace / "cache" / "exports").glob("*/.made.*"))
    row(page, run, "onnx").get_by_role("button", name="Make it again").wait_for()
    page.clean()


def test_a_run_is_handed_on_and_stands_in_the_list_twice(
    lab: tuple[Any, str], page: Any, tmp_path: Path
) -> None:
    server, run = lab
    unfold(page, server, run)
    packed = take(page, run, "zip", tmp_path)
    with zipfile.ZipFile(packed) as archive:
        assert json.loads(archive.read("manifest.json"))["runs"][0]["name"] == NAME
    page.open(f"{server.url}/all-runs")
    page.page.get_by_text("Import runs", exact=True).click(timeout=60_000)
    drop = page.page.locator("input[type=file]").first
    drop.wait_for(state="attached", timeout=30_000)
    drop.set_input_files(packed)
    page.page.get_by_text("1 run taken in").wait_for(timeout=60_000)
    page.page.get_by_text("2 runs ·").wait_for(timeout=30_000)
    page.shot("take-home-imported")
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../../evil.txt", "x")
    page.page.locator("input[type=file]").first.set_input_files(bad)
    page.page.get_by_text("This zip holds no runs of this program").wait_for(timeout=60_000)
    assert not list((server.workspace / "uploads").iterdir()) and not list(
        (server.workspace / "tmp").iterdir()
    )
    page.clean()

"""The Runs page in a real browser: tick rows, compare, rename, delete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from tests.pages.made import make_dataset, make_run
dataset = make_dataset(name="Colours")
print([make_run(dataset, name, seed) for seed, name in enumerate(sys.argv[1:])])
"""


@pytest.fixture(scope="module")
def lab(make_server: Any) -> Any:
    server = make_server()
    names = ["first", "second <b>b</b>", "third $x^2$"]
    subprocess.run([sys.executable, "-c", SCRIPT, *names], cwd=ROOT, env=server.environment, check=True)
    return server


def tick(watched: Any, row: int) -> None:
    """Click the box of a row; the table is a canvas."""
    table = watched.page.get_by_test_id("stDataFrame").first
    table.wait_for(timeout=60_000)
    box = table.bounding_box()
    watched.page.mouse.click(box["x"] + 16, box["y"] + 35 * (row + 1) + 18)
    watched.page.wait_for_timeout(300)
    watched.ready()


def open_runs(watched: Any, url: str) -> None:
    watched.open(f"{url}/all-runs")
    watched.page.get_by_test_id("stDataFrame").first.wait_for(timeout=60_000)
    watched.page.wait_for_timeout(800)  # the canvas draws itself


def names(lab: Any) -> set[str]:
    return {
        json.loads(path.read_text())["name"] for path in (lab.workspace / "runs").glob("[a-z0-9]*/name.json")
    }


def test_two_runs_are_compared_renamed_and_deleted(lab: Any, page: Any) -> None:
    open_runs(page, lab.url)
    tick(page, 0)
    tick(page, 1)
    page.page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    page.page.get_by_text("2 runs ticked").wait_for()
    page.shot("runs-compare")
    tick(page, 1)
    page.page.get_by_role("button", name="Rename").click()
    page.page.get_by_label("Name", exact=True).fill("a better *name*")
    page.page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()
    page.page.wait_for_timeout(1000)
    page.ready()
    assert "a better *name*" in names(lab)
    open_runs(page, lab.url)
    tick(page, 0)
    page.page.get_by_role("button", name="Delete…").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    page.ready()
    assert len(names(lab)) == 3
    page.page.get_by_role("button", name="Delete…").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.page.get_by_text("2 runs ·").wait_for(timeout=30_000)
    assert len(names(lab)) == 2
    page.clean()


def test_a_ticked_run_opens_with_its_results(lab: Any, page: Any) -> None:
    assert os.listdir(lab.workspace / "runs")
    open_runs(page, lab.url)
    tick(page, 0)
    page.page.locator("[data-testid=stButton] button", has_text="Open").click()
    page.page.get_by_role("tab", name="Confusion").wait_for(timeout=60_000)
    page.page.wait_for_url("**/transfer-learning?*run=*")
    page.clean()

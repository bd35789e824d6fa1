"""Try it in a real browser: a held-out image, a file of one's own, a zip, and the hood, in both themes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import json
from engine.data.drawn_sets import build_shapes
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
data = build_shapes("tried", "Tried", 32, "drawn", images={"train": 300, "val": 80, "test": 80})
config = {"epochs": 3, "batch_size": 32, "augment": "none"}
fields = {"dataset": data.id, "fingerprint": data.fingerprint, "method": "classification", "config": config}
fields |= {"backbone": "random:cnn-small", "image_size": 32}
run = RunStore().create(check_recipe(make_recipe(fields)))
InlineExecutor(RunStore()).submit(run.id)
print(json.dumps([run.id, RunStore().get(run.id).state]))
"""


@pytest.fixture(scope="module")
def lab(make_server: Callable[..., Any]) -> tuple[Any, str]:
    """A server whose workspace has a finished classifier."""
    server = make_server()
    found = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env={**os.environ, **server.environment}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    run, state = json.loads(found.stdout.splitlines()[-1])
    assert state == "done"
    return server, run


def noise() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_picture_is_answered_explained_and_judged(lab: tuple[Any, str], visit: Callable[..., Any]) -> None:
    server, run = lab
    page = visit(dark=True)
    page.open(f"{server.url}/try-it?data=tried&run={run}")
    browser = page.page
    browser.get_by_text("It would flag").wait_for(timeout=120_000)
    page.ready()
    maps = browser.locator(".rl-figures img")
    assert [maps.nth(i).get_attribute("alt") for i in range(3)] == [
        "What it reads",
        "Grad-CAM",
        "Random weights",
    ]
    assert maps.evaluate_all("all => all.every((img) => img.complete && img.naturalWidth > 0)")
    page.shot("try-it-dark")
    browser.get_by_text("Upload", exact=True).click()
    page.ready()
    browser.locator("input[type=file]").set_input_files(
        {"name": "<b>noise</b>.png", "mimeType": "image/png", "buffer": noise()}
    )
    browser.get_by_text("Where it looks").wait_for(timeout=60_000)
    browser.get_by_text("It would flag").wait_for(timeout=60_000)
    page.ready()
    browser.get_by_role("slider", name="Threshold").focus()
    browser.keyboard.press("Home")
    browser.get_by_text("beyond 0.000").wait_for(timeout=30_000)
    page.shot("try-it-upload-dark")
    page.clean()


def test_a_zip_becomes_a_table_and_the_hood_opens(lab: tuple[Any, str], visit: Callable[..., Any]) -> None:
    server, run = lab
    page = visit()
    page.open(f"{server.url}/try-it?data=tried&run={run}&view=folder")
    browser = page.page
    browser.get_by_text("Drop a folder or a zip").wait_for(timeout=90_000)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(3):
            archive.writestr(f"mine/{number}.png", noise())
        archive.writestr("notes.txt", b"no picture")
    browser.locator("input[type=file]").first.set_input_files(
        {"name": "mine.zip", "mimeType": "application/zip", "buffer": file.getvalue()}
    )
    browser.get_by_text("3 pictures").wait_for(timeout=90_000)
    browser.get_by_text("notes.txt").wait_for(timeout=30_000)
    with browser.expect_download() as download:
        browser.get_by_role("button", name="Table (CSV)").click()
    table = Path(download.value.path()).read_text()
    assert len(table.splitlines()) == 4 and "mine/0.png" in table
    page.shot("try-it-folder")
    browser.get_by_role("radio", name="Under the hood").or_(
        browser.get_by_role("button", name="Under the hood")
    ).first.click()
    browser.get_by_text("32 filters of").wait_for(timeout=60_000)
    assert browser.locator(".rl-pairs img").count() == 32
    page.shot("try-it-hood")
    page.clean()

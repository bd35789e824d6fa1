"""Compare in a real browser: choose encoders, watch rows come, reload, look at every part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.browser.conftest import ROOT
from tests.browser.test_latent_maps import part, wait_until

SETTINGS = ("images", "60"), ("asked", "60"), ("draws", "2"), ("few_most", "2")


def ready(server: Any) -> None:
    wait_until((server.workspace / "datasets" / "digits").is_dir, seconds=120)  # drawn at the first start


def measured(server: Any) -> str:
    """The id of a small comparison on the drawn digits, made by the command line."""
    ready(server)
    command = [sys.executable, "-m", "engine", "compare", "random:resnet20", "--data", "digits", "--json"]
    for name, value in SETTINGS:
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **server.environment}, check=True, capture_output=True
    )
    return str(json.loads(done.stdout.splitlines()[-1])["run"])


def unfold(browser: Any, title: str, inside: Any) -> None:
    """Open a fold; a list that is just closing may swallow the first click."""

    def opened() -> bool:
        if not inside.is_visible():
            browser.get_by_text(title).click()
            browser.wait_for_timeout(1500)
        return bool(inside.is_visible())

    wait_until(opened, seconds=60)


def test_encoders_are_chosen_measured_and_found_again(server: Any, page: Any) -> None:
    ready(server)
    page.open(f"{server.url}/compare-encoders?data=digits")
    browser = page.page
    field = browser.get_by_test_id("stMultiSelect")
    field.wait_for(timeout=60_000)
    if field.get_by_label("Clear all").count():  # runs of other tests are offered first
        field.get_by_label("Clear all").click()
        page.ready()
    field.get_by_role("combobox").fill("Compact CNN, random")
    browser.get_by_role("option", name="Compact CNN, random weights", exact=True).click()
    browser.get_by_text("1 encoder", exact=True).wait_for(timeout=60_000)
    page.ready()
    browser.keyboard.press("Escape")
    unfold(browser, "More settings", browser.get_by_role("spinbutton", name="Draws"))
    for name, value in (("Images to learn from", "100"), ("Images to judge by", "100"), ("Draws", "2")):
        number = browser.get_by_role("spinbutton", name=name)
        number.fill(value)
        number.press("Enter")
        page.ready()
    browser.get_by_text("judged by 100 of 359 test images").wait_for(timeout=30_000)
    page.shot("compare-form")
    browser.get_by_role("button", name="Compare", exact=True).click()
    browser.get_by_role("button", name="Run again with changes").wait_for(timeout=180_000)
    page.ready()
    browser.get_by_text("No advice").first.wait_for(timeout=30_000)
    page.open(browser.url)  # a reload finds it again
    browser.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    browser.get_by_text("100 of 359 test images").wait_for(timeout=30_000)
    page.shot("compare-done")
    page.clean()


def test_every_part_in_the_dark_and_on_a_phone(server: Any, visit: Callable[..., Any]) -> None:
    run = measured(server)
    page = visit(dark=True)
    page.open(f"{server.url}/compare-encoders?data=digits&run={run}")
    page.page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    for name in ("Few labels", "Cost", "All figures", "Published", "Recipe and downloads"):
        part(page, name)
        page.shot(f"compare-{name.split()[0].lower()}-dark")
    page.page.get_by_text("python -m engine compare").wait_for(timeout=30_000)
    page.clean()
    phone = visit(width=400, height=900)
    phone.open(f"{server.url}/compare-encoders?data=digits&run={run}")
    phone.page.locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    phone.shot("compare-phone")
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 400, "nothing is wider than it"
    phone.clean()

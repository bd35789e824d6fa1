"""Autoencoders in a real browser: train, watch, scrub, look at rebuilt images, walk, in-paint, take away."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable
from typing import Any


def begin(watched: Any, server: Any, kind: str | None = None, epochs: int = 3) -> None:
    """Train on the drawn digits until the results are there."""
    page = watched.page
    wait_until((server.workspace / "datasets" / "digits").is_dir, seconds=120)  # drawn at the first start
    watched.open(f"{server.url}/auto-encoders?data=digits")
    page.get_by_role("button", name="Start training").wait_for(timeout=90_000)
    watched.ready()
    if kind:
        page.get_by_label("Kind").click()
        page.get_by_role("option", name=kind, exact=True).click()
        page.get_by_text(f"{kind}, ").first.wait_for(timeout=30_000)
        watched.ready()
    field = page.get_by_role("spinbutton", name="Epochs")
    field.fill(str(epochs))
    field.press("Enter")
    page.get_by_text(f"{epochs} epochs over").wait_for(timeout=30_000)
    page.locator(".rl-pairs img").first.wait_for(timeout=60_000)
    page.get_by_role("button", name="Start training").click()
    page.locator(".rl-state").filter(has_text="Done").wait_for(timeout=180_000)
    page.get_by_text("Rebuilt images", exact=True).wait_for(timeout=60_000)
    watched.ready()


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def other_picture(image: Any, before: str | None) -> None:
    """Wait until the image shows something else."""
    wait_until(lambda: image.get_attribute("src") != before)


def part(watched: Any, name: str) -> None:
    watched.page.get_by_test_id("stMain").get_by_text(name, exact=True).first.click()
    watched.ready()


def test_train_scrub_rebuild_walk_and_take_away(server: Any, page: Any) -> None:
    begin(page, server)
    browser = page.page
    page.shot("autoencoder-done")
    browser.locator(".rl-sees summary").click()
    strips = browser.locator(".rl-grid[data-wide=true] img")
    strips.first.wait_for()
    last = strips.first.get_attribute("src")
    browser.get_by_label("Epoch shown").focus()
    browser.keyboard.press("Home")
    other_picture(strips.first, last)
    assert "after epoch 1 " in browser.locator(".rl-sees-head .rl-note").inner_text()

    error = browser.locator(".gallery.wide figure .line span").first
    first = error.inner_text()
    part(page, "Worst first")
    wait_until(lambda: float(error.inner_text()) > float(first))
    page.shot("autoencoder-worst")

    part(page, "Walk")
    walk(page)
    part(page, "Between two images")
    strip = browser.get_by_alt_text("decoded codes on the way")
    before = strip.get_attribute("src")
    browser.get_by_role("radiogroup", name="To").get_by_role("radio").nth(5).click()
    other_picture(strip, before)
    page.shot("autoencoder-between")

    part(page, "Outliers")
    address = browser.get_by_role("link", name="Table (CSV)").get_attribute("href")
    table = browser.request.get(f"{server.url}{address}").text()
    errors = [float(row["squared_error"]) for row in csv.DictReader(io.StringIO(table))]
    assert len(errors) == 24 and errors == sorted(errors, reverse=True)
    address = browser.get_by_role("link", name="Images (zip)").get_attribute("href")
    with zipfile.ZipFile(io.BytesIO(browser.request.get(f"{server.url}{address}").body())) as archive:
        assert len(archive.namelist()) == 24
    page.clean()


def walk(watched: Any) -> None:
    """Drag on the pad, use keys and sliders: the picture follows, and empty places are told."""
    browser = watched.page
    picture, told = browser.locator(".walk .made"), browser.locator(".walk .told")
    told.filter(has_text="usual distance").wait_for(timeout=30_000)
    start = picture.get_attribute("src")
    browser.locator(".walk canvas").scroll_into_view_if_needed()
    box = browser.locator(".walk canvas").bounding_box()
    browser.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    browser.mouse.down()
    browser.mouse.move(box["x"] + 3, box["y"] + 3, steps=6)
    browser.mouse.up()
    told.filter(has_text="No data here").wait_for(timeout=20_000)
    assert picture.get_attribute("src") != start
    watched.shot("autoencoder-walk")
    browser.get_by_role("button", name="mean").click()
    told.filter(has_not_text="No data here").wait_for(timeout=20_000)
    before = picture.get_attribute("src")
    browser.locator(".walk canvas").focus()
    browser.keyboard.press("ArrowRight")
    other_picture(picture, before)
    assert browser.locator(".walk output").first.inner_text() == "0.1"
    before = picture.get_attribute("src")
    browser.locator(".walk input[type=range]").nth(2).fill("1.5")
    other_picture(picture, before)
    assert browser.locator(".walk output").nth(2).inner_text() == "1.5"


def test_a_hole_is_drawn_and_filled_in_the_dark(server: Any, visit: Callable[..., Any]) -> None:
    page = visit(dark=True)
    begin(page, server, "In-painting", epochs=2)
    part(page, "Your picture")
    browser = page.page
    given = browser.locator('.rl-figures img[alt="goes in"]')
    given.wait_for()
    before = given.get_attribute("src")
    browser.locator(".area .stage").scroll_into_view_if_needed()
    box = browser.locator(".area .stage").bounding_box()
    browser.mouse.move(box["x"] + 10, box["y"] + 10)
    browser.mouse.down()
    browser.mouse.move(box["x"] + 90, box["y"] + 200, steps=5)
    browser.mouse.up()
    other_picture(given, before)
    page.shot("autoencoder-hole-dark")
    page.clean()

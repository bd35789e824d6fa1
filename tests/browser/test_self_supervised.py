"""Self-supervised learning in a real browser: views, train, watch, reload, probes, neighbours, the bench."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def compose(watched: Any, server: Any, method: str, epochs: int) -> None:
    """Fill the form for the drawn digits."""
    page = watched.page
    wait_until((server.workspace / "datasets" / "digits").is_dir, seconds=120)  # drawn at the first start
    watched.open(f"{server.url}/self-supervised?data=digits")
    page.get_by_role("button", name="Start training").wait_for(timeout=90_000)
    watched.ready()
    page.get_by_label("Method").click()
    page.get_by_role("option", name=method, exact=True).click()
    page.get_by_text(f"{method} on").first.wait_for(timeout=30_000)
    watched.ready()
    field = page.get_by_role("spinbutton", name="Epochs")
    field.fill(str(epochs))
    field.press("Enter")
    page.get_by_text(f"{epochs} epochs over").wait_for(timeout=30_000)
    watched.ready()


def start(watched: Any) -> None:
    watched.page.get_by_role("button", name="Start training").click()
    watched.page.locator(".rl-state").wait_for(timeout=60_000)


def done(watched: Any) -> None:
    watched.page.locator(".rl-state").filter(has_text="Done").wait_for(timeout=240_000)
    watched.page.get_by_text("What it learned", exact=True).wait_for(timeout=60_000)
    watched.ready()


def part(watched: Any, name: str) -> None:
    watched.page.get_by_test_id("stMain").get_by_text(name, exact=True).first.click()
    watched.ready()


def test_views_training_reload_probes_neighbours_and_bench(server: Any, page: Any) -> None:
    compose(page, server, "MoCo", epochs=4)
    browser = page.page
    pairs = browser.locator(".rl-pair")
    wait_until(lambda: pairs.count() == 6)
    first = browser.locator(".rl-view-0").first
    before = first.get_attribute("src")
    browser.get_by_role("button", name="New draws").click()
    wait_until(lambda: first.get_attribute("src") != before)
    page.ready()
    page.shot("self-supervised-views")

    start(page)
    browser.locator(".rl-verdict").filter(has_text="spread").wait_for(timeout=120_000)
    page.open(browser.url)  # a reload in the middle finds the run again
    browser.locator(".rl-state").wait_for(timeout=60_000)
    done(page)
    assert int(browser.locator("[data-epochs]").first.get_attribute("data-epochs")) == 4
    told = browser.locator(".rl-charts").inner_text()
    assert "raw pixels" in told and "before training" in told and "chance, log(1+K)" in told
    browser.locator(".rl-sees summary").click()
    cells = browser.locator(".rl-matrix i.rl-positive")
    cells.first.wait_for()
    assert cells.count() == 16, "two views of 8 images, each beside the other"
    assert "Queue of" in browser.locator(".rl-contrast").inner_text()
    page.shot("self-supervised-done")

    part(page, "Neighbours")
    asked = browser.locator(".gallery").nth(0).locator("img").first
    asked.wait_for()
    image = asked.get_attribute("src")
    browser.locator(".gallery").nth(1).locator("button.picture").nth(2).click()
    browser.get_by_role("button", name="Back", exact=True).wait_for(timeout=20_000)
    wait_until(lambda: asked.get_attribute("src") != image)
    page.shot("self-supervised-neighbours")
    browser.get_by_role("button", name="Back", exact=True).click()
    wait_until(lambda: asked.get_attribute("src") == image)
    page.ready()

    browser.goto(f"{server.url}/self-supervised?view=bench")
    browser.locator(".bench[data-asked]").wait_for(timeout=60_000)
    source = browser.locator(".bench select")
    before = int(browser.locator(".bench").get_attribute("data-asked"))
    source.select_option(index=1)
    wait_until(lambda: int(browser.locator(".bench").get_attribute("data-asked")) > before, seconds=60)
    wait_until(lambda: browser.locator(".bench img").count() > 0, seconds=30)
    page.shot("bench-of-a-run")
    page.clean()


def test_a_broken_recipe_says_what_to_watch_for_in_the_dark(server: Any, visit: Callable[..., Any]) -> None:
    page = visit(dark=True)
    compose(page, server, "BYOL", epochs=2)
    browser = page.page
    browser.get_by_text("Break it on purpose").click()
    page.ready()
    predictor = browser.locator('input[aria-label="Predictor"]')
    predictor.wait_for(state="attached", timeout=60_000)
    for _ in range(5):  # a click into a page that is being drawn anew is lost
        if predictor.is_checked():
            browser.get_by_text("Predictor", exact=True).click()
            browser.wait_for_timeout(1000)
    browser.get_by_text("Watch for this").wait_for(timeout=60_000)
    page.ready()
    page.shot("self-supervised-broken-dark")
    start(page)
    done(page)
    page.clean()

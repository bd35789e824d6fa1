"""Latent maps in a real browser: draw, watch panels come, reload, select, take exactly that home, walk on."""

from __future__ import annotations

import csv
import io
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from pyarrow import parquet


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def compose(watched: Any, server: Any, keep: tuple[str, ...], points: int) -> None:
    """Fill the form for the drawn digits."""
    page = watched.page
    wait_until((server.workspace / "datasets" / "digits").is_dir, seconds=120)  # drawn at the first start
    watched.open(f"{server.url}/maps?data=digits")
    page.get_by_role("button", name="Draw the maps").wait_for(timeout=90_000)
    watched.ready()
    for name in ("PCA", "Kernel PCA", "LLE", "Isomap", "t-SNE", "UMAP"):
        if name not in keep:
            page.get_by_test_id("stButtonGroup").get_by_role("button", name=name, exact=True).click()
            watched.ready()
    field = page.get_by_role("spinbutton", name="Points")
    field.fill(str(points))
    field.press("Enter")
    page.get_by_text(f"{points} of 1,797 images").wait_for(timeout=30_000)
    page.get_by_text(f"{len(keep)} 2-D maps").wait_for(timeout=30_000)
    watched.ready()


def draw(watched: Any, panels: int) -> None:
    watched.page.get_by_role("button", name="Draw the maps").click()
    done(watched, panels)


def done(watched: Any, panels: int) -> None:
    figures = watched.page.locator(".latent-map").get_by_text("trust", exact=True)
    wait_until(lambda: figures.count() == panels, seconds=180)
    watched.page.get_by_role("button", name="Run again with changes").wait_for(timeout=60_000)
    watched.ready()


def part(watched: Any, name: str) -> None:
    watched.page.get_by_test_id("stMain").get_by_text(name, exact=True).first.click()
    watched.ready()


def selected(page: Any) -> int:
    return int(page.locator(".latent-map").get_attribute("data-selected") or 0)


def around(page: Any, panel: int, share: float) -> None:
    """Draw a ring around the middle of a panel with the mouse."""
    box = page.locator(".lm-box").nth(panel).bounding_box()
    turn = np.linspace(0, 2 * np.pi, 30)
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    path = middle + share * box["width"] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    page.mouse.move(*path[0])
    page.mouse.down()
    for place in path[1:]:
        page.mouse.move(*place, steps=2)
    page.mouse.up()


def test_maps_are_drawn_selected_and_taken_home(server: Any, page: Any) -> None:
    compose(page, server, ("PCA", "Isomap"), 240)
    browser = page.page
    page.shot("maps-form")
    draw(page, 2)
    page.open(browser.url)  # a reload finds the map again
    done(page, 2)
    browser.locator(".latent-map[data-drawn]").wait_for(timeout=60_000)
    browser.wait_for_timeout(800)
    page.shot("maps-done")

    part(page, "Selection")
    browser.get_by_text("Draw around some points").wait_for(timeout=20_000)
    around(browser, 0, 0.2)
    wait_until(lambda: selected(browser) > 5)
    count = selected(browser)
    browser.get_by_text(f"{count} of 240 points", exact=True).wait_for(timeout=30_000)
    browser.get_by_text("Is this cluster real?").wait_for(timeout=30_000)
    link = browser.get_by_role("link", name=re.compile("CSV"))
    rows = [int(row) for row in str(link.get_attribute("href")).partition("rows=")[2].split(",")]
    with urllib.request.urlopen(server.url + str(link.get_attribute("href"))) as answer:
        table = list(csv.DictReader(io.StringIO(answer.read().decode())))
    assert len(table) == len(rows) == count, "the table holds what was drawn around"
    address = str(browser.get_by_role("link", name=re.compile("Parquet")).get_attribute("href"))
    with urllib.request.urlopen(server.url + address) as answer:
        stored = parquet.read_table(io.BytesIO(answer.read()))
    assert stored.column("image").to_pylist() == [int(row["image"]) for row in table]
    tiles = browser.locator(".lm-tiles button")
    assert [int(tile.get_attribute("data-row")) for tile in tiles.all()] == rows
    page.shot("maps-selection")
    browser.get_by_role("textbox", name="Name").fill("odd ones")
    browser.get_by_role("button", name="Keep this selection").click()
    browser.get_by_text(f"odd ones · {count}", exact=True).wait_for(timeout=30_000)
    browser.get_by_role("button", name="Clear", exact=True).click()
    browser.get_by_text("Draw around some points").wait_for(timeout=30_000)
    page.ready()
    browser.get_by_role("button", name="Select", exact=True).click()
    browser.get_by_text(f"{count} of 240 points", exact=True).wait_for(timeout=30_000)
    wait_until(lambda: selected(browser) == count)
    again = browser.get_by_role("link", name=re.compile("CSV")).get_attribute("href")
    assert [int(row) for row in str(again).partition("rows=")[2].split(",")] == rows

    part(page, "Point and neighbours")
    assert selected(browser) == count, "the selection outlives the page's reruns"
    tiles.first.click()
    browser.get_by_text("Nearest in the original space").wait_for(timeout=30_000)
    near = browser.locator(".gallery").nth(1).locator("button.picture")
    near.nth(2).hover()
    pointed = browser.locator(".latent-map[data-pointed]")
    wait_until(lambda: (pointed.get_attribute("data-pointed") or "") not in ("", str(rows[0])))
    near.nth(1).click()
    browser.get_by_role("button", name="Back", exact=True).wait_for(timeout=20_000)
    page.ready()
    page.shot("maps-neighbours")
    page.clean()


def test_a_film_and_noise_in_the_dark(server: Any, visit: Callable[..., Any]) -> None:
    page = visit(dark=True)
    compose(page, server, ("PCA", "t-SNE"), 150)
    draw(page, 2)
    browser = page.page
    part(page, "Replay")
    browser.get_by_text("Groups form early").wait_for(timeout=30_000)
    page.shot("maps-replay-dark")
    part(page, "Noise")
    browser.get_by_role("button", name="Draw noise of the same size").click()
    figures = browser.locator(".latent-map").get_by_text("trust", exact=True)
    wait_until(lambda: figures.count() == 4, seconds=120)
    page.shot("maps-noise-dark")
    page.clean()


def test_a_strip_is_drawn_stopped_taken_up_and_played(server: Any, page: Any) -> None:
    compose(page, server, ("PCA", "Isomap"), 180)
    browser = page.page
    draw(page, 2)
    part(page, "Film strip")
    browser.get_by_test_id("stMain").get_by_text("Isomap", exact=True).last.click()
    page.ready()
    browser.get_by_role("button", name="Draw the strip").click()
    browser.get_by_role("button", name="Stop", exact=True).click()
    browser.get_by_role("button", name="Draw the strip").wait_for(timeout=60_000)
    browser.get_by_role("button", name="Draw the strip").click()
    strip = browser.locator(".latent-map").nth(1)
    wait_until(lambda: strip.locator(".lm-panel").count() == 4, seconds=120)
    browser.get_by_text("One after another", exact=True).click()
    strip.get_by_role("button", name="Play").wait_for(timeout=30_000)
    strip.get_by_role("button", name="Neighbours 20").click()
    wait_until(lambda: strip.locator("h4").inner_text() == "Neighbours 20")
    assert strip.locator(".lm-box").count() == 1
    page.shot("maps-film-strip")
    page.clean()


def test_new_pictures_are_placed_by_a_process_of_their_own(server: Any, page: Any) -> None:
    compose(page, server, ("PCA", "Isomap"), 120)
    browser = page.page
    draw(page, 2)
    part(page, "New images")
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file, "PNG")
    picture = {"name": "odd <b>one</b>.png", "mimeType": "image/png", "buffer": file.getvalue()}
    browser.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(picture)
    browser.get_by_text("odd").first.wait_for(timeout=20_000)
    browser.get_by_role("button", name="Place them").click()
    browser.get_by_role("button", name="Stop", exact=True).wait_for(timeout=20_000)
    page.shot("maps-placing")
    browser.get_by_text("1 new image, 1 of them far from anything seen").wait_for(timeout=90_000)
    browser.get_by_text("Placed by PCA itself").wait_for(timeout=20_000)
    page.shot("maps-new")
    assert not [path for path in (server.workspace / "tmp").iterdir() if path.is_dir()]
    page.clean()


def test_the_form_and_a_map_fit_a_phone(server: Any, visit: Callable[..., Any]) -> None:
    page = visit(width=400, height=900)
    compose(page, server, ("PCA", "LLE"), 100)
    page.shot("maps-form-phone")
    draw(page, 2)
    page.page.locator(".latent-map[data-drawn]").wait_for(timeout=60_000)
    page.shot("maps-phone")
    wide = page.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 400, "nothing is wider than the screen"
    page.clean()

"""The map as a web page, opened from disk in a real browser: hover, legend, dark, and not one request."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.export.maps import write_map
from tests.export.map_runs import HOSTILE, NAMES, colour, coloured_set, map_of, map_run

MARGIN = 1.1  # of the points' extent that a panel shows
N = 24


class Page:
    """The page in a window; `where` says independently of it where a point must be."""

    def __init__(self, watched: Any, path: Path, run: str) -> None:
        self.page, self.found = watched.page, map_of(run)
        self.errors: list[str] = watched.errors
        self.requests: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.locator("#legend button").first.wait_for()
        self.wait("panels.every((panel) => panel.radius > 0)")
        self.card = self.page.locator("#card")

    def wait(self, holds: str) -> None:
        """Until an expression is true; asked from outside, for the page's policy forbids eval."""
        deadline = time.monotonic() + 20
        while not self.page.evaluate(holds):
            assert time.monotonic() < deadline, holds
            time.sleep(0.02)

    def where(self, panel: int) -> np.ndarray:
        """(n, 2) pixels of the window: the extent, a margin, one unit for both axes, upright."""
        at = list(self.found.aligned().values())[panel].astype(float)
        box = self.page.locator("section .box").nth(panel).bounding_box()
        low, high = at.min(axis=0), at.max(axis=0)
        unit = (high - low).max() * MARGIN / box["width"]
        middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        return middle + (at - (low + high) / 2) / unit * [1, -1]

    def picture(self, locator: Any) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)

    def hover(self, panel: int, row: int) -> None:
        x, y = self.where(panel)[row]
        self.page.mouse.move(x + 2, y - 2)
        self.page.locator(f'#card[data-row="{row}"]').wait_for()

    def clean(self) -> None:
        assert not self.errors and all(url.startswith(("file:", "data:")) for url in self.requests)
        assert sum(url.startswith("file:") for url in self.requests) == 1


@pytest.fixture
def opened(workspace: Path, tmp_path: Path, visit: Callable[..., Any]) -> Callable[..., Page]:
    def make(classes: list[str] = NAMES, dark: bool = False, **wanted: Any) -> Page:
        run = map_run(coloured_set(N, classes), **wanted)
        path = tmp_path / "map.html"
        write_map(run, path)
        return Page(visit(dark=dark), path, run)

    return make


def test_hovering_a_point_shows_its_own_image_class_and_name(opened: Callable[..., Page]) -> None:
    page = opened()
    for panel in (0, 1):
        for row in (0, 5, 17, 23):
            page.hover(panel, row)
            image = int(page.found.index[row])
            shown = page.picture(page.card.locator("canvas"))[30:-30, 30:-30]
            assert np.abs(shown - colour(image)).max() <= 6
            text = page.card.inner_text()
            assert f"{NAMES[image % 3]}-{image}.png" in text and f"image {image} ·" in text
    page.page.mouse.move(2, 2)
    assert page.card.is_hidden()
    page.clean()


def test_a_point_without_a_label_is_not_called_by_its_split_or_cluster(opened: Callable[..., Page]) -> None:
    page = opened(classes=[])
    page.hover(0, 5)
    assert page.card.locator("b").inner_text() == "no label"
    page.clean()


def test_a_dot_has_its_colour_and_is_ringed_on_every_panel(opened: Callable[..., Page]) -> None:
    page = opened()
    before = page.picture(page.page.locator("body"))
    fills = {0: (0x3F, 0x90, 0xDA), 1: (0xFF, 0xA9, 0x0E), 2: (0xBD, 0x1F, 0x01)}
    for panel in (0, 1):
        for row, (x, y) in enumerate(page.where(panel)):
            assert np.abs(before[round(y), round(x)] - fills[int(page.found.label[row])]).max() <= 8
    page.page.evaluate("ring(7)")
    after = page.picture(page.page.locator("body"))
    for panel in (0, 1):
        changed = np.argwhere((after != before).any(axis=2))
        x, y = page.where(panel)[7]
        near = np.hypot(changed[:, 1] - x, changed[:, 0] - y) < 14
        assert near.sum() > 30
    page.clean()


def test_a_click_in_the_legend_hides_a_group_from_eye_and_pointer(opened: Callable[..., Page]) -> None:
    page = opened()
    dog = page.page.locator("#legend button").filter(has_text="dog")
    assert dog.locator("small").inner_text() == "8"
    row = int(np.flatnonzero(page.found.label == 1)[0])
    x, y = page.where(0)[row]
    dog.click()
    assert dog.get_attribute("aria-pressed") == "false"
    x, y = page.where(0)[row]
    assert page.picture(page.page.locator("body"))[round(y), round(x)].tolist() == [255, 255, 255]
    page.page.mouse.move(x, y)
    assert page.card.is_hidden()
    page.page.locator("#all").click()
    page.hover(0, row)
    page.clean()


def test_points_can_be_coloured_by_something_else(opened: Callable[..., Page]) -> None:
    page = opened()
    page.page.locator("#way").select_option(label="split")
    assert page.page.locator("#legend button span").all_inner_texts() == ["train", "val"]
    assert page.page.locator("#legend button small").all_inner_texts() == ["18", "6"]
    page.clean()


def test_hostile_names_stay_text_and_run_nothing(opened: Callable[..., Page]) -> None:
    page = opened(HOSTILE)
    names = page.page.locator("#legend button span").all_inner_texts()
    assert names == [HOSTILE[0], HOSTILE[1], "tab here line end"]
    row = int(np.flatnonzero(page.found.label == 0)[0])
    page.hover(0, row)
    assert "<img src=x onerror=alert(1)>" in page.card.locator("span").inner_text()
    assert page.page.locator("body img, body b b, #legend b").count() == 0
    page.clean()


def test_dark_is_dark_and_a_larger_panel_keeps_its_points(opened: Callable[..., Page]) -> None:
    page = opened(dark=True)
    assert page.picture(page.page.locator("body"))[3, 3].max() < 60
    width = page.page.locator(".box").first.bounding_box()["width"]
    page.page.get_by_role("button", name="Larger").first.click()
    page.wait(f"panels[0].canvas.width > {1.5 * width}")
    page.hover(0, 11)
    image = int(page.found.index[11])
    assert np.abs(page.picture(page.card.locator("canvas"))[30:-30, 30:-30] - colour(image)).max() <= 6
    page.clean()


def test_a_map_of_three_axes_can_be_turned(opened: Callable[..., Page]) -> None:
    page = opened(methods=["pca"], dimensions=3)
    box = page.page.locator(".box").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = json.loads(page.page.evaluate("JSON.stringify([...panels[0].x])"))
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 90, y + 30, steps=4)
    page.page.mouse.up()
    after = json.loads(page.page.evaluate("JSON.stringify([...panels[0].x])"))
    assert np.abs(np.array(after) - before).max() > 20
    assert min(after) > 0 and max(after) < box["width"]
    page.clean()

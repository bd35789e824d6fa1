"""How fast the maps page is with many points: first panel, lasso, thumbnail under the pointer, zoom kept.

python benchmarks/maps_page.py [--six 10000] [--one 60000] [--images 2000] [--runs 3]

The maps are made up and written as a run writes them: groups of points, elsewhere in every panel, of tiny
drawn pictures. Headless Chromium draws WebGL in software, so a computer with a graphics card is faster. The
times are those of a person: from the address, the release of the mouse or its move, to what is then painted.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving import server  # noqa: E402
from engine import files  # noqa: E402
from engine.data.dataset import Dataset  # noqa: E402
from engine.data.writer import DatasetWriter  # noqa: E402
from engine.methods.latent_map_config import USUAL, only  # noqa: E402
from engine.runs import layout  # noqa: E402
from engine.runs.recipe import check_recipe, make_recipe  # noqa: E402
from engine.runs.store import RunStore  # noqa: E402
from engine.settings import settings  # noqa: E402

CLASSES = 10
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
POSITIONS = "f => [f.data[0].x, f.data[0].y].map(values => Array.from(values))"
PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
RANGES = "f => [...f.layout.xaxis.range, ...f.layout.yaxis.range]"
GOALS = {"first panel painted": 5.0, "lasso, all panels lit": 3.0, "hover, thumbnail": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--six", type=int, default=10_000, help="points of the map with six panels")
    parser.add_argument("--one", type=int, default=60_000, help="points of the map with one panel")
    parser.add_argument("--runs", type=int, default=3, help="times that each is looked at")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="replab-bench-") as folder:
        os.environ |= {"REPLAB_WORKSPACE": folder, "REPLAB_MIN_FREE_BYTES": "0"}
        for path in (settings().tmp, settings().runs, settings().datasets):
            path.mkdir(parents=True, exist_ok=True)
        files.write_json(settings().workspace / "first-start.json", {})
        dataset = drawn_set(max(given.six, given.one))
        maps = {
            "100 points on six panels, for what the page itself takes": finished_map(dataset, USUAL, 100),
            f"{given.six:,} points on six panels": finished_map(dataset, USUAL, given.six),
            f"{given.one:,} points on one panel": finished_map(dataset, USUAL[:1], given.one),
        }
        with server("app.py") as (url, _):
            look_at(maps, f"{url}/maps?data={dataset.id}", given.runs)


def drawn_set(n: int) -> Dataset:
    """So many pictures of 28 px, in classes of one colour each."""
    from PIL import Image

    random = np.random.default_rng(0)
    some = []
    for number in range(500):
        pixels = random.integers(0, 60, (28, 28, 3)) + 180 * (np.arange(3) == number % 3)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        some.append(file.getvalue())
    with DatasetWriter("Many") as writer:
        for number in range(n):
            writer.add(some[number % len(some)], f"picture-{number}.png")
        labels = np.arange(n) % CLASSES
        return writer.finish(
            classes=[f"class {k}" for k in range(CLASSES)], labels=labels, splits=np.zeros(n, np.uint8)
        )


def finished_map(dataset: Dataset, methods: tuple[str, ...], n: int) -> str:
    """The id of a map run of the first n images that looks finished."""
    recipe = check_recipe(
        make_recipe(
            {
                "dataset": dataset.id,
                "fingerprint": dataset.fingerprint,
                "method": "latent_map",
                "backbone": "pixels",
                "image_size": 28,
                "config": {**only(methods), "points": n},
            }
        )
    )
    store = RunStore()
    run = store.create(recipe, f"{n} points").id
    writer, index = store.writer(run), np.arange(n)
    labels = np.asarray(dataset.labels)[index]
    split = np.asarray(dataset.split_codes)[index]
    writer.map_part(layout.MAP_POINTS, index=index, split=split, label=labels, left_out=index[:0])
    near = (index[:, None] + np.arange(1, 25)) % n
    writer.map_part(
        layout.MAP_NEIGHBOURS, index=near.astype(np.int32), distance=np.ones(near.shape, np.float32)
    )
    writer.map_part(layout.MAP_CLUSTERS, label=labels.astype(np.int32))
    for number, name in enumerate(methods):
        positions, kept = groups(labels, number), np.full(n, 7, np.uint8)
        writer.map_part(name, positions=positions, kept=kept)
        quality = {"trustworthiness": 0.9, "continuity": 0.9, "k": 10}
        writer.metric(
            {"kind": "map", "method": name, "error": None, "seconds": 1.0, "landmarks": 0, "quality": quality}
        )
    writer.results({"points": n, "of": len(dataset)})
    writer.close()
    layout.write_status(store.folder(run), state="done", started=time.time() - 9, finished=time.time())
    return run


def groups(labels: np.ndarray, seed: int) -> np.ndarray:
    """(n, 2) float32: one group a class."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 4, (CLASSES, 2))
    return (centres[labels] + random.normal(0, 1.2, (len(labels), 2))).astype(np.float32)


def look_at(maps: dict[str, str], address: str, runs: int) -> None:
    """Look at each map, at the first once more before to warm up, and print what took how long."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )

        def visited(run: str) -> list[tuple[str, float]]:
            context = browser.new_context(viewport={"width": 1400, "height": 950})
            try:
                return Visit(context.new_page(), f"{address}&run={run}").times()
            finally:
                context.close()

        visited(next(iter(maps.values())))
        for name, run in maps.items():
            found: dict[str, list[float]] = {}
            for what, seconds in (one for _ in range(runs) for one in visited(run)):
                found.setdefault(what, []).append(seconds)
            tell(name, found)
        browser.close()


def tell(name: str, found: dict[str, list[float]]) -> None:
    print(f"{name}, load {os.getloadavg()[0]:.1f}", flush=True)
    for what, times in found.items():
        goal = f"  (goal: under {GOALS[what]:g})" if what in GOALS else ""
        print(
            f"  {what:28} {statistics.median(times):6.2f} s median, {max(times):.2f} s worst{goal}",
            flush=True,
        )


class Visit:
    """One look at a map in a fresh window."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.root = page.locator(".latent-map").first

    def times(self) -> list[tuple[str, float]]:
        """Seconds of each thing that a person does, in order."""
        found = [("first panel painted", self.timed(self.open))]
        self.page.wait_for_selector(IDLE)
        self.page.wait_for_timeout(1500)  # thumbnails and fonts
        found.append(("hover, thumbnail", self.hover()))
        self.zoom()
        before = self.ranges()
        found.append(("a rerun, zoom still there", self.timed(self.rerun)))
        assert np.allclose(before, self.ranges()), "the zoom is gone"
        found.append(("lasso, all panels lit", self.lasso()))
        found.append(("lasso, the page knows", self.timed(self.told)))
        return found

    def timed(self, action: Callable[[], None]) -> float:
        begun = time.perf_counter()
        action()
        self.page.evaluate(PAINTED)
        return time.perf_counter() - begun

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.locator(".latent-map[data-drawn]").first.wait_for(timeout=120_000)

    def middle(self) -> tuple[float, float, float]:
        """The middle of the first panel, and half its height."""
        place = self.page.locator(".lm-box").first
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] / 2

    def hover(self) -> float:
        """From the pointer on a point to its picture; the wait before a card is shown is part of it."""
        self.page.mouse.move(*self.central())
        return self.timed(lambda: self.page.locator(".lm-card:visible img:visible").wait_for(timeout=30_000))

    def central(self) -> tuple[float, float]:
        """Where the point of the first panel is that lies nearest to its middle."""
        x, y, _ = self.middle()
        box = self.page.locator(".lm-box").first.bounding_box()
        at = np.array(self.page.locator(".lm-figure").first.evaluate(POSITIONS))
        left, right, low, high = self.ranges()
        across = box["x"] + (at[0] - left) / (right - left) * box["width"]
        down = box["y"] + (high - at[1]) / (high - low) * box["height"]
        nearest = int(np.hypot(across - x, down - y).argmin())
        return float(across[nearest]), float(down[nearest])

    def zoom(self) -> None:
        x, y, _ = self.middle()
        self.page.mouse.move(x, y)
        self.page.keyboard.down("Control")
        self.page.mouse.wheel(0, -300)
        self.page.keyboard.up("Control")
        self.page.wait_for_timeout(1500)
        self.page.mouse.move(5, 5)

    def ranges(self) -> list[float]:
        return [float(end) for end in self.page.locator(".lm-figure").first.evaluate(RANGES)]

    def rerun(self) -> None:
        self.page.get_by_test_id("stMain").get_by_text("Selection", exact=True).first.click()
        self.page.get_by_text("Draw around some points").wait_for(timeout=60_000)

    def lasso(self) -> float:
        """Around a part of the first panel; from the release of the button to the paint."""
        x, y, half = self.middle()
        turn = np.linspace(0, 2 * np.pi, 40)
        path = np.array([x, y]) + 0.8 * half * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        self.page.mouse.move(*path[0])
        self.page.mouse.down()
        for place in path[1:]:
            self.page.mouse.move(*place)
        return self.timed(self.release)

    def release(self) -> None:
        self.page.mouse.up()
        self.page.wait_for_function(
            "() => Number(document.querySelector('.latent-map').dataset.selected) > 0"
        )

    def told(self) -> None:
        count = int(self.root.get_attribute("data-selected") or 0)
        self.page.get_by_text(f"{count:,} of ").first.wait_for(timeout=120_000)


if __name__ == "__main__":
    main()

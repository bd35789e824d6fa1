"""Driving the latent map in a browser: its own server, where points must be, what is seen there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.browser.map_points import IMAGES, positions

ROOT = Path(__file__).resolve().parents[2]
PORT_WORDS = "URL: http://127.0.0.1:"
MARGIN = 1.1  # of the points' extent that a panel shows
RING = 8  # px from a point of this size to the middle of its ring
ALPHA = "(c, at) => at.map(([x, y]) => c.getContext('2d').getImageData(x, y, 1, 1).data[3])"


@contextlib.contextmanager
def map_server(folder: Path) -> Iterator[str]:
    """A server with nothing but the map, on a port that it finds free; gives its address."""
    log = folder / "server.log"
    environment = {
        **os.environ,
        "REPLAB_WORKSPACE": str(folder / "workspace"),
        "REPLAB_DEVICE": "cpu",
        "REPLAB_MIN_FREE_BYTES": "0",
    }
    command = [sys.executable, "-m", "streamlit", "run", "tests/browser/map_app.py", "--server.port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield started(process, log)
    finally:
        process.terminate()
        process.wait(15)


def started(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        words = log.read_text()
        if PORT_WORDS in words:
            url = "http://127.0.0.1:" + words.split(PORT_WORDS)[1].split()[0].strip("/")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return url
        time.sleep(0.05)
    raise RuntimeError(f"the server did not answer within a minute:\n{log.read_text()[-2000:]}")


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)


class Map:
    """The map in a browser window, drawn; `where` says independently of it where a point must be."""

    def __init__(self, watched: Any, address: str, step: str = "six", n: int = IMAGES) -> None:
        self.watched, self.page, self.n = watched, watched.page, n
        watched.open(f"{address}/?step={step}&n={n}")
        self.root = self.page.locator(".latent-map")
        self.page.locator(".latent-map[data-drawn]").wait_for(timeout=60_000)

    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.page.locator("#told").inner_text()))

    def drawn(self) -> int:
        return int(self.root.get_attribute("data-drawn"))

    def after_drawing(self, action: Callable[[], Any]) -> None:
        before = self.drawn()
        action()
        wait_until(lambda: self.drawn() > before)

    def selected(self) -> int:
        return int(self.root.get_attribute("data-selected") or 0)

    def count(self, name: str) -> str:
        return str(self.class_button(name).locator("small").inner_text())

    def class_button(self, name: str) -> Any:
        return self.page.locator(".lm-legend button").filter(has_text=name)

    def where(self, panel: int, rows: Any = None) -> np.ndarray:
        """(m, 2) pixels of the window: the extent, a margin, one unit for both axes, upright."""
        at = positions(panel, self.n)
        box = self.page.locator(".lm-box").nth(panel).bounding_box()
        low, high = at.min(axis=0), at.max(axis=0)
        unit = max((high - low) / [box["width"], box["height"]]) * MARGIN
        centre = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        found = centre + (at - (low + high) / 2) / unit * [1, -1]
        return found if rows is None else found[rows]

    def ranges(self, panel: int) -> list[float]:
        """What Plotly shows of a flat panel: x from, x to, y from, y to."""
        suffix = panel + 1 if panel else ""
        script = f"f => [...f.layout.xaxis{suffix}.range, ...f.layout.yaxis{suffix}.range]"
        return [float(end) for end in self.page.locator(".lm-figure").evaluate(script)]

    def drag(self, path: np.ndarray) -> None:
        mouse = self.page.mouse
        mouse.move(*path[0])
        mouse.down()
        for place in path[1:]:
            mouse.move(*place, steps=2)
        mouse.up()

    def search(self, words: str) -> None:
        field = self.page.get_by_role("searchbox")
        field.fill(words)
        field.press("Enter")


def lonely(at: np.ndarray, clear: float = 16) -> list[int]:
    """Rows whose point has no other near it, so that pointing at it means no other."""
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + 1e6 * np.eye(len(at))
    return list(np.flatnonzero(apart.min(axis=1) > clear))


def circle(middle: np.ndarray, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 40)
    return middle + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)


def mean_colour(locator: Any) -> np.ndarray:
    picture = np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(float)
    inner = picture[20:-20, 20:-20] if min(picture.shape[:2]) > 60 else picture[8:-12, 8:-8]
    return inner.mean(axis=(0, 1))


def mean_of(rgb: str) -> np.ndarray:
    return np.array([float(part) for part in rgb[4:-1].split(",")])


def bright_everywhere(view: Map, chosen: list[int]) -> None:
    """The canvas above the points shows the selected ones, and no other, in every panel."""
    origin = view.page.locator(".lm-plots").bounding_box()
    canvas = view.page.locator(".lm-canvas").nth(1)
    for panel in range(6):
        apart = lonely(view.where(panel), clear=10)
        at = np.round(view.where(panel, apart) - [origin["x"], origin["y"]]).astype(int)
        alpha = canvas.evaluate(ALPHA, at.tolist())
        lit = {row for row, value in zip(apart, alpha, strict=True) if value > 100}
        assert lit == set(apart) & set(chosen), f"panel {panel}"


def ringed(view: Map, rows: list[int]) -> list[set[int]]:
    """Which of some rows, far from all others there, have a ring of points around them, by panel."""
    origin = view.page.locator(".lm-plots").first.bounding_box()
    canvas = view.page.locator(".lm-canvas").nth(2)
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    around = RING * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    found = []
    for panel in range(6):
        at = view.where(panel, rows) - [origin["x"], origin["y"]]
        alpha = canvas.evaluate(ALPHA, np.round(at[:, None] + around).astype(int).reshape(-1, 2).tolist())
        found.append(
            {row for row, ring in zip(rows, np.reshape(alpha, (-1, 12)), strict=True) if ring.min() > 100}
        )
    return found


def film_shows(film: Any, panel: int = 0) -> np.ndarray:
    """(n, 2) where the one panel of a film, or one of a map, has its points, in the map's own unit."""
    script = "(f, k) => [f.data[k].x, f.data[k].y].map(values => Array.from(values))"
    return np.array(film.locator(".lm-figure").evaluate(script, panel)).T


def point_somewhere(view: Map, box: dict[str, float]) -> int:
    """Move over a scene until a point's card is shown, and tell its row."""
    card = view.page.locator(".lm-card")
    for place in range(40, int(min(box["width"], box["height"])) - 10, 5):
        view.page.mouse.move(box["x"] + box["width"] / 2 - 150 + place, box["y"] + box["height"] / 2)
        view.page.wait_for_timeout(220)
        if card.is_visible():
            return int(card.inner_text().split("-")[-1].split(".")[0])
    raise AssertionError("no point was found in the scene")

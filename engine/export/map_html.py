"""A map as one web page that needs no network: every panel, the points' images, figures, and the recipe.

The page's style and script lie beside this file. Names from a data set reach it as JSON or escaped text only,
and its content policy lets it load nothing but what it holds.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.splits import SPLITS
from engine.evaluation.map_result import LatentMap, Panel
from engine.export.map_figures import (
    SHAPES,
    Grouping,
    captions,
    data_of,
    figures,
    groupings,
    headline,
    plain,
    told_panels,
    versions,
)
from engine.export.map_thumbnails import own_side, padded, sheet, spread, thumbnails

MOST_BYTES = 15_000_000  # of the whole file
MOST_NAMES = 4_000_000  # bytes of all file names; beyond, the page goes without them
SIDES = (48, 32, 24)  # px of a thumbnail, tried in this order
SHEET = 1024  # px; thumbnails lie on sheets of no more than its square, each decoded when it is looked at
SPARE = 20_000  # bytes for what is said of the pictures, besides 6 a point for where its picture is
TRIED = 192  # thumbnails by which the size of all is guessed
QUALITY = 82
STEPS = 65_535  # a place is kept to so many parts of the panel's extent
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
BESIDE = Path(__file__).parent


@dataclass(frozen=True)
class Pictures:
    """Thumbnails on sheets.

    Attributes:
        rows: (m,) ascending points that have one.
        side: Pixels of a thumbnail.
        cell: Pixels of its place on a sheet.
        in_row: Thumbnails in a row of a sheet, and rows on it.
        sheets: JPEGs.
    """

    rows: np.ndarray
    side: int
    cell: int
    in_row: int
    sheets: tuple[bytes, ...]

    @property
    def weight(self) -> int:
        """Bytes in the file, where they are base64."""
        return sum(4 * -(-len(data) // 3) for data in self.sheets)


def write_html(found: LatentMap, file: IO[bytes]) -> None:
    """The map as a web page of at most `MOST_BYTES`; where not all images fit, it says how many it has.

    Raises:
        UserError: An image is damaged on disk.
    """
    dataset = data_of(found)
    ways = groupings(found, dataset)
    data = _data(found, dataset, ways)
    n, bare = len(found.index), len(_page(found, dataset, {**data, "pictures": None}).encode())
    room = MOST_BYTES - bare - 6 * n - SPARE
    pictures = pictures_within(dataset, found, ways[0].of, room) if dataset else None
    data["pictures"] = _told_pictures(pictures, n)
    file.write(_page(found, dataset, data).encode())


def pictures_within(dataset: Dataset, found: LatentMap, groups: np.ndarray, room: int) -> Pictures | None:
    """The largest thumbnails that fit, of all points or of the same share of every group.

    Args:
        dataset: Whose images.
        found: The map.
        groups: (n,) what to share fairly among.
        room: Bytes.

    Returns:
        None where not one fits.
    """
    n = len(found.index)
    most = own_side(dataset, SIDES[0])
    sides = [most, *(side for side in SIDES if side < most)]
    tried = found.index[spread(groups, TRIED)]
    for side in sides:
        each = _on_sheets(dataset, tried, np.arange(len(tried)), side).weight / len(tried)
        fit = int(0.95 * room / each)
        if fit >= n:
            break
    rows = spread(groups, max(0, min(n, fit)))
    while len(rows):
        pictures = _on_sheets(dataset, found.index[rows], rows, side)
        if pictures.weight <= room:
            return pictures
        rows = spread(groups, int(0.9 * len(rows) * room / pictures.weight))
    return None


def _on_sheets(dataset: Dataset, index: np.ndarray, rows: np.ndarray, side: int) -> Pictures:
    thumbs = padded(thumbnails(dataset, index, side))
    cell = thumbs.shape[1]
    in_row = SHEET // cell
    sheets = []
    for first in range(0, len(thumbs), in_row**2):
        buffer = io.BytesIO()
        picture = Image.fromarray(sheet(thumbs[first : first + in_row**2], in_row))
        picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)  # full colour: a few pixels are all
        sheets.append(buffer.getvalue())
    return Pictures(rows, side, cell, in_row, tuple(sheets))


def _told_pictures(pictures: Pictures | None, n: int) -> dict[str, Any] | None:
    if pictures is None:
        return None
    place = np.full(n, -1, np.int32)
    place[pictures.rows] = np.arange(len(pictures.rows))
    return {
        "count": len(pictures.rows),
        "side": pictures.side,
        "cell": pictures.cell,
        "inRow": pictures.in_row,
        "place": _packed(place.astype("<i4")),
        "sheets": [base64.b64encode(data).decode() for data in pictures.sheets],
    }


def _data(found: LatentMap, dataset: Dataset | None, ways: list[Grouping]) -> dict[str, Any]:
    """What the script draws from; all arrays are base64 of little-endian numbers."""
    positions = found.aligned()
    names = [plain(dataset.names[int(place)], 80) for place in found.index] if dataset else []
    few = sum(len(name.encode()) + 3 for name in names) <= MOST_NAMES
    return {
        "n": len(found.index),
        "shapes": SHAPES,
        "panels": [_places(positions[panel.method]) for panel in found.done],
        "ways": [
            {
                "name": way.name,
                "groups": [[group.name, group.count, group.colour, group.shape] for group in way.groups],
                "of": _packed(way.of.astype("<u2")),
            }
            for way in ways
        ],
        "names": names if few else [],
        "index": _packed(found.index.astype("<u4")),
        "split": _packed(found.split.astype(np.uint8)),
        "splits": SPLITS,
    }


def _places(positions: np.ndarray) -> dict[str, Any]:
    """Places as whole steps along each axis, all axes of one unit; upright, the middle in the middle."""
    low, high = positions.min(axis=0).astype(np.float64), positions.max(axis=0).astype(np.float64)
    unit = float((high - low).max()) or 1.0
    steps = np.round((0.5 + (positions - (low + high) / 2) / unit) * STEPS).clip(0, STEPS)
    return {"dim": positions.shape[1], "at": _packed(np.ascontiguousarray(steps.T).astype("<u2"))}


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _json(value: Any) -> str:
    """JSON that a script element holds as data, whatever its texts say."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # plain ASCII
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _page(found: LatentMap, dataset: Dataset | None, data: dict[str, Any]) -> str:
    style = (BESIDE / "map_page.css").read_text(encoding="utf-8")
    script = (BESIDE / "map_page.js").read_text(encoding="utf-8")
    title = escape(headline(found, dataset))
    place = {panel.method: number for number, panel in enumerate(found.done)}
    panels = "".join(_panel(panel, place.get(panel.method)) for panel in told_panels(found))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{escape(_said(data))}</p></header>
<noscript><p>The maps are drawn by a script in this file: allow it to run to see them.</p></noscript>
<div id="bar"><label>Colour by <select id="way"></select></label>
<button id="all" hidden>Show all</button></div>
<div id="legend" role="group" aria-label="Groups: click to hide or show"></div>
<main>{panels}</main>
<div id="card" hidden><canvas width="144" height="144"></canvas><b></b><span></span><small></small></div>
{_made(found)}
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _said(data: dict[str, Any]) -> str:
    pictures, n = data["pictures"], data["n"]
    count = pictures["count"] if pictures else 0
    which = "all" if count == n else f"{count:,} of {n:,}"
    end = f"This file holds the images of {which} points." if count else "This file holds no images."
    return f"Point at a dot to see its image; the same point is ringed on every map. {end}"


def _panel(panel: Panel, place: int | None) -> str:
    told = "".join(
        f'<span title="{escape(words)}">{escape(name)} <b>{escape(value)}</b></span>'
        for name, value, words in figures(panel)
    )
    head = f"<h2>{escape(panel.title)}</h2>"
    if place is None:
        return f'<section>{head}<div class="box"><p>{escape(panel.error or "")}</p></div></section>\n'
    seen, beware, notes = captions(panel)
    turn = "<p>Drag to turn it.</p>" if panel.positions is not None and panel.positions.shape[1] > 2 else ""
    lines = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f'<section data-panel="{place}">{head}<button aria-pressed="false">Larger</button>'
        f'<div class="figures">{told}</div><div class="box">'
        f'<canvas role="img" aria-label="The map"></canvas><canvas aria-hidden="true"></canvas></div>'
        f"<p><b>To see:</b> {escape(seen)}</p><p><b>Not to conclude:</b> {escape(beware)}</p>{turn}{lines}"
        "</section>\n"
    )


def _made(found: LatentMap) -> str:
    """Recipe, seed and versions, for whoever wants to make the map again."""
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    k = found.settings.neighbours
    return (
        f"<footer><p>Figures by {k} nearest neighbours. Seed {found.recipe.seed}. "
        f"Written with {escape(known)}.</p><details><summary>Recipe</summary>"
        f"<pre>{escape(found.recipe.to_json())}</pre></details></footer>"
    )

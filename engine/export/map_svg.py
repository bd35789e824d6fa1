"""A map as a drawing for print: panels, figures and legend laid out once, written as SVG or drawn as PNG."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.evaluation.map_result import LatentMap, Panel
from engine.export.map_figures import (
    SHAPES,
    Grouping,
    captions,
    data_of,
    figures,
    groupings,
    headline,
    mixed_order,
    plain,
    told_panels,
)
from engine.settings import PROJECT_ROOT

BOX = 360  # side of a panel's square, in units of the drawing
GAP, EDGE = 28, 32
ABOVE, LINE = 42, 14.5  # room for title and figures, and from line to line
COLUMNS = 3
MARGIN = 1.1  # of the points' extent that a panel shows
MOST_IN_LEGEND = 40
LETTERS = 62  # of a caption's line
INK, QUIET, FRAME = "#1d1f2a", "#5c5f6e", "#d5d7e0"
SCALE = 2  # pixels of the PNG to a unit
SMOOTH = 2  # drawn so much larger and shrunk
FONTS = PROJECT_ROOT / "assets" / "fonts"


@dataclass(frozen=True)
class Words:
    """One line of text, its baseline beginning at (x, y)."""

    x: float
    y: float
    text: str
    size: float = 11
    bold: bool = False
    colour: str = QUIET


@dataclass(frozen=True)
class Dots:
    """Marks of one panel, or one of the legend.

    Attributes:
        at: (n, 2) places in the drawing.
        colours: n colours.
        shapes: n places in SHAPES.
        radius: Of a circle.
        title: Whose they are.
    """

    at: np.ndarray
    colours: list[str]
    shapes: list[int]
    radius: float
    title: str = ""


@dataclass
class Drawing:
    """What is drawn, in units that are pixels at scale 1."""

    width: int
    height: int = 0
    words: list[Words] = field(default_factory=list)
    boxes: list[tuple[float, float]] = field(default_factory=list)
    dots: list[Dots] = field(default_factory=list)


def write_svg(found: LatentMap, file: IO[bytes]) -> None:
    """The map as SVG: a circle a point (other shapes where the colours begin anew), text as text."""
    for part in _svg(drawing_of(found)):
        file.write(part.encode())


def write_png(found: LatentMap, file: IO[bytes]) -> None:
    """The same drawing as a PNG, at two pixels a unit."""
    _png(drawing_of(found)).save(file, "PNG")


def drawing_of(found: LatentMap) -> Drawing:
    """Lay the panels out in rows of three, all turned onto the first, with the legend below."""
    dataset = data_of(found)
    grouping, panels = groupings(found, dataset)[0], told_panels(found)
    columns = min(COLUMNS, len(panels))
    width = 2 * EDGE + columns * BOX + (columns - 1) * GAP
    drawing = Drawing(width)
    title = headline(found, dataset)
    drawing.words.append(Words(EDGE, 38, plain(title, 52 * columns), 16 if columns > 1 else 13, True, INK))
    positions, y = found.aligned(), 54.0
    for first in range(0, len(panels), columns):
        bottoms = [
            _panel(drawing, panel, positions.get(panel.method), grouping, EDGE + place * (BOX + GAP), y)
            for place, panel in enumerate(panels[first : first + columns])
        ]
        y = max(bottoms) + GAP / 2
    drawing.height = math.ceil(_legend(drawing, grouping, found, y + 6) + EDGE / 2)
    return drawing


def _panel(
    drawing: Drawing, panel: Panel, positions: np.ndarray | None, grouping: Grouping, x: float, y: float
) -> float:
    """One panel with its words; gives where it ends."""
    told = "   ".join(f"{name} {value}" for name, value, _ in figures(panel))
    drawing.words += [Words(x, y + 18, panel.title, 15, True, INK), Words(x, y + 34, told)]
    top = y + ABOVE
    drawing.boxes.append((x, top))
    if positions is None:
        for i, line in enumerate(textwrap.wrap(panel.error or "", LETTERS - 6)):
            drawing.words.append(Words(x + 14, top + 26 + i * LINE, line))
        return top + BOX
    order = mixed_order(len(positions))
    groups = [grouping.groups[place] for place in grouping.of[order]]
    at = placed(positions)[order] * BOX + (x, top)
    radius = dot_radius(len(positions))
    looks = [group.colour for group in groups], [group.shape for group in groups]
    drawing.dots.append(Dots(at, *looks, radius, panel.title))
    seen, beware, notes = captions(panel)
    flat = ["Seen along its third axis."] if positions.shape[1] > 2 else []
    y = top + BOX + 4
    for sentence in (seen, beware, *flat, *notes):
        for line in textwrap.wrap(sentence, LETTERS):
            y += LINE
            drawing.words.append(Words(x, y, line))
    return y


def placed(positions: np.ndarray) -> np.ndarray:
    """(n, 2) places in a unit square, right way up, with the margin and one unit for both axes."""
    flat = positions[:, :2].astype(np.float64)
    low, high = flat.min(axis=0), flat.max(axis=0)
    unit = float((high - low).max()) * MARGIN or 1.0
    return 0.5 + (flat - (low + high) / 2) / unit * [1, -1]


def dot_radius(n: int) -> float:
    """Smaller the more there are, and never too small to be seen in print."""
    return float(np.clip(70 / np.sqrt(n), 0.9, 4))


def _legend(drawing: Drawing, grouping: Grouping, found: LatentMap, y: float) -> float:
    """Groups with their counts, as many in a row as fit, and the seed; gives where it ends."""
    shown = grouping.groups[:MOST_IN_LEGEND]
    x, y = float(EDGE), y + LINE
    for group in shown:
        text = f"{plain(group.name, 32)}  {group.count:,}"
        wide = 30 + 6.4 * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
        if x + wide > drawing.width - EDGE and x > EDGE:
            x, y = float(EDGE), y + 1.4 * LINE
        drawing.dots.append(Dots(np.array([[x + 5, y - 4]]), [group.colour], [group.shape], 5))
        drawing.words.append(Words(x + 16, y, text, 11, False, INK))
        x += wide
    more = len(grouping.groups) - len(shown)
    if more:
        y += 1.4 * LINE
        drawing.words.append(Words(EDGE, y, f"and {more:,} more"))
    y += 1.8 * LINE
    told = f"Coloured by {grouping.name}. Seed {found.recipe.seed}. Distances have no unit."
    drawing.words.append(Words(EDGE, y, told))
    return y


def _svg(drawing: Drawing) -> Iterator[str]:
    width, height = drawing.width, drawing.height
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" font-family="Inter, Helvetica, sans-serif">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
    )
    for x, y in drawing.boxes:
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{BOX}" height="{BOX}" rx="6" fill="none" '
            f'stroke="{FRAME}"/>\n'
        )
    for dots in drawing.dots:
        yield f"<g data-panel={quoteattr(dots.title)}>\n" if dots.title else '<g data-legend="1">\n'
        for (x, y), colour, shape in zip(dots.at.tolist(), dots.colours, dots.shapes, strict=True):
            yield _mark(x, y, colour, shape, dots.radius)
        yield "</g>\n"
    for words in drawing.words:
        weight = ' font-weight="600"' if words.bold else ""
        yield (
            f'<text x="{words.x:.1f}" y="{words.y:.1f}" font-size="{words.size:g}" fill="{words.colour}"'
            f'{weight} xml:space="preserve">{escape(words.text)}</text>\n'
        )
    yield "</svg>\n"


def _mark(x: float, y: float, colour: str, shape: int, radius: float) -> str:
    if not shape:
        return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{colour}"/>\n'
    corners = " ".join(f"{x + a * radius:.2f},{y + b * radius:.2f}" for a, b in SHAPES[shape])
    return f'<polygon points="{corners}" fill="{colour}"/>\n'


def _png(drawing: Drawing) -> Image.Image:
    unit = SCALE * SMOOTH
    picture = Image.new("RGB", (drawing.width * unit, drawing.height * unit), "#ffffff")
    pen = ImageDraw.Draw(picture)
    for x, y in drawing.boxes:
        corners = [x * unit, y * unit, (x + BOX) * unit, (y + BOX) * unit]
        pen.rounded_rectangle(corners, 6 * unit, outline=FRAME, width=unit)
    for dots in drawing.dots:
        radius = dots.radius * unit
        for (x, y), colour, shape in zip((dots.at * unit).tolist(), dots.colours, dots.shapes, strict=True):
            if shape:
                pen.polygon([(x + a * radius, y + b * radius) for a, b in SHAPES[shape]], fill=colour)
            else:
                pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
    for words in drawing.words:
        x = words.x * unit
        for extended, run in groupby(words.text, _is_extended):
            text, font = "".join(run), _font(words.size * unit, words.bold, extended)
            pen.text((x, words.y * unit), text, words.colour, font, anchor="ls")
            x += font.getlength(text)
    return picture.reduce(SMOOTH)


def _is_extended(letter: str) -> bool:
    """Whether a letter is in the second of the two files that the app's font comes in."""
    return "\u0100" <= letter <= "\u024f" or "\u1e00" <= letter <= "\u1eff"


@lru_cache(maxsize=16)
def _font(size: float, bold: bool, extended: bool) -> Any:
    try:
        font = ImageFont.truetype(FONTS / f"inter-latin{'-ext' if extended else ''}.woff2", size)
        font.set_variation_by_name("SemiBold" if bold else "Regular")
        return font
    except (OSError, NotImplementedError):  # Pillow was built without it
        return ImageFont.load_default(size)

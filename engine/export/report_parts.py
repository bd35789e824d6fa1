"""Pieces that a report is put together from: escaped text, tables, pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.export.map_figures import plain
from engine.export.map_thumbnails import own_side, thumbnails

SIDE = 64  # px of a thumbnail
LARGE = 96  # px at which pictures smaller than a thumbnail are shown


def text(value: object, limit: int = 200) -> str:
    """Anything from outside as one line of text that HTML shows letter by letter."""
    return escape(plain(value, limit))


def section(title: str, *parts: str, note: str = "") -> str:
    """A part of the page with its heading; nothing where all its parts are empty."""
    body = "".join(parts)
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>\n" if body else ""


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values below each other, those without a value left out; the values come from anywhere."""
    there = [(name, value) for name, value in pairs if value not in (None, "")]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{text(value, 400)}</dd>" for name, value in there)
    return f"<dl>{rows}</dl>" if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]], marked: str = "") -> str:
    """A table whose first column is words and whose others are figures; cells come from anywhere."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = []
    for row in rows:
        first, *rest = row
        cells = "".join(f"<td>{text(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{text(first, 80)}</th>{cells}</tr>')
    if not lines:
        return ""
    shown = f' class="{marked}"' if marked else ""
    return f'<div class="scroll"><table{shown}><tr>{top}</tr>{"".join(lines)}</table></div>'


def cards(found: Iterable[tuple[str, str, str]]) -> str:
    """Headline figures: (name, figure, what it means), all of them ours."""
    boxes = "".join(
        f"<div><small>{escape(name)}</small><b>{escape(figure)}</b><span>{escape(words)}</span></div>"
        for name, figure, words in found
    )
    return f'<div class="cards">{boxes}</div>' if boxes else ""


def picture(pixels: np.ndarray, alt: str, shown: int = SIDE) -> str:
    """(H, W, 3) uint8 as a picture inside the page."""
    file = io.BytesIO()
    small = max(pixels.shape[:2]) <= SIDE
    Image.fromarray(pixels).save(file, "PNG" if small else "JPEG", quality=88)
    kind = "png" if small else "jpeg"
    return (
        f'<img src="data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}" '
        f'width="{shown}" alt="{text(alt, 100)}" title="{text(alt, 100)}">'
    )


def data_picture(data: bytes, kind: str, alt: str) -> str:
    """A whole picture file inside the page."""
    return f'<img class="wide" src="data:{kind};base64,{base64.b64encode(data).decode()}" alt="{text(alt)}">'


def images(dataset: Dataset, index: Sequence[int] | np.ndarray, captions: Sequence[str] = ()) -> str:
    """Thumbnails of some images of a data set, each with a caption where there is one.

    Raises:
        UserError: An image is damaged on disk.
    """
    chosen = np.asarray(index, np.int64)
    if not len(chosen):
        return ""
    thumbs = thumbnails(dataset, chosen, own_side(dataset, SIDE))
    shown = []
    for row, thumb in enumerate(thumbs):
        said = captions[row] if row < len(captions) else ""
        under = f"<figcaption>{text(said, 40)}</figcaption>" if said else ""
        shown.append(f"<figure>{picture(thumb, dataset.names[int(chosen[row])])}{under}</figure>")
    return f'<div class="images">{"".join(shown)}</div>'


def share(value: Any) -> str:
    """A share in per cent; a dash where it is not known."""
    return f"{value:.1%}" if isinstance(value, (int, float)) else "–"


def figure(value: Any) -> str:
    """A number for reading; a dash where it is not known."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

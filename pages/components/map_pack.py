"""The latent map's pack: what its panels show, as one block of bytes that a browser reads in place.

Layout: a little-endian u32 with the header's length, the header as JSON, zeros up to a multiple of 4, then
the arrays; each `at` in the header counts bytes from the start of the arrays.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.export.map_figures import COLOURS
from pages.components.text import one_line

State = Literal["done", "working", "waiting", "failed"]
VERSION = 2
MOST_PANELS = 6
MOST_POINTS = 60_000
NO_CLASS = 65_535  # the code of a point without a class
MOST_CAPTION = 80  # characters of one point's name
MOST_CAPTION_BYTES = 4_000_000  # of all names; beyond, the map goes without them

# Eleven steps of viridis, even in lightness for every kind of colour vision: S. van der Walt, N. Smith, 2015
SCALE = [
    *("#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c"),
    *("#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"),
]


@dataclass(frozen=True)
class Panel:
    """One map, finished or not.

    Attributes:
        title: Its heading; the map keeps zoom by title, so titles differ.
        positions: (n, 2) or (n, 3) float32, not finite where a point has no place; None while there are none.
        state: How far it is.
        sentence: The progress of a working panel, or why one failed.
        lines: Captions below: what one sees, what not to conclude.
        figures: (name, value, help) shown under the title.
    """

    title: str
    positions: np.ndarray | None
    state: State = "done"
    sentence: str = ""
    lines: Sequence[str] = ()
    figures: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True)
class ColourField:
    """Something that points can be coloured by.

    Attributes:
        name: What it is, such as "class".
        kind: "class" or "number".
        values: (n,) codes of `names`, NO_CLASS for none; or (n,) numbers, not finite for none.
        names: The classes' names; plain text.
        unit: Of the numbers.
    """

    name: str
    kind: Literal["class", "number"]
    values: np.ndarray
    names: Sequence[str] = ()
    unit: str = ""


@dataclass(frozen=True)
class Pictures:
    """Where the points' images are; see `sprites.pictures_of`.

    Attributes:
        dataset: Id of the data set.
        fingerprint: Of its content; part of every address, so that a browser may keep the pictures for good.
        index: (n,) image of each point.
        side: Pixels of a thumbnail.
        cell: Pixels of its place on a sheet.
        columns: Thumbnails in a row of a sheet.
        per_sheet: Points whose images share a sheet.
        smallest: Shorter side of the set's typical image; small ones are enlarged with hard edges.
    """

    dataset: str
    fingerprint: str
    index: np.ndarray
    side: int
    cell: int
    columns: int
    per_sheet: int
    smallest: int


class Payload:
    """Arrays behind each other, every one on a multiple of 4 bytes, so that a browser reads it in place."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, data: bytes) -> int:
        """Append and return where it begins."""
        at = self.length
        padded = data + b"\0" * (-len(data) % 4)
        self.parts.append(padded)
        self.length += len(padded)
        return at


def pack(
    panels: Sequence[Panel],
    colours: Sequence[ColourField],
    captions: Sequence[str] | None = None,
    pictures: Pictures | None = None,
    n: int | None = None,
    labels: ColourField | None = None,
) -> bytes:
    """The bytes of a map of `n` points; row i is the same point in every array.

    Args:
        panels: One to six.
        colours: At least one; the first is shown at first.
        captions: The n names of the points, such as file names; left out where they are too many to send.
        pictures: The points' images, if they have any.
        n: How many points; where None, as many as the first colour field has.
        labels: The points' classes, as a card names them, whether or not they are one of the colours; None
            where no point has a label.

    Raises:
        ValueError: Too many panels or points, two panels of one title, or lengths that do not agree.
    """
    if not 1 <= len(panels) <= MOST_PANELS:
        raise ValueError(f"panels must be 1 to {MOST_PANELS}, got {len(panels)}")
    if not colours:
        raise ValueError("colours must hold at least one field")
    if len({panel.title for panel in panels}) < len(panels):
        raise ValueError("panels must have different titles")
    n = len(colours[0].values) if n is None else n
    if n > MOST_POINTS:
        raise ValueError(f"n must be at most {MOST_POINTS}, got {n}")
    payload = Payload()
    told = [_colour(field, n, payload) for field in colours]
    header = {
        "version": VERSION,
        "n": n,
        "panels": [_panel(panel, n, payload) for panel in panels],
        "colours": told,
        "labels": _labels(labels, colours, told, n, payload),
        "captions": _captions(captions, n, payload),
        "pictures": _pictures(pictures, n, payload),
        "points": points_id(n, pictures),
        "palette": list(COLOURS),
        "scale": SCALE,
    }
    head = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([struct.pack("<I", len(head)), head, b"\0" * (-(4 + len(head)) % 4), *payload.parts])


def _labels(
    labels: ColourField | None,
    colours: Sequence[ColourField],
    told: list[dict[str, Any]],
    n: int,
    payload: Payload,
) -> dict[str, Any] | None:
    """The points' classes; the same array where they are one of the colours."""
    for each, field in zip(told, colours, strict=True):
        if field is labels:
            return each
    return None if labels is None else _colour(labels, n, payload)


def points_id(n: int, pictures: Pictures | None) -> str:
    """Equal for equal points in equal order, so that a selection outlives a new pack of the same points."""
    digest = hashlib.sha256(str(n).encode())
    if pictures is not None:
        digest.update(f"{pictures.dataset}:{pictures.fingerprint}:".encode())
        digest.update(np.asarray(pictures.index, "<u4").tobytes())
    return digest.hexdigest()[:16]


def _of_length(values: Any, n: int, what: str) -> None:
    if len(values) != n:
        raise ValueError(f"{what} must have one entry for each of the {n} points, got {len(values)}")


def _panel(panel: Panel, n: int, payload: Payload) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": one_line(panel.title, 80),
        "state": panel.state,
        "sentence": one_line(panel.sentence, 400),
        "lines": [one_line(line, 400) for line in panel.lines],
        "figures": [[one_line(part, 300) for part in figure] for figure in panel.figures],
        "dim": 0,
        "at": 0,
    }
    if panel.positions is not None:
        positions = np.asarray(panel.positions, "<f4")
        if positions.shape not in ((n, 2), (n, 3)):
            raise ValueError(f"positions must be ({n}, 2) or ({n}, 3), got {positions.shape}")
        found["dim"] = positions.shape[1]
        found["at"] = payload.add(np.ascontiguousarray(positions.T).tobytes())  # one run of numbers an axis
    return found


def _colour(field: ColourField, n: int, payload: Payload) -> dict[str, Any]:
    values = np.asarray(field.values)
    _of_length(values, n, f"the values of '{field.name}'")
    found = {"name": one_line(field.name, 60), "kind": field.kind, "unit": one_line(field.unit, 20)}
    if field.kind == "class":
        known = values[values != NO_CLASS]
        if len(known) and not 0 <= known.min() <= known.max() < len(field.names):
            raise ValueError(f"the codes of '{field.name}' must be below its {len(field.names)} names")
        names = [one_line(name, 80) for name in field.names]
        return {**found, "names": names, "at": payload.add(values.astype("<u2").tobytes())}
    numbers = values.astype("<f4")
    ends = [float(end) for end in _ends(numbers)]
    return {**found, "names": [], "ends": ends, "at": payload.add(numbers.tobytes())}


def _ends(numbers: np.ndarray) -> np.ndarray:
    """Least, 1st and 99th percentile, most: the colours span the middle two, whatever an outlier does."""
    known = numbers[np.isfinite(numbers)].astype(np.float64)
    return np.percentile(known, [0, 1, 99, 100]) if len(known) else np.zeros(4)


def _captions(captions: Sequence[str] | None, n: int, payload: Payload) -> dict[str, int] | None:
    if captions is None:
        return None
    _of_length(captions, n, "captions")
    text = "\n".join(one_line(caption, MOST_CAPTION) for caption in captions).encode("utf-8", "replace")
    return {"at": payload.add(text), "bytes": len(text)} if len(text) <= MOST_CAPTION_BYTES else None


def _pictures(pictures: Pictures | None, n: int, payload: Payload) -> dict[str, Any] | None:
    if pictures is None:
        return None
    _of_length(pictures.index, n, "the index of pictures")
    return {
        "dataset": pictures.dataset,
        "fingerprint": pictures.fingerprint,
        "side": pictures.side,
        "cell": pictures.cell,
        "columns": pictures.columns,
        "perSheet": pictures.per_sheet,
        "smallest": pictures.smallest,
        "at": payload.add(np.asarray(pictures.index, "<u4").tobytes()),
    }

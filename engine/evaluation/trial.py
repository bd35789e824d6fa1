"""A finished classifier tried on pictures it has never seen: one, or all of a folder, a zip or a tar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.archives import open_source
from engine.data.augment import stored_size
from engine.data.decode import open_image
from engine.data.layout import is_ignored, readable
from engine.data.pixels import fitted
from engine.data.progress import Stop, never
from engine.data.source import Entry, over_limit, short_name
from engine.data.tar_source import tar_packing
from engine.errors import UserError
from engine.evaluation.calibration import Calibration, calibration_of, softened
from engine.evaluation.novelty import Seen, nearest_seen
from engine.export.tables import cell
from engine.projections.points import Neighbours
from engine.runs.store import RunStore
from engine.settings import settings
from engine.training.trained import answer

BATCH = 64  # pictures decoded before they are asked about: it bounds memory at 1,024 px
# first bytes of archives: zip, and those that `open_source` refuses with a sentence of their own
PACKED = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")

Skip = Callable[[str, str], None]  # a file's name, and why it was left out


@dataclass(frozen=True)
class Tried:
    """What a classifier says of n pictures.

    Attributes:
        classes: The C class names.
        plain: (n, C) probabilities as the network gives them.
        shares: (n, C) probabilities at the calibration's temperature.
        features: (n, d) what its backbone makes of the pictures.
        calibration: Where the temperature comes from.
    """

    classes: tuple[str, ...]
    plain: np.ndarray
    shares: np.ndarray
    features: np.ndarray
    calibration: Calibration


@dataclass(frozen=True)
class Batch:
    """A few pictures of a folder with what is known of each.

    Attributes:
        names: Of the b files; data, never paths.
        pixels: (b, S, S, 3) uint8, as the network's middle is cut out of them.
        tried: What the classifier says.
        near: (b, 1) the nearest training image; None where there is nothing to compare with.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    tried: Tried
    near: Neighbours | None


def side_of(run_id: str) -> int:
    """The side at which a run's images are kept before their middle is read."""
    return stored_size(RunStore().recipe(run_id).image_size)


def read_picture(data: bytes, side: int) -> np.ndarray:
    """Decode a file exactly as the images of a data set are.

    Args:
        data: The file's bytes.
        side: See `side_of`.

    Returns:
        (side, side, 3) uint8.

    Raises:
        UserError: A reason in a few words: it is no image, is damaged, or too large.
    """
    limit = settings().max_file_bytes
    if len(data) > limit:
        raise UserError(over_limit(limit))
    return np.array(fitted(open_image(data, at_least=side), side))  # one that may be written to


def try_pictures(run_id: str, pixels: np.ndarray) -> Tried:
    """What a run says of pictures, calibrated where that could be done.

    Args:
        run_id: A finished classification.
        pixels: (n, S, S, 3) uint8 with S of `side_of`.

    Raises:
        UserError: The run cannot be used.
    """
    found, calibration = answer(run_id, pixels), calibration_of(run_id)
    plain, shares = (softened(found.logits, t) for t in (1.0, calibration.temperature))
    return Tried(found.classes, plain, shares, found.features, calibration)


def entries_of(path: Path) -> Iterator[Entry]:
    """The files of a folder, a zip or a tar, or the one file at a path; hidden ones are left out.

    Nothing is written anywhere, no link is followed, and the limits of data sets hold.

    Raises:
        UserError: It is nothing that can hold pictures, or is over a limit.
    """
    if path.is_file() and not _is_archive(path):
        limit = settings().max_file_bytes
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except OSError:
            raise UserError(f"'{short_name(path.name)}' may not be read: change its permissions.") from None
        return iter([Entry(path.name, data)])
    return open_source(path).entries(lambda name: not is_ignored(readable(name)))


def _is_archive(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return head.startswith(PACKED) or tar_packing(head) is not None


def batches(
    run_id: str,
    entries: Iterable[Entry],
    seen: Seen | None = None,
    skip: Skip | None = None,
    stop: Stop = never,
) -> Iterator[Batch]:
    """Ask a run about files, a few at a time.

    Args:
        run_id: A finished classification.
        entries: Names and bytes.
        seen: The run's training images, to compare with.
        skip: Told of every file that was left out.
        stop: Asked at each file; then nothing more comes.

    Raises:
        UserError: The run cannot be used, or the source is over a limit.
    """
    side = side_of(run_id)
    names: list[str] = []
    pixels: list[np.ndarray] = []
    for entry in entries:
        if stop():
            return
        name = readable(entry.name)
        if is_ignored(name) or (entry.data is None and entry.reason is None):
            continue
        try:
            if entry.data is None:
                raise UserError(entry.reason or "")
            pixels.append(read_picture(entry.data, side))
            names.append(name)
        except UserError as error:
            if skip:
                skip(name, str(error))
        if len(names) == BATCH:
            yield _asked(run_id, names, pixels, seen)
            names, pixels = [], []
    if names:
        yield _asked(run_id, names, pixels, seen)


def _asked(run_id: str, names: list[str], pixels: list[np.ndarray], seen: Seen | None) -> Batch:
    stacked = np.stack(pixels)
    tried = try_pictures(run_id, stacked)
    near = nearest_seen(seen, tried.features) if seen is not None else None
    return Batch(tuple(names), stacked, tried, near)


@dataclass(frozen=True)
class Line:
    """What is known of one picture of many.

    Attributes:
        name: Of its file; data, never a path.
        predicted: The likeliest class.
        confidence: Its probability, calibrated where that could be done.
        plain: And as the network gives it.
        shares: (C,) all probabilities, calibrated likewise.
        distance: To the nearest training image; None where there is nothing to compare with.
        nearest: That image's place in the data set.
        unlike: Whether it lies further out than 95 % of the held-out images.
    """

    name: str
    predicted: str
    confidence: float
    plain: float
    shares: np.ndarray
    distance: float | None = None
    nearest: int | None = None
    unlike: bool | None = None


def lines_of(batch: Batch, seen: Seen | None) -> list[Line]:
    """One for each picture of a batch."""
    found = []
    for row, name in enumerate(batch.names):
        shares = batch.tried.shares[row]
        best = int(shares.argmax())
        told = batch.tried.classes[best], float(shares[best]), float(batch.tried.plain[row, best])
        if seen is None or batch.near is None:
            found.append(Line(name, *told, shares))
            continue
        distance = float(batch.near.distance[row, 0])
        place = int(seen.index[batch.near.index[row, 0]])
        found.append(Line(name, *told, shares, distance, place, distance > seen.usual))
    return found


def table_head(classes: Sequence[str]) -> list[str]:
    """The columns of `table_row`."""
    known = [
        "image",
        "predicted",
        "confidence",
        "uncalibrated",
        "nearest_image",
        "nearest_distance",
        "unlike",
    ]
    return [*known, *(cell(f"p({name})") for name in classes)]


def table_row(line: Line, names: Sequence[str]) -> list[str]:
    """A line as cells that no spreadsheet takes for a formula.

    Args:
        line: Of one picture.
        names: Of the data set's images; may be empty.
    """
    near = names[line.nearest] if line.nearest is not None and line.nearest < len(names) else ""
    distance = "" if line.distance is None else f"{line.distance:.6f}"
    unlike = "" if line.unlike is None else str(int(line.unlike))
    figures = f"{line.confidence:.6f}", f"{line.plain:.6f}"
    shares = (f"{float(share):.6f}" for share in line.shares)
    return [cell(line.name), cell(line.predicted), *figures, cell(near), distance, unlike, *shares]

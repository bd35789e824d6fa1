"""A map as a folder for TensorBoard's embedding projector: tensors, metadata, a sprite, and their config.

The folder's files are those that the projector plugin reads (its format is `projector_config.proto` in
https://github.com/tensorflow/tensorboard): tensors and metadata as tab-separated text, metadata with a head,
thumbnails row by row on a square of at most 8192 pixels.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.progress import Progress, Report, silent
from engine.errors import UserError
from engine.evaluation.latent_map import space_of
from engine.evaluation.map_result import LatentMap, read_map
from engine.export.map_figures import data_of, groupings, headline, plain
from engine.export.map_thumbnails import own_side, square_sheet, thumbnails
from engine.export.tables import SPLITS, cell

FOLDER = "projector"
CONFIG, METADATA, SPRITE, README = "projector_config.pbtxt", "metadata.tsv", "sprite.png", "README.txt"
SPACE = "original_space"
MOST_VALUES = 2**23  # of the original space: the projector reads text, all of it, into a browser
MOST_SIDE = 8192  # px of the sprite
MOST_PIXELS = 32_000_000  # of the sprite
THUMB = 48  # px


def write_projector_run(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write the folder of a map run to a file.

    Raises:
        UserError: There is no such map, or an image is damaged on disk.
    """
    found = read_map(run_id)
    if found is None or not found.done:
        raise UserError("This map has no panel yet: wait for the first, or make it again.")
    with open(path, "wb") as file:
        write_projector(found, file, report or silent)


def write_projector(found: LatentMap, file: IO[bytes], report: Report = silent) -> None:
    """The folder as a zip: a tensor a panel, the original space, metadata, and the images.

    The original space is left out where it is too large or cannot be computed any more, the images where the
    data set is gone; the folder's README says so. `report` is told how far features are that must be computed
    anew, which can take minutes.

    Raises:
        UserError: An image is damaged on disk.
    """
    dataset = data_of(found)
    tensors = {panel.method: panel.positions for panel in found.done if panel.positions is not None}
    space, missing = _space(found, dataset, report)
    report(Progress("writing the folder", 0))
    if space is not None:
        tensors = {SPACE: space, **tensors}
    side = thumb_side(dataset, len(found.index)) if dataset else 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as folder:
        _put(folder, CONFIG, "".join(_config(tensors, side)).encode())
        _put(folder, README, _readme(found, dataset, missing).encode())
        _put(folder, METADATA, "".join(_metadata(found, dataset)).encode())
        for name, tensor in tensors.items():
            _put(folder, f"{name}.tsv", _tensor(tensor))
        if dataset:
            _put(folder, SPRITE, _sprite(dataset, found.index, side))


def _put(folder: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    with folder.open(f"{FOLDER}/{name}", "w", force_zip64=True) as target:  # dated 1980: the same bytes again
        target.write(data)


def thumb_side(dataset: Dataset, n: int) -> int:
    """The side of n thumbnails on a sprite, as many in a row as rows, that is no larger than it may be."""
    in_row = math.isqrt(max(0, n - 1)) + 1
    fits = min(MOST_SIDE // in_row, int(math.sqrt(MOST_PIXELS)) // in_row)
    return own_side(dataset, max(4, min(THUMB, fits)))


def _space(found: LatentMap, dataset: Dataset | None, report: Report) -> tuple[np.ndarray | None, str]:
    """(n, d) features, or None and the reason."""
    if dataset is None:
        return None, "the data set is gone or has changed"
    try:
        points = space_of(found.recipe, found.index, lambda *told: report(Progress(*told)))
    except UserError as error:
        return None, plain(error, 300).rstrip(".")
    if points.width < 2:
        return None, "it has one axis only, which the projector cannot read"
    if len(points) * points.width > MOST_VALUES:
        return None, f"{len(points):,} points of {points.width:,} numbers are too much text for a browser"
    return np.asarray(points.x), ""


def _config(tensors: dict[str, np.ndarray], side: int) -> Iterator[str]:
    for name, tensor in tensors.items():
        n, width = tensor.shape
        yield (
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "{name}.tsv"\n'
            f"  tensor_shape: {n}\n  tensor_shape: {width}\n"
            f'  metadata_path: "{METADATA}"\n'
        )
        if side:
            size = f"    single_image_dim: {side}\n" * 2
            yield f'  sprite {{\n    image_path: "{SPRITE}"\n{size}  }}\n'
        yield "}\n"


def _metadata(found: LatentMap, dataset: Dataset | None) -> Iterator[str]:
    """A head, then a line a point; no text holds a tab or a line's end."""
    ways = {way.name: way for way in groupings(found, dataset)}
    names = dataset.names if dataset else []
    chosen = [way for name, way in ways.items() if name != "split"]
    yield "\t".join([*(way.name for way in chosen), "split", "image", "name"]) + "\n"
    for row, place in enumerate(found.index.tolist()):
        groups = [cell(way.groups[way.of[row]].name) or "-" for way in chosen]
        name = plain(names[place], 120) if place < len(names) else ""
        yield "\t".join([*groups, SPLITS[int(found.split[row])], str(place), cell(name) or "-"]) + "\n"


def _tensor(tensor: np.ndarray) -> memoryview:
    """Tab-separated, each number in the fewest digits that give the same float32 again."""
    import pyarrow
    from pyarrow import csv

    columns = {
        str(axis): np.ascontiguousarray(tensor[:, axis], np.float32) for axis in range(tensor.shape[1])
    }
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    buffer = io.BytesIO()
    csv.write_csv(pyarrow.table(columns), buffer, options)
    return buffer.getbuffer()


def _sprite(dataset: Dataset, index: np.ndarray, side: int) -> memoryview:
    buffer = io.BytesIO()
    Image.fromarray(square_sheet(thumbnails(dataset, index, side))).save(buffer, "PNG", compress_level=3)
    return buffer.getbuffer()


def _readme(found: LatentMap, dataset: Dataset | None, missing: str) -> str:
    lines = [headline(found, dataset), "", f"To look at it: tensorboard --logdir {FOLDER}, then Projector."]
    if missing:
        lines.append(f"The original space is not here: {missing}.")
    if dataset is None:
        lines.append("The images and their names are not here: the data set is gone or has changed.")
    return "\n".join([*lines, "", "Recipe:", json.dumps(found.recipe.model_dump(), indent=2), ""])

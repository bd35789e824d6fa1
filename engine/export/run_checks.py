"""What a run from elsewhere must look like before it is taken in: every file by its kind, none executed."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from engine import access
from engine.data.splits import SPLITS
from engine.errors import UserError
from engine.export.run_zip import JSON_FILES, TENSOR_FILES
from engine.files import write_bytes, write_json
from engine.models.backbones import backbone_info
from engine.runs import layout
from engine.runs.recipe import Recipe, check_recipe
from engine.runs.store import clean_name
from engine.runs.writer import clean
from engine.settings import settings

MOST_ARRAYS = 64  # in one .npz
BLOCK = 1024**2  # bytes of an array that are looked at together
UNASKED = 64 * 1024**2  # bytes that a file may unpack to, whatever its own size
MOST_ERROR = 300
Named = dict[str, Any]


class _Task(BaseModel):
    model_config = ConfigDict(extra="forbid")
    classes: list[StrictStr] = Field(max_length=10_000)
    class_counts: list[StrictInt] = Field(max_length=10_000)
    n_train: StrictInt = Field(ge=0)
    image_size: StrictInt = Field(ge=8, le=1024)
    gray: StrictBool = False


class _EncoderInfo(BaseModel):
    """Fields of encoder.json."""

    model_config = ConfigDict(extra="forbid")
    arch: StrictStr = Field(max_length=100)
    width: StrictInt = Field(ge=1, le=100_000)
    image_size: StrictInt = Field(ge=8, le=1024)
    provenance: StrictStr = Field(max_length=40)
    source: StrictStr = Field(max_length=140)
    method: StrictStr = Field(max_length=64)
    dataset: StrictStr = Field(max_length=64)
    fingerprint: StrictStr = Field(max_length=200)
    task: _Task
    transform_input: StrictBool = False


def check_run(folder: Path, dataset: str | None) -> Recipe:
    """Check every file of an unpacked run and rewrite those that say who it is.

    Args:
        folder: Where it lies, apart from the others.
        dataset: Id of the data set here that has the run's content, if there is one of another id.

    Returns:
        Its recipe, as it is kept.

    Raises:
        UserError: The first file that is not as a run has it, and why.
    """
    recipe = _recipe(folder, dataset)
    _status(folder, recipe)
    _name(folder)
    for name in JSON_FILES:
        if name != layout.RECIPE and (folder / name).exists():
            _json(folder / name)
    info = _encoder_info(folder, recipe)
    for name in TENSOR_FILES:
        if (folder / name).exists():
            _tensors(folder / name, info if name == layout.ENCODER else None)
    left = settings().max_unpacked_bytes
    for path in sorted(folder.rglob("*.npz")):
        left -= check_arrays(path, left)
    if (folder / layout.PREDICTIONS).exists():
        _predictions(folder / layout.PREDICTIONS, _classes(folder, recipe, info))
    return recipe


def _classes(folder: Path, recipe: Recipe, info: _EncoderInfo | None) -> int | None:
    """How many classes the run names; None where it names none."""
    if info is not None and info.task.classes:
        return len(info.task.classes)
    named = layout.load_json(folder / layout.RESULTS)[0].get("classes")
    # others tell of the classes that they met
    return len(named) if recipe.method == "classification" and isinstance(named, list) and named else None


def _recipe(folder: Path, dataset: str | None) -> Recipe:
    recipe = check_recipe(Recipe.from_json((folder / layout.RECIPE).read_bytes()))
    if dataset is not None:
        recipe = recipe.model_copy(update={"dataset": dataset})
    write_bytes(folder / layout.RECIPE, recipe.to_json().encode())
    return recipe


def _status(folder: Path, recipe: Recipe) -> None:
    """Keep of status.json what holds here too."""
    given = _json(folder / layout.STATUS)
    state = given.get("state")
    if not isinstance(state, str) or state not in layout.FINAL:
        raise UserError("This run was not finished when it was packed: wait for its end, then pack it again.")
    error = given.get("error")
    kept: Named = {key: layout.number(given.get(key)) for key in ("created", "started", "finished")}
    kept["bytes"] = None
    kept |= {"state": state, "attempt": int(layout.number(given.get("attempt"))), "digest": recipe.digest()}
    kept["owner"] = access.me().id  # whoever takes it in
    kept["error"] = " ".join(error.split())[:MOST_ERROR] if isinstance(error, str) else None
    write_json(folder / layout.STATUS, kept)


def _name(folder: Path) -> None:
    path = folder / layout.NAME
    if path.exists():
        name = _json(path).get("name")
        write_json(path, {"name": clean_name(name if isinstance(name, str) else "")})


def _json(path: Path) -> Named:
    """The object in a JSON file, rewritten so that nothing but JSON is in it."""
    found, damaged = layout.load_json(path)
    if damaged:
        raise UserError(f"{path.name} of this run holds no JSON object: pack the run again.")
    try:
        write_json(path, clean(found))  # numbers that are none become null
    except (ValueError, RecursionError):
        raise UserError(f"{path.name} of this run holds what JSON cannot: pack the run again.") from None
    return found


def _encoder_info(folder: Path, recipe: Recipe) -> _EncoderInfo | None:
    path = folder / layout.ENCODER_INFO
    if not path.exists():
        if (folder / layout.ENCODER).exists():
            raise UserError("This run has weights but does not say of which network: pack it again.")
        return None
    try:
        info = _EncoderInfo.model_validate(_json(path))
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])[:60]
        raise UserError(f"encoder.json of this run is not as a training writes it, in {place}.") from None
    known = backbone_info(info.arch)
    known.check_size(info.image_size)
    if info.width != known.width or info.method != recipe.method:
        raise UserError("encoder.json of this run does not go with its recipe: pack the run again.")
    write_json(path, {**info.model_dump(), "dataset": recipe.dataset})
    return info


def _tensors(path: Path, info: _EncoderInfo | None) -> None:
    """Read the header of a safetensors file, and compare an encoder's with its architecture."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118
                shapes[name] = tuple(file.get_slice(name).get_shape())
    except (SafetensorError, OSError):
        raise UserError(f"{path.name} of this run is no safetensors file: pack the run again.") from None
    if info is None:
        return
    import torch

    from engine.models.loading import check_fit
    from engine.models.trunks import skeleton

    wanted = skeleton(info.arch, info.image_size).state_dict()
    given = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    check_fit(backbone_info(info.arch), wanted, given)


@dataclass(frozen=True)
class _Array:
    """What the header of an array says, and where it lies."""

    member: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.kind.itemsize


def check_arrays(path: Path, most: int) -> int:
    """Read the headers in an .npz file: plain numbers, and no more of them than are allowed to be unpacked.

    Args:
        path: The file.
        most: Bytes that its arrays may have.

    Returns:
        Bytes that they have.

    Raises:
        UserError: It is no such file, holds objects (which could run code), or unpacks to far too much: more
            than is left, or to so many times its size as numbers that were measured never do.
    """
    wrong = UserError(f"{path.name} of this run holds no plain arrays: pack the run again.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            arrays = [_array(archive, info.filename) for info in members[: MOST_ARRAYS + 1]]
    except Exception:  # zipfile, zlib and numpy raise a dozen kinds on damaged bytes
        raise wrong from None
    if len(members) > MOST_ARRAYS:
        raise wrong
    total = sum(max(info.file_size, array.bytes) for info, array in zip(members, arrays, strict=True))
    if total > min(most, UNASKED + settings().max_ratio * path.stat().st_size):
        raise UserError(f"{path.name} of this run unpacks to more than is allowed: it is damaged or a trap.")
    return total


def _array(archive: zipfile.ZipFile, member: str) -> _Array:
    with archive.open(member) as file:
        return _header(file, member)


def _header(file: Any, member: str) -> _Array:
    major, _ = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if kind.hasobject or kind.itemsize > 4096:
        raise ValueError("objects")
    return _Array(member, shape, kind)


def _blocks(archive: zipfile.ZipFile, array: _Array) -> Iterator[np.ndarray]:
    """The numbers of an array, some at a time and in the order in which they lie.

    Raises:
        ValueError: There are fewer than the header says.
    """
    with archive.open(array.member) as file:
        _header(file, array.member)
        left = array.bytes
        while left:
            data = file.read(min(left, BLOCK // array.kind.itemsize * array.kind.itemsize))
            left -= len(data)
            yield np.frombuffer(data, array.kind)
            if not data:
                raise ValueError("cut short")


def _predictions(path: Path, classes: int | None) -> None:
    """Arrays with one row an image: places, labels within the classes named, and finite numbers.

    They are read a piece at a time, for together they may be larger than memory.

    Args:
        path: Of a file that `check_arrays` has passed.
        classes: How many the run names; None if it names none.

    Raises:
        UserError: They are not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}
            for array, low, end in _wanted(arrays, classes):
                for some in _blocks(archive, array):
                    if not np.isfinite(some).all() or (low is not None and (some < low).any()):
                        raise ValueError("a number out of range")
                    if end is not None and (some >= end).any():
                        raise ValueError("a number out of range")
    except Exception:  # as above
        raise UserError(
            f"{path.name} of this run is not as a training writes it: pack the run again."
        ) from None


def _wanted(
    arrays: dict[str, _Array], classes: int | None
) -> Iterator[tuple[_Array, int | None, int | None]]:
    """Each array with the least number that it may hold, and the first that is too large.

    Raises:
        ValueError: One is lacking, or of a shape or kind that a training does not write.
    """
    rows, shares = arrays["index"].shape, arrays.get("probabilities")
    if shares is not None:
        if len(shares.shape) != 2 or classes not in (None, shares.shape[1]):
            raise ValueError("probabilities of other classes")
        classes = shares.shape[1]
    bounds = {"index": (0, None), "split": (0, len(SPLITS)), "label": (-1, classes)}
    for name in bounds:
        if arrays[name].kind.kind not in "iu" or len(arrays[name].shape) != 1:
            raise ValueError("places that are none")
    for name, array in arrays.items():
        if array.shape[:1] != rows or array.kind.kind not in "iufb":
            raise ValueError("another number of rows")
        yield array, *bounds.get(name, (None, None))

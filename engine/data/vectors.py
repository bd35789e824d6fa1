"""Vectors that people bring for the images of a data set: checked once, and kept beside them, a row each."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from engine import access, files
from engine.access import CHANGE, READ, Ownership
from engine.data.dataset import Dataset, clean_title, list_datasets, open_dataset
from engine.data.source import short_name
from engine.data.vector_files import LEAST_ROWS, SUFFIXES, VectorTable, open_table
from engine.data.writer import check_free, disk_full_as_sentence
from engine.errors import UserError
from engine.settings import settings

PREFIX = "vectors:"  # vectors:<id> stands where an encoder's name does
FOLDER, VECTORS, INFO = (
    "vectors",
    "vectors.npy",
    "vectors.json",
)  # the folder is the data set's: it goes with it
LARGEST = 1e15  # squares beyond this overflow float32


@dataclass(frozen=True)
class VectorsInfo:
    """What is known of vectors that were added.

    Attributes:
        id: For "vectors:<id>".
        name: What people call them.
        dataset: Whose images they belong to.
        fingerprint: Of its content when they were added.
        rows: As many as it has images.
        width: Numbers in a vector.
        by_name: Whether a column of names said which row belongs to which image; else the order did.
        bytes: On disk.
        created: When.
        lacking: Rows with a value that is no finite number; maps leave their images out.
    """

    id: str
    name: str
    dataset: str
    fingerprint: str
    rows: int
    width: int
    by_name: bool
    bytes: int
    created: float
    lacking: int = 0
    owner: str = ""
    private: bool = False

    @property
    def ownership(self) -> Ownership:
        return access.ownership(asdict(self))

    @property
    def encoder(self) -> str:
        """The name that a recipe knows them by."""
        return PREFIX + self.id


def vectors_id(encoder: str) -> str | None:
    """The id in "vectors:<id>"; None for any other encoder.

    Raises:
        UserError: It is no id.
    """
    if not encoder.startswith(PREFIX):
        return None
    return files.check_id(encoder.removeprefix(PREFIX), "vectors id")


def add_vectors(
    path: Path | str,
    dataset_id: str,
    name: str | None = None,
    array: str | None = None,
    in_order: bool = False,
) -> str:
    """Check a file of vectors for a data set and keep it, all of it or nothing; gives its id.

    Row i belongs to image i, unless a column `file` or `name` of a Parquet file says otherwise; rows of other
    files are then left out. Other text in the file is not kept. Rows with a value that is no finite number,
    as an encoder that diverged gives them, are kept and counted.

    Args:
        path: Of a .npy, .npz or .parquet file of numbers, at most the upload limit long.
        dataset_id: Whose images they describe.
        name: What to call them; the file's name if None.
        array: Which array of an .npz, where it holds several tables.
        in_order: Row i belongs to image i whatever a column of names says.

    Raises:
        UserError: The file cannot be used or does not fit the data set; nothing is left of it.
    """
    path, dataset = Path(path), open_dataset(dataset_id)
    shown = short_name(PurePosixPath((name or path.name).replace("\\", "/")).name or path.name)
    check_file(path, shown)
    new = files.new_id()
    folder = files.inside(settings().tmp, new)
    folder.mkdir(parents=True)
    try:
        with disk_full_as_sentence(), open_table(path, shown, folder, array) as table:
            if in_order:
                table = replace(table, names=None)
            places = _places(table, dataset, shown)
            check_free(4 * len(dataset) * table.width)
            lacking = _write(table, places, len(dataset), folder / VECTORS, shown)
            fields = {"id": new, "name": clean_title(name or path.stem), "dataset": dataset.id}
            size = {"rows": len(dataset), "width": table.width, "bytes": (folder / VECTORS).stat().st_size}
            made = {
                "fingerprint": dataset.fingerprint,
                "by_name": table.names is not None,
                "created": time.time(),
                "lacking": lacking,
                **access.mine(private=dataset.ownership.private),
            }
        with disk_full_as_sentence():
            files.write_json(folder / INFO, asdict(VectorsInfo(**fields, **size, **made)))  # type: ignore[arg-type]
            (dataset.root / FOLDER).mkdir(exist_ok=True)
            files.replace(folder, files.inside(dataset.root, FOLDER, new))
    finally:
        files.remove_tree(folder)
    return new


def check_file(path: Path, shown: str) -> None:
    """Refuse what cannot be a file of vectors.

    Raises:
        UserError: Its suffix is another, it is not there, empty, or over the upload limit.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"'{shown}' is no file of vectors: give a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file."
        )
    if not path.is_file():
        raise UserError(f"There is no file '{shown}': check the name.")
    size, most = path.stat().st_size, settings().max_upload_bytes
    if not size:
        raise UserError(f"'{shown}' is empty: save the vectors again.")
    if size > most:
        raise UserError(
            f"'{shown}' is larger than {most / 1e6:.0f} MB: save smaller numbers, such as float16, or fewer."
        )


def _places(table: VectorTable, dataset: Dataset, shown: str) -> np.ndarray:
    """(rows,) which image each row belongs to, -1 for none."""
    if table.names is None:
        if table.rows != len(dataset):
            raise UserError(
                f"'{shown}' has {table.rows:,} rows and '{short_name(dataset.name)}' {len(dataset):,} "
                "images: give one row an image in the data set's order, or a column 'file' with their names."
            )
        return np.arange(table.rows)
    whole = _match(table.names, dataset.names)
    last = _match([_last(name) for name in table.names], [_last(name) for name in dataset.names])
    places = whole if (whole >= 0).sum() >= (last >= 0).sum() else last
    taken = Counter(places[places >= 0].tolist())
    twice = [image for image, count in taken.items() if count > 1]
    if twice:
        raise UserError(
            f"'{shown}' names the image '{short_name(dataset.names[twice[0]])}' {taken[twice[0]]} times: "
            "keep one row an image."
        )
    if len(taken) < len(dataset):
        lacks = next(i for i in range(len(dataset)) if i not in taken)
        raise UserError(
            f"'{shown}' has no row for {len(dataset) - len(taken):,} of {len(dataset):,} images, first for "
            f"'{short_name(dataset.names[lacks])}': its column of file names must name each."
        )
    return places


def _match(given: list[str], names: list[str]) -> np.ndarray:
    """(rows,) the image of each name; -1 where there is none, or several have it."""
    count = Counter(names)
    place = {name: i for i, name in enumerate(names) if count[name] == 1}
    return np.array([place.get(name, -1) for name in given], np.int64)


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _write(table: VectorTable, places: np.ndarray, n: int, target: Path, shown: str) -> int:
    """The vectors in the images' order, as (n, d) float32; how many have a value that is no finite number."""
    out = np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=(n, table.width))
    if hasattr(os, "posix_fallocate"):  # a write into a hole would kill the process where the disk is full
        with open(target, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, target.stat().st_size)
    done = lacking = 0
    for chunk in table.chunks():
        here, finite = places[done : done + len(chunk)], np.isfinite(chunk)
        large = np.flatnonzero((finite & (np.abs(chunk) > LARGEST)).any(1))
        if len(large):
            raise UserError(
                f"Row {done + int(large[0]) + 1:,} of '{shown}' holds a number above {LARGEST:.0e}, too "
                "large to compare: scale the vectors."
            )
        if len(here) < len(chunk):
            break
        lacking += int((~finite.all(1) & (here >= 0)).sum())
        out[here[here >= 0]] = chunk[here >= 0]
        done += len(chunk)
    if done != table.rows:
        raise UserError(f"'{shown}' does not hold the rows it says: write it again.")
    if n - lacking < LEAST_ROWS:
        raise UserError(
            f"{lacking:,} of {n:,} rows of '{shown}' hold values that are no finite numbers, and a map needs "
            f"{LEAST_ROWS} others: write the vectors again."
        )
    out.flush()
    return lacking


def read_vectors(vectors: str, dataset: Dataset) -> np.ndarray:
    """Vectors of a data set's images.

    Args:
        vectors: Their id.
        dataset: Whose images.

    Returns:
        (n, d) float32, mapped from disk.

    Raises:
        UserError: They are not here, belong to another data set, or are damaged.
    """
    info = vectors_info(vectors)
    if info.dataset != dataset.id or info.fingerprint != dataset.fingerprint:
        raise UserError(
            f"The vectors '{info.name[:60]}' belong to other images than those of '{dataset.name[:60]}': "
            "choose the data set they were added for."
        )
    path = files.inside(dataset.root, FOLDER, info.id) / VECTORS
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        found = np.empty(0)
    if found.shape != (info.rows, info.width) or found.dtype != np.float32:
        raise UserError(
            f"The vectors '{info.name[:60]}' are damaged on disk: remove them and add them again."
        )
    return found


def vectors_info(vectors: str) -> VectorsInfo:
    """What is known of vectors that were added.

    Raises:
        UserError: There are none with this id.
    """
    files.check_id(vectors, "vectors id")
    found = next((info for info in list_vectors() if info.id == vectors), None)
    if found is None:
        raise UserError(f"There are no vectors '{vectors}': add them again or choose others.")
    return found


def list_vectors(dataset_id: str | None = None) -> list[VectorsInfo]:
    """All vectors that were added, or those of one data set, newest first; those of sets one may see."""
    root = settings().datasets
    seen = {summary.id for summary in list_datasets()}
    found, person = [], access.me()
    for path in root.glob(f"{files.check_id(dataset_id) if dataset_id else '*'}/{FOLDER}/*/{INFO}"):
        try:
            info = VectorsInfo(**files.read_json(path))
        except TypeError:
            continue
        if (info.dataset, info.id) != (path.parents[2].name, path.parent.name):
            continue
        if info.dataset in seen and access.may(READ, info.ownership, person):
            found.append(info)
    return sorted(found, key=lambda info: (-info.created, info.id))


def remove_vectors(vectors: str) -> None:
    """Delete vectors; maps that were drawn of them stay.

    Raises:
        UserError: There are none with this id, or they are somebody else's.
    """
    info = vectors_info(vectors)
    access.require(CHANGE, info.ownership, "file of vectors")
    files.remove_tree(files.inside(settings().datasets, info.dataset, FOLDER, info.id))

"""Data sets: immutable folders of checked images, read one image or one column at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from engine import access, files
from engine.access import CHANGE, READ, Ownership
from engine.data.index import IMAGES, INFO, column, count_by_split, read_index
from engine.data.splits import SPLITS
from engine.errors import UserError
from engine.settings import settings

if TYPE_CHECKING:
    from PIL import Image

MAX_NAME = 120


@dataclass(frozen=True)
class DatasetSummary:
    """What a card shows; read from dataset.json alone."""

    id: str
    name: str
    n: int
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    labelled: bool
    created: float
    source: str
    bytes: int
    info: dict[str, Any] = field(repr=False)

    @property
    def ownership(self) -> Ownership:
        return access.ownership(self.info)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The read side of a data set.

    Attributes:
        id: Its folder's name.
        name: What people call it; data, never a path.
        classes: Class names in alphabetical order; empty if unlabelled.
        root: Its folder.
        fingerprint: Hash over classes, pixels, labels and splits in order; equal content, equal fingerprint.
        info: dataset.json.
        labels: (n,) int64 index into `classes`; -1 where unlabelled.
        split_codes: (n,) uint8 index into SPLITS.
        sizes: (n, 2) int32 width and height, upright.
        digests: (n,) 16-byte digests of the pixels.
        offsets: (n, 2) int64 place and length in images.bin.
        factors: Known factors of variation, (n,) each; empty but for drawn sets.
    """

    id: str
    name: str
    classes: tuple[str, ...]
    root: Path
    fingerprint: str
    info: dict[str, Any] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    split_codes: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    digests: np.ndarray = field(repr=False)
    offsets: np.ndarray = field(repr=False)
    factors: dict[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def is_labelled(self) -> bool:
        return bool(self.classes)

    @property
    def report(self) -> dict[str, Any]:
        return dict(self.info.get("report", {}))

    @property
    def split_note(self) -> str:
        return str(self.info.get("split_note", ""))

    @property
    def splits(self) -> np.ndarray:
        """(n,) the words "train", "val" and "test"."""
        return np.array(SPLITS)[self.split_codes]

    @cached_property
    def names(self) -> list[str]:
        """The images' names in the archive or folder they came from; data, never paths."""
        return [str(name) for name in read_index(self.root, ["name"]).column("name").to_pylist()]

    def indices(self, split: str) -> np.ndarray:
        """(m,) int64 indices of the images of a split, ascending."""
        return np.flatnonzero(self.split_codes == SPLITS.index(split)).astype(np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Images by split, then by class; unlabelled ones are left out of the inner dict."""
        return count_by_split(self.labels, self.split_codes, self.classes)

    @property
    def ownership(self) -> Ownership:
        return access.ownership(self.info)

    def raw_bytes(self, i: int) -> bytes:
        """The image file's bytes as they were added."""
        offset, length = (int(value) for value in self.offsets[i])
        with open(self.root / IMAGES, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def image(self, i: int, at_least: int | None = None) -> Image.Image:
        """Image i as RGB, upright; with `at_least`, perhaps reduced, its shorter side no less than that."""
        from engine.data.decode import open_image

        return open_image(self.raw_bytes(i), at_least)


_opened: dict[tuple[str, int], Dataset] = {}


def open_dataset(dataset_id: str) -> Dataset:
    """The data set with this id; kept open until it is renamed or removed.

    Raises:
        UserError: There is none that who is acting may see, or its files are damaged.
    """
    root = files.inside(settings().datasets, files.check_id(dataset_id, "data set id"))
    try:
        key = (str(root), (root / INFO).stat().st_mtime_ns)
    except OSError:
        raise UserError(f"There is no data set '{dataset_id}': choose one from the list.") from None
    if key not in _opened:
        while len(_opened) >= 16:
            _opened.pop(next(iter(_opened)), None)
        _opened[key] = _load(root)
    found = _opened[key]
    if not access.may(READ, found.ownership):
        raise UserError(f"There is no data set '{dataset_id}': choose one from the list.")
    return found


def _load(root: Path) -> Dataset:
    info = files.read_json(root / INFO)
    try:
        table = read_index(root, info["columns"])
        digests = np.frombuffer(b"".join(table.column("digest").to_pylist()), dtype="V16")
        return Dataset(
            id=root.name,
            name=str(info["name"]),
            classes=tuple(info["classes"]),
            root=root,
            fingerprint=str(info["fingerprint"]),
            info=info,
            labels=column(table, "label").astype(np.int64),
            split_codes=column(table, "split").astype(np.uint8),
            sizes=np.stack([column(table, "width"), column(table, "height")], axis=1),
            digests=digests,
            offsets=np.stack([column(table, "offset"), column(table, "length")], axis=1),
            factors={name: column(table, f"factor.{name}") for name in info["factors"]},
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"The data set '{root.name}' is damaged on disk: remove it and add it again."
        ) from None


def list_datasets() -> list[DatasetSummary]:
    """All data sets that who is acting may see, newest first; reads one small file each."""
    found, person = [], access.me()
    try:
        ids = [entry.name for entry in settings().datasets.iterdir()]
    except OSError:
        return []
    for dataset_id in ids:
        summary = card(dataset_id) if files.ID_PATTERN.fullmatch(dataset_id) else None
        if summary and access.may(READ, summary.ownership, person):
            found.append(summary)
    return sorted(found, key=lambda summary: (-summary.created, summary.id))


def summarise(dataset_id: str) -> DatasetSummary | None:
    """The card of one data set; None if there is none to see or its dataset.json cannot be read."""
    found = card(dataset_id)
    return found if found and access.may(READ, found.ownership) else None


def card(dataset_id: str) -> DatasetSummary | None:
    """The same whoever asks: for the engine's own accounts, never for somebody's eyes."""
    path = settings().datasets / files.check_id(dataset_id, "data set id") / INFO
    try:
        found = os.stat(path)
    except OSError:
        return None
    return _summary(dataset_id, path, (found.st_ino, found.st_mtime_ns, found.st_size))


def is_here(dataset_id: str) -> bool:
    """Whether there is a folder of this data set, whatever condition it is in."""
    return (settings().datasets / files.check_id(dataset_id, "data set id")).is_dir()


@lru_cache(maxsize=4096)
def _summary(dataset_id: str, path: Path, stamp: tuple[int, int, int]) -> DatasetSummary | None:
    """What the file says; read again once its stamp is another, for files are replaced and never changed."""
    info = files.read_json(path)
    try:
        return DatasetSummary(
            id=dataset_id,
            name=str(info["name"]),
            n=int(info["n"]),
            classes=tuple(info["classes"]),
            counts=info["counts"],
            labelled=bool(info["classes"]),
            created=float(info["created"]),
            source=str(info["source"]),
            bytes=int(info["bytes"]),
            info=info,
        )
    except (TypeError, KeyError, ValueError):
        return None


def clean_title(text: str) -> str:
    """A name as people may type it: any characters but control characters, at most MAX_NAME of them.

    Raises:
        UserError: Nothing is left of it.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_NAME].strip()
    if not text:
        raise UserError("A data set needs a name: type at least one visible character.")
    return text


def rename_dataset(dataset_id: str, name: str) -> None:
    """Give a data set another name.

    Raises:
        UserError: There is none, it is somebody else's, or no name is given.
    """
    _rewrite(dataset_id, name=clean_title(name))


def set_private(dataset_id: str, private: bool) -> None:
    """Hide a data set, with the runs that learned from it, from all but its owner and teachers, or show it.

    Raises:
        UserError: There is none, it is somebody else's, or it is the server's.
    """
    if private and not open_dataset(dataset_id).ownership.owner:
        raise UserError("This data set belongs to everybody here, so it cannot be made private.")
    _rewrite(dataset_id, private=private)


def _rewrite(dataset_id: str, **fields: Any) -> None:
    dataset = open_dataset(dataset_id)
    access.require(CHANGE, dataset.ownership, "data set")
    files.write_json(dataset.root / INFO, {**files.read_json(dataset.root / INFO), **fields})


def remove_dataset(dataset_id: str, in_use: bool = False) -> None:
    """Delete a data set and all that is cached of it.

    Args:
        dataset_id: Which.
        in_use: Whether an active run reads it; the caller knows the runs.

    Raises:
        UserError: There is none, it is somebody else's, or it is in use.
    """
    root = files.inside(settings().datasets, files.check_id(dataset_id, "data set id"))
    if not (root / INFO).exists():
        raise UserError(f"There is no data set '{dataset_id}': choose one from the list.")
    access.require(CHANGE, access.ownership(files.read_json(root / INFO) or {}), "data set")
    if in_use:
        raise UserError("A run that is queued or running uses this data set: stop the run first.")
    files.remove_tree(root)


def derive(dataset: Dataset, keep: np.ndarray, name: str) -> Dataset:
    """A new data set of some images of another, which stays as it is; the images' bytes are shared on disk.

    Args:
        dataset: The one to choose from.
        keep: (m,) indices to keep; classes left without an image are dropped.
        name: The new one's name.

    Raises:
        UserError: Nothing is kept.
    """
    from engine.data.writer import derive_into

    return derive_into(dataset, np.unique(np.asarray(keep, np.int64)), name)


def export_zip(
    dataset: Dataset, target: Path | IO[bytes], chosen: Sequence[int] | np.ndarray | None = None
) -> None:
    """Write a zip of split/class/image, without EXIF, every name in plain ASCII.

    Args:
        dataset: What to export.
        target: A path, or a file open for writing bytes; it need not be seekable.
        chosen: Places of the images wanted; all, if None.
    """
    from engine.data.zipping import write_zip

    write_zip(dataset, target, chosen)

"""Building a data set: images go into a hidden folder, and one rename makes them a data set."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine import access, files, lock
from engine.data.dataset import Dataset, card, clean_title, open_dataset
from engine.data.decode import THUMB, Inspected, inspect
from engine.data.index import (
    IMAGES,
    INDEX,
    INFO,
    PIXELS,
    THUMBS,
    VERSION,
    count_by_split,
    fingerprint,
    size_summary,
    write_index,
)
from engine.errors import UserError
from engine.settings import MIB, settings

DISK_FULL = "The disk is full: free some space, then try again. Nothing was kept."
CHECK_EVERY = 64 * MIB  # bytes written between two looks at the free space
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_free(extra: int = 0) -> None:
    """Refuse to begin something that writes where too little disk is free.

    Raises:
        UserError: Fewer than the limit's bytes would be left.
    """
    config = settings()
    place = config.workspace
    while not place.exists():
        place = place.parent
    if shutil.disk_usage(place).free - extra < config.min_free_bytes:
        needed = f" and this needs about {extra / 1e9:.1f} GB" if extra > 1e8 else ""
        raise UserError(
            f"Too little disk is free: {config.min_free_bytes / 1e9:.1f} GB must stay free{needed}. "
            "Delete what is no longer needed."
        )


@contextmanager
def disk_full_as_sentence() -> Iterator[None]:
    """Say in one sentence that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRORS:
            raise UserError(DISK_FULL) from None
        raise


class DatasetWriter:
    """Collects images, then becomes a data set or nothing; use it as a context manager.

    Images go to disk as they come; memory holds about 350 bytes of each.
    """

    def __init__(self, name: str, *, dataset_id: str | None = None) -> None:
        """Begin.

        Args:
            name: What people will call it.
            dataset_id: For built-in sets, whose ids are known; a random one if None.
        """
        self.name = clean_title(name)
        self.id = files.check_id(dataset_id or files.new_id(), "data set id")
        check_free()
        self.folder = settings().tmp / files.new_id()
        self.folder.mkdir(parents=True)
        self.lock = lock.try_lock(self.folder / "lock", wait=2.0)  # tells sweep_leftovers that we live
        self.file: IO[bytes] = open(self.folder / IMAGES, "wb")
        self.bytes = 0
        self.names: list[str] = []
        self.lengths: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.digests: list[bytes] = []
        self.thumbs = bytearray()
        self.offsets: np.ndarray | None = None  # of borrowed images; else one follows the other
        self.open = True

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.abort()

    def __len__(self) -> int:
        return len(self.names)

    def add(self, data: bytes, name: str, seen: Inspected | None = None) -> None:
        """Add one image file.

        Args:
            data: Its bytes.
            name: Its name as people know it.
            seen: What `inspect` said of it; asked again if None.

        Raises:
            UserError: It cannot be decoded, or the disk is full.
        """
        seen = seen or inspect(data)
        with disk_full_as_sentence():
            self.file.write(data)
        if self.bytes // CHECK_EVERY != (self.bytes + len(data)) // CHECK_EVERY:
            check_free()
        self.bytes += len(data)
        self.names.append(name)
        self.lengths.append(len(data))
        self.sizes.append((seen.width, seen.height))
        self.digests.append(seen.digest)
        self.thumbs += seen.thumb

    def borrow(self, dataset: Dataset, keep: np.ndarray, thumbs: np.ndarray) -> None:
        """Take images from another data set: its images.bin becomes ours too, by a hard link if possible."""
        self.file.close()
        (self.folder / IMAGES).unlink()
        with disk_full_as_sentence():
            try:
                os.link(dataset.root / IMAGES, self.folder / IMAGES)
            except OSError:
                shutil.copyfile(dataset.root / IMAGES, self.folder / IMAGES)
        names = dataset.names
        self.names = [names[i] for i in keep]
        self.offsets = dataset.offsets[keep, 0]
        self.lengths = dataset.offsets[keep, 1].tolist()
        self.sizes = [(int(width), int(height)) for width, height in dataset.sizes[keep]]
        self.digests = [dataset.digests[i].tobytes() for i in keep]
        self.thumbs = bytearray(thumbs.tobytes())
        self.bytes = int(sum(self.lengths))

    def finish(
        self,
        *,
        classes: Sequence[str],
        labels: np.ndarray,
        splits: np.ndarray,
        order: np.ndarray | None = None,
        factors: dict[str, np.ndarray] | None = None,
        report: dict[str, Any] | None = None,
        split_note: str = "",
        source: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Dataset:
        """Turn what was added into a data set.

        Args:
            classes: Class names.
            labels: (m,) class of each image added, -1 for none.
            splits: (m,) codes of SPLITS.
            order: (n,) which images to keep, in which order; all as added if None.
            factors: (m,) columns of known factors.
            report: What was taken, skipped and ignored.
            split_note: One sentence on where the splits come from.
            source: Where the images come from, for people.
            extra: More for dataset.json.
        """
        m = len(self)
        order = np.arange(m) if order is None else np.asarray(order, np.int64)
        labels = np.asarray(labels, np.int64)[order]
        codes = np.asarray(splits, np.uint8)[order]
        lengths = np.array(self.lengths, np.int64)
        offsets = np.cumsum(lengths) - lengths if self.offsets is None else self.offsets
        sizes = np.array(self.sizes, np.int32).reshape(m, 2)[order]
        thumbs = np.frombuffer(bytes(self.thumbs), np.uint8).reshape(m, THUMB, THUMB)[order]
        kept = [self.digests[i] for i in order]
        columns: dict[str, Any] = {
            "offset": offsets[order],
            "length": lengths[order],
            "label": labels.astype(np.int32),
            "split": codes,
            "width": sizes[:, 0],
            "height": sizes[:, 1],
            "digest": kept,
            **{f"factor.{key}": np.asarray(value)[order] for key, value in (factors or {}).items()},
            "name": [self.names[i] for i in order],
        }
        info = {
            **access.mine(),
            **(extra or {}),
            "version": VERSION,
            "id": self.id,
            "name": self.name,
            "classes": list(classes),
            "n": len(order),
            "counts": count_by_split(labels, codes, classes),
            "fingerprint": fingerprint(classes, kept, labels, codes),
            "factors": list(factors or {}),
            "columns": [key for key in columns if key != "name"],
            "sizes": size_summary(sizes),
            "bytes": self.bytes,
            "split_note": split_note,
            "report": report or {"taken": len(order), "skipped": [], "skipped_count": 0, "ignored": 0},
            "source": source,
            "created": time.time(),
        }
        with disk_full_as_sentence():
            self.file.close()
            return self._commit(columns, thumbs, info)

    def _commit(self, columns: dict[str, Any], thumbs: np.ndarray, info: dict[str, Any]) -> Dataset:
        write_index(self.folder, columns, thumbs)
        files.write_json(self.folder / INFO, info)
        (self.folder / PIXELS).mkdir(exist_ok=True)
        for name in (IMAGES, INDEX, THUMBS):
            _sync(self.folder / name)
        target = settings().datasets / self.id
        target.parent.mkdir(parents=True, exist_ok=True)
        self._unlock()
        (self.folder / "lock").unlink(missing_ok=True)
        try:
            os.rename(self.folder, target)
        except OSError:
            if not target.exists():
                raise
            # Somebody built the same built-in set meanwhile: theirs stands.
            files.remove_tree(self.folder)
        self.open = False
        return open_dataset(self.id)

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `finish`."""
        if self.open:
            self.open = False
            self.file.close()
            self._unlock()
            files.remove_tree(self.folder)

    def _unlock(self) -> None:
        if self.lock is not None:
            lock.release(self.lock)
            self.lock = None


def derive_into(dataset: Dataset, keep: np.ndarray, name: str) -> Dataset:
    """Make the data set that `dataset.derive` promises; `keep` is ascending and without repeats."""
    if not len(keep):
        raise UserError("Nothing would be left of the data set: keep at least one image.")
    labels = dataset.labels[keep]
    present = np.unique(labels[labels >= 0])
    renumber = np.full(len(dataset.classes) + 1, -1, np.int64)  # the last entry serves label -1
    renumber[present] = np.arange(len(present))
    report = {**dataset.report, "taken": len(keep)}
    report["notes"] = [f"Made from '{dataset.name}': {len(keep):,} of its {len(dataset):,} images."]
    thumbs = np.load(dataset.root / THUMBS, mmap_mode="r", allow_pickle=False)
    with DatasetWriter(name) as writer:
        writer.borrow(dataset, keep, np.asarray(thumbs[keep]))
        return writer.finish(
            classes=[dataset.classes[code] for code in present],
            labels=renumber[labels],
            splits=dataset.split_codes[keep],
            factors={key: value[keep] for key, value in dataset.factors.items()},
            report=report,
            split_note=dataset.split_note,
            source=str(dataset.info["source"]),
            # what is private stays so in what is made of it
            extra={"derived_from": dataset.id, "private": (card(dataset.id) or dataset).ownership.private},
        )


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())

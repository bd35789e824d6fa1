"""From a zip, a tar or a folder to a checked data set: all of it or nothing."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.archives import open_source
from engine.data.dataset import Dataset, clean_title
from engine.data.decode import Inspected, inspect
from engine.data.layout import Layout, is_ignored, readable, understand, why_unplaceable
from engine.data.progress import Progress, Report, Stop, Stopped, never, silent
from engine.data.source import Entry, Source
from engine.data.splits import TEST, TRAIN, VAL, stratified
from engine.data.writer import DatasetWriter, disk_full_as_sentence
from engine.errors import UserError
from engine.settings import MIB, settings

NAMED = 200  # skipped files listed one by one; the rest is counted
BATCH_FILES, BATCH_BYTES = 64, 4 * MIB  # files decoded by one task of a worker thread
IN_FLIGHT = 4  # batches a worker may be behind
DOUBLE = "another file has the same name"

Checked = tuple[str, bytes, Inspected | str]


@dataclass
class Tally:
    """Counts every file of a source once: taken, skipped with a reason, or ignored."""

    ignored: int = 0
    named: list[dict[str, str]] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def skip(self, name: str, reason: str) -> None:
        self.reasons[reason] += 1
        if len(self.named) < NAMED:
            self.named.append({"name": name[:300], "reason": reason})

    @property
    def skipped(self) -> int:
        return sum(self.reasons.values())

    def report(self, taken: int, notes: list[str]) -> dict[str, Any]:
        return {
            "entries": taken + self.skipped + self.ignored,
            "taken": taken,
            "skipped_count": self.skipped,
            "skipped": self.named,
            "reasons": dict(self.reasons.most_common()),
            "ignored": self.ignored,
            "notes": notes,
        }


def add_dataset(
    source: Path | str,
    *,
    name: str | None = None,
    val_fraction: float = 0.2,
    test_fraction: float = 0.0,
    seed: int = 0,
    progress: Report | None = None,
    stop: Stop | None = None,
    dataset_id: str | None = None,
    extra: dict[str, Any] | None = None,
) -> Dataset:
    """Read a zip, a tar or a folder of images into a new data set.

    Understood are train/val/test/class/image and class/image, either in an outer folder, and images alone,
    which then carry no labels. Splits the folders give are kept; a missing validation split is made from
    train.

    Args:
        source: The archive or folder.
        name: What to call it; the source's name if None.
        val_fraction: Share of train that becomes validation where none is given; at most 0.9.
        test_fraction: Share that becomes test where the folders give no split.
        seed: Of the split.
        progress: Told how far it is.
        stop: Asked now and then whether to stop.
        dataset_id: For catalog sets; a random id if None.
        extra: More for dataset.json.

    Raises:
        UserError: The source cannot be used; the sentence says why, and nothing is left on disk.
        Stopped: `stop` said so; nothing is left either.
    """
    check_fractions(val_fraction, test_fraction)
    source = Path(source)
    files = open_source(source)
    title = clean_title(name if name is not None else default_title(source))
    tally = Tally()
    with disk_full_as_sentence(), DatasetWriter(title, dataset_id=dataset_id) as writer:
        _read(files, writer, tally, progress or silent, stop or never)
        (progress or silent)(Progress("sorting", len(writer), len(writer)))
        _refuse_nothing(writer, tally, source)
        layout = understand(writer.names, settings().max_classes)
        for i, reason in layout.left_out.items():
            tally.skip(writer.names[i], reason)
        names = writer.names
        order = np.array(
            sorted((i for i in range(len(names)) if i not in layout.left_out), key=lambda i: names[i]),
            np.int64,
        )
        if len(order) < 2:
            raise UserError("The set holds only one image that can be used: add at least one more.")
        codes, note = make_splits(layout, writer.digests, order, val_fraction, test_fraction, seed)
        return writer.finish(
            classes=layout.classes,
            labels=layout.labels,
            splits=codes,
            order=order,
            report=tally.report(len(order), layout.notes + notes_on(layout, codes, order)),
            split_note=note,
            source=readable(source.name),
            extra={**(extra or {}), "kind": files.kind, "seed": seed},
        )


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Refuse shares that leave nothing to learn from.

    Raises:
        UserError: One is out of bounds.
    """
    for what, value in (("validation", val_fraction), ("test", test_fraction)):
        if not 0 <= value <= 0.9:
            raise UserError(f"The {what} share must be between 0 and 0.9, got {value}.")
    if not round(val_fraction + test_fraction, 9) <= 0.9:  # 0.34 + 0.56 is a little more in floats
        raise UserError("Validation and test together may take at most 0.9 of the images.")


def default_title(source: Path) -> str:
    """A name from the source's, without what marks an archive."""
    name = readable(source.name)
    for ending in (".zip", ".tar", ".tgz", ".txz", ".tbz2", ".tar.gz", ".tar.xz", ".tar.bz2"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name if name.strip() else "images"


def _read(source: Source, writer: DatasetWriter, tally: Tally, report: Report, stop: Stop) -> None:
    """Decode every wanted file in worker threads and write those that can be decoded, in order."""
    threads = settings().threads or os.cpu_count() or 1
    waiting: deque[Future[list[Checked]]] = deque()
    seen: set[str] = set()

    def settle(most: int) -> None:
        while len(waiting) > most:
            for name, data, result in waiting.popleft().result():
                if isinstance(result, str):
                    tally.skip(name, result)
                else:
                    writer.add(data, name, result)
            report(Progress("reading images", source.done, source.total, f"{len(writer):,} images"))

    pool = ThreadPoolExecutor(threads)
    try:
        for batch in _batches(_wanted(source, tally, seen, stop)):
            waiting.append(pool.submit(_check, batch))
            settle(IN_FLIGHT * threads)
        settle(0)
    finally:
        pool.shutdown(cancel_futures=True)


def _wanted(source: Source, tally: Tally, seen: set[str], stop: Stop) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the files that might be images; all others go to the tally."""

    def wanted(name: str) -> bool:
        name = readable(name)
        return not is_ignored(name) and why_unplaceable(name) is None

    for entry in source.entries(wanted):
        if stop():
            raise Stopped
        name = readable(entry.name)
        reason = _why_not(entry, name, seen)
        if is_ignored(name):
            tally.ignored += 1
        elif reason or entry.data is None:
            tally.skip(name, reason or "it was not read")
        else:
            seen.add(name)
            yield name, entry.data


def _why_not(entry: Entry, name: str, seen: set[str]) -> str | None:
    return why_unplaceable(name) or entry.reason or (DOUBLE if name in seen else None)


def _batches(files: Iterator[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for name, data in files:
        batch.append((name, data))
        size += len(data)
        if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _check(batch: list[tuple[str, bytes]]) -> list[Checked]:
    checked: list[Checked] = []
    for name, data in batch:
        try:
            checked.append((name, data, inspect(data)))
        except UserError as error:
            checked.append((name, b"", str(error)))
    return checked


def _refuse_nothing(writer: DatasetWriter, tally: Tally, source: Path) -> None:
    if len(writer):
        return
    if not tally.skipped:
        raise UserError("There are no images in it: give a folder or archive of JPEG or PNG images.")
    reason, count = tally.reasons.most_common(1)[0]
    files = "1 file was" if tally.skipped == 1 else f"{tally.skipped:,} files were"
    often = "because" if len(tally.reasons) == 1 else f"most ({count:,}) because"
    raise UserError(f"No image in it can be used: {files} skipped, {often}: {reason}.")


def make_splits(
    layout: Layout,
    digests: list[bytes],
    order: np.ndarray,
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> tuple[np.ndarray, str]:
    """Split codes of all images and one sentence on where they come from.

    Args:
        layout: What the folders say.
        digests: n digests of pixels.
        order: (m,) the images in use.
        val_fraction: Share that becomes validation where none is given.
        test_fraction: Share that becomes test where no split is given.
        seed: Of the choice.
    """
    each = "each class" if layout.classes else "the images"
    if layout.splits is None:
        codes = np.full(len(layout.labels), TRAIN, np.uint8)
        if test_fraction:
            codes[stratified(layout.labels, digests, test_fraction, seed, order)] = TEST
        left = order[codes[order] == TRAIN]
        share = val_fraction / (1 - test_fraction)
        codes[stratified(layout.labels, digests, share, seed, left)] = VAL
        parts = [(val_fraction, "validation"), (test_fraction, "test")]
        made = " and ".join(f"{share:.0%} {word}" for share, word in parts if share)
        return (
            codes,
            f"The folders give no split, so it was made: {made or 'all train'} of {each}, seed {seed}.",
        )
    codes = layout.splits.copy()
    if np.any(codes[order] == VAL) or not val_fraction:
        return codes, "The splits are those of the folders."
    train = order[codes[order] == TRAIN]
    codes[stratified(layout.labels, digests, val_fraction, seed, train)] = VAL
    if np.any(codes[order] == TEST):
        given = "train and test but no validation split"
    else:
        given = "only train"
    return codes, (
        f"The folders give {given}, so {val_fraction:.0%} of train ({each}) became validation, seed {seed}."
    )


def notes_on(layout: Layout, codes: np.ndarray, order: np.ndarray) -> list[str]:
    """What the reader should know before training on it."""
    notes = []
    used = np.bincount(layout.labels[order][layout.labels[order] >= 0], minlength=len(layout.classes))
    if layout.classes and not np.any(codes[order] == VAL):
        spare = used.max(initial=0) > 1
        why = "There is no validation split" if spare else "No class has two images to spare for validation"
        notes.append(f"{why}, so nothing can be measured.")
    single = int((used == 1).sum())
    if single:
        have = "class has" if single == 1 else "classes have"
        notes.append(f"{single:,} {have} a single image, which is in train.")
    return notes

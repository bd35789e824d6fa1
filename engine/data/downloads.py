"""The classic sets: downloaded when asked for, checked against known digests, and read once."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import files, lock
from engine.data.dataset import Dataset
from engine.data.drawn_sets import png
from engine.data.progress import Progress, Report, Stop, Stopped
from engine.data.splits import SPLITS, TRAIN, VAL, stratified
from engine.data.writer import DatasetWriter, check_free, disk_full_as_sentence
from engine.errors import UserError
from engine.settings import settings

CHUNK = 1 << 18
WAIT_SECONDS = 20
VAL_SHARE = 0.1
ANTS_BEES = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"


@dataclass(frozen=True)
class Parcel:
    """One file to download.

    Attributes:
        urls: Where it is; tried in turn.
        path: Where it goes, below a folder that is thrown away.
        md5: Its digest; None where no publisher gave one and the intake checks every image anyway.
    """

    urls: tuple[str, ...]
    path: str
    md5: str | None = None


@dataclass(frozen=True)
class Part:
    """One split as its publisher gives it: images as arrays or files, labels, and the classes' names."""

    split: str
    images: Sequence[Any]
    labels: np.ndarray
    classes: Sequence[str]


Reader = Callable[[Path], Iterator[Part]]


def build_ants_bees(name: str, title: str, report: Report, stop: Stop) -> Dataset:
    """The tutorial's 400 photographs, through the same intake as anybody's archive."""
    from engine.data.intake import add_dataset

    with scratch() as folder:
        parcel = Parcel((ANTS_BEES,), "ants-bees.zip")
        fetch(parcel, folder, title, report, stop)
        path = folder / parcel.path
        return add_dataset(
            path, name=title, progress=report, stop=stop, dataset_id=name, extra={"catalog": name}
        )


def build_from_torchvision(name: str, title: str, report: Report, stop: Stop) -> Dataset:
    """A set that torchvision knows how to read; its files are fetched here, for progress and Stop."""
    parcels, read = SOURCES[name]()
    with scratch() as folder:
        for parcel in parcels:
            fetch(parcel, folder, title, report, stop)
        report(Progress("unpacking", 0))
        with disk_full_as_sentence():
            return _write(name, title, read(folder), report, stop)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a download, gone afterwards; its lock tells the sweeper that somebody works in it."""
    folder = settings().tmp / files.new_id()
    folder.mkdir(parents=True)
    held = lock.try_lock(folder / "lock", wait=2.0)
    try:
        yield folder
    finally:
        if held is not None:
            lock.release(held)
        files.remove_tree(folder)


def fetch(parcel: Parcel, folder: Path, title: str, report: Report, stop: Stop) -> None:
    """Download one file below `folder` and check it.

    Raises:
        UserError: There is no network, the server refuses, or what came is not what was asked for.
        Stopped: `stop` said so.
    """
    path = folder / parcel.path
    path.parent.mkdir(parents=True, exist_ok=True)
    for url in parcel.urls:
        try:
            with disk_full_as_sentence():
                digest = _download(url, path, report, stop)
            break
        except urllib.error.HTTPError as error:
            problem = f"its server answered {error.code}: try again later"
        except (ConnectionError, TimeoutError, urllib.error.URLError, http.client.HTTPException):
            problem = (
                "there is no way to its server from here: connect to the network, or use Shapes or Digits"
            )
    else:
        raise UserError(f"{title} could not be downloaded; {problem}.")
    if parcel.md5 not in (None, digest):
        raise UserError(f"The download of {title} arrived damaged: try again.")


def _download(url: str, path: Path, report: Report, stop: Stop) -> str:
    """Stream a file to disk; its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    report(Progress("downloading", 0))
    with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer, open(path, "wb") as file:  # noqa: S310
        length = answer.headers.get("Content-Length", "")
        total, done = (int(length) if length.isdigit() else None), 0
        check_free(3 * (total or 0))
        while block := answer.read(CHUNK):
            if stop():
                raise Stopped
            file.write(block)
            digest.update(block)
            done += len(block)
            whole = f" of {total / 1e6:.1f}" if total else ""
            report(Progress("downloading", done, total, f"{done / 1e6:.1f}{whole} MB"))
    return digest.hexdigest()


def _write(name: str, title: str, parts: Iterator[Part], report: Report, stop: Stop) -> Dataset:
    """Store every image of every part; where no validation split is given, one is taken from train."""
    labels: list[np.ndarray] = []
    codes: list[np.ndarray] = []
    classes: tuple[str, ...] = ()
    with DatasetWriter(title, dataset_id=name) as writer:
        for part in parts:
            order = sorted(range(len(part.classes)), key=lambda i: part.classes[i])
            classes = tuple(part.classes[i] for i in order)
            mine = np.argsort(order)[np.asarray(part.labels)]
            for i, image in enumerate(part.images):
                if stop():
                    raise Stopped
                data = image.read_bytes() if isinstance(image, Path) else png(np.asarray(image))
                writer.add(data, f"{part.split}/{classes[mine[i]]}/{i:05d}")
                report(Progress("reading", i + 1, len(part.images), part.split))
            labels.append(mine)
            codes.append(np.full(len(mine), SPLITS.index(part.split), np.uint8))
        splits, given = np.concatenate(codes), np.concatenate(labels)
        note = "The splits are the publisher's."
        if not np.any(splits == VAL):
            train = np.flatnonzero(splits == TRAIN)
            splits[stratified(given, writer.digests, VAL_SHARE, 0, train)] = VAL
            note = f"Test is the publisher's; {VAL_SHARE:.0%} of train became validation, seed 0."
        return writer.finish(
            classes=classes,
            labels=given,
            splits=splits,
            split_note=note,
            source="torchvision",
            extra={"catalog": name, "seed": 0},
        )


def _mnist(kind: str) -> tuple[list[Parcel], Reader]:
    from torchvision import datasets

    known = getattr(datasets, kind)
    parcels = [
        Parcel(tuple(mirror + file for mirror in known.mirrors), f"{kind}/raw/{file}", md5)
        for file, md5 in known.resources
    ]

    def read(folder: Path) -> Iterator[Part]:
        for split in ("train", "test"):
            found = known(str(folder), train=split == "train", download=True)
            names = [text.partition(" - ")[0] for text in found.classes]
            yield Part(split, found.data.numpy(), found.targets.numpy(), names)

    return parcels, read


def _cifar10() -> tuple[list[Parcel], Reader]:
    from torchvision.datasets import CIFAR10

    def read(folder: Path) -> Iterator[Part]:
        for split in ("train", "test"):
            found = CIFAR10(str(folder), train=split == "train", download=True)
            yield Part(split, found.data, np.array(found.targets), found.classes)

    return [Parcel((CIFAR10.url,), CIFAR10.filename, CIFAR10.tgz_md5)], read


def _stl10() -> tuple[list[Parcel], Reader]:
    from torchvision.datasets import STL10

    def read(folder: Path) -> Iterator[Part]:
        for split in ("train", "test"):
            found = STL10(str(folder), split=split, download=True)
            yield Part(split, found.data.transpose(0, 2, 3, 1), found.labels.astype(np.int64), found.classes)

    return [Parcel((STL10.url,), STL10.filename, STL10.tgz_md5)], read


def _flowers102() -> tuple[list[Parcel], Reader]:
    from torchvision.datasets import Flowers102

    prefix = Flowers102._download_url_prefix
    parcels = [
        Parcel((prefix + file,), f"flowers-102/{file}", md5) for file, md5 in Flowers102._file_dict.values()
    ]

    def read(folder: Path) -> Iterator[Part]:
        for split in SPLITS:
            found = Flowers102(str(folder), split=split, download=True)
            yield Part(split, found._image_files, np.array(found._labels), found.classes)

    return parcels, read


SOURCES: dict[str, Callable[[], tuple[list[Parcel], Reader]]] = {
    "mnist": lambda: _mnist("MNIST"),
    "fashion-mnist": lambda: _mnist("FashionMNIST"),
    "cifar10": _cifar10,
    "stl10": _stl10,
    "flowers102": _flowers102,
}

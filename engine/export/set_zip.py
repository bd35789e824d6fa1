"""Data sets beside the runs of a zip: bare images one after another, and what is known of each.

Every image is decoded and measured as at any other import, and the set is taken in only if its fingerprint,
which is computed anew, is the one that was packed.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from engine.data.bare import bare_image
from engine.data.dataset import Dataset, clean_title
from engine.data.decode import Inspected, inspect
from engine.data.index import fingerprint
from engine.data.layout import MAX_PATH, readable
from engine.data.progress import Progress, Report, Stop, tell_or_stop
from engine.data.source import DAMAGED
from engine.data.splits import SPLITS
from engine.data.writer import DatasetWriter, disk_full_as_sentence
from engine.errors import UserError
from engine.files import new_id
from engine.runs.layout import MAX_JSON
from engine.settings import settings

SET, IMAGES = "set.json", "images.bin"
MEMBERS = (IMAGES, SET)
MOST_IMAGES = 100_000  # of a set; those of the catalog have up to 70,000, whatever the limit of archives is
TEXT = "text"  # the kind of a factor that is told in words
TAKEN_IN = "Taken in with runs from another installation; its files carry no metadata."
WRONG = "A data set in this zip is not as this program packs it: pack it again."
Facts = dict[str, tuple[int, str]]  # member -> bytes, sha256
Text = Annotated[StrictStr, Field(max_length=MAX_PATH)]
FactorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Factor(BaseModel):
    """A known factor of the images: its numbers or words, and how they are kept."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    kind: Literal["int8", "int16", "int32", "int64", "uint8", "float32", "float64", "text"]
    values: list[StrictInt | StrictFloat] | list[Annotated[StrictStr, Field(max_length=100)]]


class _Set(BaseModel):
    """Fields of set.json; the lists have an entry an image."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    source: Text
    split_note: Text
    fingerprint: StrictStr = Field(max_length=200)
    classes: list[Text]
    lengths: list[Annotated[StrictInt, Field(ge=1)]] = Field(min_length=1)
    labels: list[Annotated[StrictInt, Field(ge=-1)]]
    splits: list[Annotated[StrictInt, Field(ge=0, lt=len(SPLITS))]]
    names: list[StrictStr]
    factors: dict[FactorName, _Factor] = Field(max_length=64)


def write_set(archive: zipfile.ZipFile, dataset: Dataset, report: Report, stop: Stop) -> dict[str, Any]:
    """Put a data set into a zip; gives its entry of the manifest.

    Args:
        archive: Open for writing.
        dataset: Which.
        report: Told how many images are packed.
        stop: Asked after each.

    Raises:
        UserError: An image cannot be read or packed, or there are too many.
        Stopped: `stop` said so.
    """
    lengths: list[int] = []

    def images() -> Iterator[bytes]:
        for i in range(len(dataset)):
            tell_or_stop(report, stop, Progress("packing images", i, len(dataset), "images"))
            try:
                data, _ = bare_image(dataset.raw_bytes(i))
            except UserError as error:
                raise UserError(f"Image {i} of '{dataset.name[:60]}' cannot be packed: {error}.") from None
            lengths.append(len(data))
            yield data

    folder = f"data/{dataset.id}"
    facts = {IMAGES: write_member(archive, f"{folder}/{IMAGES}", images())}
    told = json.dumps(_told(dataset, lengths), ensure_ascii=True, allow_nan=False).encode()
    if len(told) > MAX_JSON:
        raise UserError(f"'{dataset.name[:60]}' has too many images for this: pack the runs without data.")
    facts[SET] = write_member(archive, f"{folder}/{SET}", iter([told]))
    return {"id": dataset.id, "name": dataset.name, "fingerprint": dataset.fingerprint, "files": facts}


def _told(dataset: Dataset, lengths: list[int]) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "source": str(dataset.info["source"]),
        "split_note": dataset.split_note,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "lengths": lengths,
        "labels": dataset.labels.tolist(),
        "splits": dataset.split_codes.tolist(),
        "names": dataset.names,
        "factors": {
            name: {"kind": TEXT if values.dtype.kind == "U" else str(values.dtype), "values": values.tolist()}
            for name, values in dataset.factors.items()
        },
    }


def write_member(archive: zipfile.ZipFile, name: str, blocks: Iterator[bytes]) -> dict[str, Any]:
    """Write a file of a zip block by block; gives its size and hash as a manifest has them."""
    packed = zipfile.ZIP_DEFLATED if name.endswith((".json", ".jsonl")) else zipfile.ZIP_STORED
    info = zipfile.ZipInfo(name)
    info.compress_type, info.external_attr = packed, 0o644 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as target:
        for block in blocks:
            digest.update(block)
            size += len(block)
            target.write(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def take_in_set(
    opened: Callable[[], IO[bytes]], told: bytes, facts: Facts, report: Report, stop: Stop
) -> Dataset:
    """Build a data set from a zip that may come from anybody.

    Args:
        opened: Gives its images.bin for reading.
        told: Its set.json.
        facts: What the manifest says of its files.
        report: Told how many images are read.
        stop: Asked after each.

    Raises:
        UserError: Something in it is not as it should be; nothing is left of it.
        Stopped: `stop` said so; nothing is left either.
    """
    known = _parsed(told, facts)
    what = f"The data set '{known.name[:60]}' in this zip"
    with disk_full_as_sentence(), DatasetWriter(clean_title(known.name), dataset_id=new_id()) as writer:
        found, n = hashlib.sha256(), len(known.lengths)
        with opened() as file:
            for i, length in enumerate(known.lengths):
                tell_or_stop(report, stop, Progress("taking in images", i, n, "images"))
                data = _read(file, length)
                found.update(data)
                writer.add(data, readable(known.names[i])[:MAX_PATH], _seen(data, what))
            whole = not _read(file, 1)
        labels, codes = np.array(known.labels, np.int64), np.array(known.splits, np.uint8)
        if not whole or found.hexdigest() != facts[IMAGES][1]:
            raise UserError(f"{what} is not what the manifest says: download the zip again.")
        if fingerprint(known.classes, writer.digests, labels, codes) != known.fingerprint:
            raise UserError(f"{what} has other content than was packed: pack it again.")
        return writer.finish(
            classes=known.classes,
            labels=labels,
            splits=codes,
            factors={name: _column(one) for name, one in known.factors.items()},
            report={"taken": n, "skipped": [], "skipped_count": 0, "ignored": 0, "notes": [TAKEN_IN]},
            split_note=readable(known.split_note),
            source=readable(known.source),
        )


def _read(file: IO[bytes], length: int) -> bytes:
    try:
        return file.read(length)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
        raise UserError(DAMAGED) from None


def _seen(data: bytes, what: str) -> Inspected:
    try:
        return inspect(data)
    except UserError as error:
        raise UserError(f"{what} holds an image that cannot be used: {error}.") from None


def _column(factor: _Factor) -> np.ndarray:
    words = [readable(value) for value in factor.values if isinstance(value, str)]
    if len(words) != (len(factor.values) if factor.kind == TEXT else 0):
        raise UserError(WRONG)
    try:
        return np.array(words) if words else np.array(factor.values, factor.kind)
    except (OverflowError, ValueError):
        raise UserError(WRONG) from None


def _parsed(told: bytes, facts: Facts) -> _Set:
    """What set.json says, all of it checked."""
    try:
        known = _Set.model_validate_json(told)
    except (ValidationError, RecursionError):
        raise UserError(WRONG) from None
    limits, n, classes = settings(), len(known.lengths), known.classes
    columns: list[list[Any]] = [known.labels, known.splits, known.names]
    columns += [one.values for one in known.factors.values()]
    most = max(limits.max_entries, MOST_IMAGES)
    if n > most or len(classes) > limits.max_classes:
        raise UserError(
            f"A data set in this zip has more than {most:,} images or {limits.max_classes:,} classes, the "
            "limits here: ask whoever runs this server to raise REPLAB_MAX_ENTRIES or REPLAB_MAX_CLASSES."
        )
    fits = all(len(column) == n for column in columns) and sum(known.lengths) == facts[IMAGES][0]
    plain = len(set(classes)) == len(classes) and all(readable(name) == name for name in classes)
    if not fits or not plain or max(known.labels) >= len(classes):
        raise UserError(WRONG)
    if max(known.lengths) > limits.max_file_bytes:
        raise UserError("A data set in this zip holds an image over the limit of a file: pack it without.")
    return known

"""Which images and which encoders take part in a comparison; the floors are always among them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.data.dataset import Dataset
from engine.data.vectors import vectors_id, vectors_info
from engine.errors import UserError
from engine.evaluation import encoding
from engine.evaluation.ancestry import kind_of
from engine.evaluation.encoding import PIXELS_SIDE, usual_side
from engine.evaluation.latent_map import map_rows
from engine.methods.comparison_config import ComparisonConfig
from engine.models.backbones import backbone_info
from engine.models.encoder import PIXELS, encoder_arch, parse_encoder
from engine.models.weights import weights_info
from engine.runs.store import RunStore

LEAST_SIDE = 8  # of raw pixels that are made to fit in memory
NOWHERE = 255  # a split that there is not
FALLBACK = "cnn-small"  # whose random weights are a floor where no encoder names an architecture
OTHER_SPLIT = {"test": "val", "val": "test"}
GONE = {"run": "A run", "file": "A weights file", "vectors": "Vectors"}


@dataclass(frozen=True)
class Parts:
    """Which images take part.

    Attributes:
        train: (n,) places of those the probes learn from.
        asked: (m,) places of those that judge.
        split: "test" or "val", where the judging ones come from.
        of_train: Labelled training images in all.
        of_asked: Labelled images of that split in all.
    """

    train: np.ndarray
    asked: np.ndarray
    split: str
    of_train: int
    of_asked: int


@dataclass(frozen=True)
class Subject:
    """One encoder that is compared.

    Attributes:
        encoder: Its name.
        floor: It is there whatever was asked for: raw pixels or random weights.
        side: Of the images it reads; 0 while that is not known.
        title: What people call it.
        kind: What made its weights, as `engine.evaluation.ancestry.kind_of` says.
        wanted: The side that it would read; above `side` where so many raw pixels do not fit in memory.
    """

    encoder: str
    floor: bool
    side: int
    title: str
    kind: str
    wanted: int = 0


def parts_of(dataset: Dataset, split: str, most_train: int, most_asked: int, seed: int) -> Parts:
    """The labelled images that teach the probes, and those that judge, drawn from labelled ones alone.

    Args:
        dataset: Whose images.
        split: "test" or "val", which judges; where it has no labelled images the other one does.
        most_train: Training images at most, drawn from every class alike.
        most_asked: Judging images at most.
        seed: Of both draws.

    Raises:
        UserError: There are no labels, no held-out images, or fewer than two classes to learn.
    """
    whole, known = all_parts(dataset, split), _labelled(dataset)
    train = map_rows(known, "train", most_train, seed)
    asked = map_rows(known, whole.split, most_asked, seed)
    return replace(whole, train=train, asked=asked)


def all_parts(dataset: Dataset, split: str) -> Parts:
    """All labelled images that could teach or judge, before any is drawn.

    Args:
        dataset: Whose images.
        split: "test" or "val", which judges; where it has no labelled images the other one does.

    Raises:
        UserError: There are no labels, no held-out images, or fewer than two classes to learn.
    """
    if not dataset.is_labelled:
        raise UserError(
            f"'{dataset.name[:60]}' has no classes to read: choose a data set with class folders."
        )

    known = _labelled(dataset)
    split = split if len(known.indices(split)) else OTHER_SPLIT[split]
    all_train, all_asked = known.indices("train"), known.indices(split)
    if not len(all_train) or not len(all_asked):
        lacks = "validation or test" if len(all_train) else "training"
        raise UserError(
            f"'{dataset.name[:60]}' has no {lacks} images with a class: add it again with shares for them."
        )
    if len(np.unique(dataset.labels[all_train])) < 2:
        raise UserError(
            f"All training images of '{dataset.name[:60]}' are of one class: there is nothing to tell apart."
        )
    return Parts(all_train, all_asked, split, len(all_train), len(all_asked))


def _labelled(dataset: Dataset) -> Dataset:
    """The set with the same places, whose images without a class are in no split."""
    return replace(dataset, split_codes=np.where(dataset.labels >= 0, dataset.split_codes, NOWHERE))


def subjects_of(config: ComparisonConfig, dataset: Dataset, size: int, images: int) -> list[Subject]:
    """The encoders named, then raw pixels and random weights unless they were named too.

    The random floor has the architecture and the image size of the first encoder that has any.

    Args:
        config: Names the encoders.
        dataset: Whose images.
        size: The side at which all read them, where they are to share one.
        images: How many take part; raw pixels of so many are read at a side at which they fit in memory.
    """
    same = config.sizes == "same"
    sides = {name: _side(name, dataset, size, same) for name in config.names}
    twin, side = next(filter(None, map(_twin, sides.items())), (f"random:{FALLBACK}", size if same else 0))
    wanted = {
        PIXELS: _side(PIXELS, dataset, size, same),
        twin: side or backbone_info(FALLBACK).default_size,
    }
    floors = {**wanted, PIXELS: _fitting(wanted[PIXELS], images)}
    named = [_subject(name, side, False) for name, side in sides.items() if name not in floors]
    return named + [_subject(name, side, True, wanted[name]) for name, side in floors.items()]


def _fitting(side: int, images: int) -> int:
    """The side of raw pixels, halved until so many images fit in memory."""
    while side > LEAST_SIDE and images * side * side * 3 * 4 > encoding.MOST_BYTES:
        side = max(LEAST_SIDE, side // 2)
    return side


def _subject(name: str, side: int, floor: bool, wanted: int = 0) -> Subject:
    try:
        kind = kind_of(name)
    except UserError:  # its own row will say so
        kind = "file"
    return Subject(name, floor, side, title_of(name), kind, wanted or side)


def _twin(named: tuple[str, int]) -> tuple[str, int] | None:
    """An encoder's architecture with random weights, and the side it reads; None where that cannot be."""
    name, side = named
    if name == PIXELS or vectors_id(name):
        return None
    try:
        arch = encoder_arch(name)
        backbone_info(arch).check_size(side)
    except UserError:
        return None
    return f"random:{arch}", side


def _side(name: str, dataset: Dataset, size: int, same: bool) -> int:
    """At which side it reads the images; 0 where nobody can tell, which its row says later."""
    if same:
        return min(size, PIXELS_SIDE) if name == PIXELS else size
    try:
        return usual_side(name, dataset)
    except UserError:
        return 0


def title_of(encoder: str) -> str:
    """What people call an encoder: a run's or a file's name, or its architecture and its weights' origin."""
    if encoder == PIXELS:
        return "Raw pixels"
    vectors, kind = vectors_id(encoder), encoder.partition(":")[0]
    try:
        if vectors:
            return vectors_info(vectors).name
        parsed = parse_encoder(encoder)
        if parsed.kind == "run":
            return RunStore().get(parsed.value).name
        title = backbone_info(encoder_arch(encoder)).title
        if parsed.kind == "file":
            return f"{title}, {weights_info(parsed.value).name}"
        return f"{title}, {'random weights' if parsed.kind == 'random' else 'pretrained'}"
    except UserError:
        return f"{GONE.get(kind, encoder)} that was deleted"

"""How long a comparison will take on this machine: encoders and probes are timed, the rest is arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from engine.data.dataset import Dataset, open_dataset
from engine.data.pixels import stored_size
from engine.data.vectors import vectors_id, vectors_info
from engine.errors import UserError
from engine.evaluation.comparison_parts import Parts, Subject, parts_of, subjects_of
from engine.evaluation.embedding_cost import embedding_cost
from engine.evaluation.known_features import known_features, note_of
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import linear_probe
from engine.evaluation.structure import MOST, structure
from engine.fields import checked
from engine.methods.comparison_config import ComparisonConfig
from engine.models.backbones import backbone_info
from engine.models.encoder import PIXELS, encoder_arch
from engine.models.network import Encoder
from engine.models.trunks import build_trunk
from engine.runs.recipe import Recipe
from engine.training import machine

FEW, SOME, JUDGES = 100, 600, 300  # rows of made-up features that a probe is timed on, and that judge
TIMED_BATCHES = 6  # of each encoder, while its cost is measured
APART = 0.5  # how far apart the classes of made-up features lie, in their spread
LOW, HIGH = (0.7, 0.4), (1.6, 2.5)  # of computing features, and of fitting, which goes by the features


@dataclass(frozen=True)
class Costs:
    """What a comparison's seconds are spent on.

    Attributes:
        fixed: (what, seconds) of what hardly goes by the images' content.
        fitted: Likewise of what is fitted to features nobody has seen yet.
        known: Encoders whose features have been computed before.
        unknown: Encoders that cannot be built here, by title.
    """

    fixed: list[tuple[str, float]]
    fitted: list[tuple[str, float]]
    known: int
    unknown: list[str]

    @property
    def seconds(self) -> tuple[float, float, float]:
        """The best guess, of a quiet machine and easy features, and of a busy one and hard ones."""
        fixed, fitted = (sum(seconds for _, seconds in parts) for parts in (self.fixed, self.fitted))
        low, high = (a * fixed + b * fitted for a, b in (LOW, HIGH))
        return fixed + fitted, low, high


Timing = Callable[
    [str, Callable[[], dict[str, float]]], dict[str, float]
]  # taken once a machine, by its name


def comparison_costs(recipe: Recipe, timing: Timing, reading: Callable[[Dataset, int], float]) -> Costs:
    """Time the encoders and probes of a comparison, or recall such timings, and add them up.

    Args:
        recipe: Of a comparison.
        timing: Gives a timing by its name, taking it where there is none.
        reading: Seconds to have the images of a set at a side.

    Raises:
        UserError: The data set cannot judge encoders.
    """
    config: ComparisonConfig = checked(ComparisonConfig, recipe.config)
    dataset = open_dataset(recipe.dataset)
    parts = parts_of(dataset, config.split, config.images, config.asked, recipe.seed)
    images = len(parts.train) + len(parts.asked)
    embedded = timed = 0.0
    known, unknown, sides, widths = 0, [], set(), []
    for subject in subjects_of(config, dataset, recipe.image_size, images):
        try:
            widths.append(_width(subject))
            if subject.encoder == PIXELS or vectors_id(subject.encoder):
                sides |= {subject.side} if subject.encoder == PIXELS else set()
                continue
            each = timing(f"embed/{encoder_arch(subject.encoder)}/{subject.side}", _embedding(subject))
        except UserError:
            unknown.append(subject.title)
            continue
        rows = _left(subject, dataset, parts, recipe.seed)
        known += rows == 0
        sides |= {stored_size(subject.side)} if rows else set()
        embedded += rows * each["image"]
        batch = each["batch"] * each["image"]
        timed += min(TIMED_BATCHES * batch, machine.LONGEST + 2 * batch)
    fixed = [("Reading images", sum(reading(dataset, side) for side in sides))]
    fixed += [("Features", embedded), ("Timing the encoders", timed)]
    return Costs(fixed, _fitting(config, dataset, parts, widths, timing), known, unknown)


def _width(subject: Subject) -> int:
    """Numbers of an image's features.

    Raises:
        UserError: The encoder is not here.
    """
    if vectors := vectors_id(subject.encoder):
        return vectors_info(vectors).width
    if subject.encoder == PIXELS:
        return 3 * subject.side**2
    return backbone_info(encoder_arch(subject.encoder)).width


def _left(subject: Subject, dataset: Dataset, parts: Parts, seed: int) -> int:
    """Images that have to be turned into features; none where that has been done."""
    rows = np.union1d(parts.train, parts.asked)
    few = 2 * len(rows) < len(dataset)  # as `engine.evaluation.encoding` has it
    note = note_of(subject.encoder, subject.side, seed, dataset.fingerprint, rows if few else None)
    if known_features(note, len(dataset)) is not None:
        return 0
    return len(rows) if few else len(dataset)


def _embedding(subject: Subject) -> Callable[[], dict[str, float]]:
    def measure() -> dict[str, float]:
        arch = encoder_arch(subject.encoder)
        backbone_info(arch).check_size(subject.side)
        cost = embedding_cost(Encoder(arch, build_trunk(arch, subject.side), subject.side))
        return {"image": cost.milliseconds / 1000, "batch": float(cost.batch)}

    return measure


def _fitting(
    config: ComparisonConfig, dataset: Dataset, parts: Parts, widths: list[int], timing: Timing
) -> list[tuple[str, float]]:
    n, m, classes = len(parts.train), len(parts.asked), len(dataset.classes)
    largest = int(np.bincount(dataset.labels[parts.train]).max())
    few = [min(n, number * classes) for number in config.numbers if number < largest]
    whole = probes = near = shapes = 0.0
    for width in widths:
        took = timing(f"probe/{classes}/{width}", partial(_timed, width, classes))
        whole += _probe(took, n)
        probes += config.draws * sum(_probe(took, rows) for rows in few)
        near += took["knn"] * n * m
        shapes += took["structure"] * min(m, MOST) ** 2
    asked = [
        ("Linear probes", whole, config.linear or config.few_labels),
        ("Probes with few labels", probes, config.few_labels),
        ("Neighbours", near, config.knn),
        ("Shape of the features", shapes, config.structure),
    ]
    return [(what, seconds) for what, seconds, wanted in asked if wanted]


def _probe(took: dict[str, float], rows: int) -> float:
    """Seconds of a probe that learns from so many rows, on the line through the two that were timed."""
    slope = max(0.0, took["some"] - took["few"]) / (SOME - FEW)
    return max(took["few"], took["few"] + slope * (rows - FEW))


def _timed(width: int, classes: int) -> dict[str, float]:
    """Seconds of probes on made-up features, and of neighbours and shape by pair of rows."""
    machine.prepare(torch.device("cpu"))
    some, asked = (_features(rows, width, classes) for rows in (SOME, JUDGES))
    few = some[0][:FEW], some[1][:FEW]
    linear_probe(*few, *asked, classes)  # loads what it needs
    took = {
        "few": _seconds(lambda: linear_probe(*few, *asked, classes)),
        "some": _seconds(lambda: linear_probe(*some, *asked, classes)),
        "knn": _seconds(lambda: knn_accuracy(*some, *asked, classes)) / (SOME * JUDGES),
    }
    structure(few[0], few[1])
    return {**took, "structure": _seconds(lambda: structure(*asked)) / JUDGES**2}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _features(n: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, width) features in classes that overlap, and (n,) their classes."""
    random = np.random.default_rng(n)
    y = np.arange(n) % classes
    middles = np.random.default_rng(0).normal(0, APART, (classes, width))
    return (middles[y] + random.normal(size=(n, width))).astype(np.float32), y

"""What a self-supervised encoder has learned, at the end: probes of h and z beside raw pixels and chance.

Features h come before the projection head, embeddings z after it: what augmentations change is forgotten in z
first (Chen et al. 2020, section 4.2, https://arxiv.org/abs/2002.05709).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.evaluation.few_labels import few_of
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import FactorResult, factor_kinds, factor_probes, linear_probe
from engine.methods.method import Method
from engine.training.loop import evaluate
from engine.training.probing import EVERY_FIFTH, flat_pixels, some_of
from engine.training.sources import PixelSource
from engine.training.task import Split

LEARN, ASK = 10_000, 5_000  # images, at most
FEW, DRAWS = 10, 5  # labels a class, and how often they are drawn
PIXEL_PARTS = 128  # principal components that stand for raw pixels in a linear probe

TITLES = {
    "feature": "Encoder features h",
    "embedding": "Embedding z, after the head",
    "untrained": "Encoder before training",
    "pixels": "Raw pixels",
}
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Spaces:
    """Every representation that is compared, of the same images in the same order.

    Attributes:
        learn: name -> (n, d) for the images that the probes learn from.
        ask: name -> (m, d) for those that they are judged by.
        learned: (n,) class indices, -1 where there is none.
        asked: (m,) likewise.
        places: (n,) and (m,) places of both in the data set.
        split: Where the judging images come from.
    """

    learn: Arrays
    ask: Arrays
    learned: np.ndarray
    asked: np.ndarray
    places: tuple[np.ndarray, np.ndarray]
    split: str


def study_splits(splits: Mapping[str, Split]) -> tuple[Split, Split, str]:
    """Training images to learn from; test images to be judged by, else validation, else some of training."""
    train = splits["train"]
    for name in ("test", "val"):
        if len(splits[name].index):
            return some_of(train, LEARN), some_of(splits[name], ASK), name
    asked = np.arange(len(train.index)) % EVERY_FIFTH == 0
    learn, ask = (Split(train.index[rows], train.labels[rows]) for rows in (~asked, asked))
    return some_of(learn, LEARN), some_of(ask, ASK), "train"


def spaces_of(
    method: Method,
    untrained: Method,
    splits: Mapping[str, Split],
    source: Callable[[Split], PixelSource],
    stop: Callable[[], bool],
) -> Spaces | None:
    """Compute every representation of the images of a study; None if it was stopped on the way.

    Args:
        method: As it was kept.
        untrained: The same as it began.
        splits: Of the data set.
        source: Makes the source of some images.
        stop: Asked between batches.
    """
    learn, ask, name = study_splits(splits)
    found: list[Arrays] = []
    for images in (source(learn), source(ask)):
        seen, before = evaluate(method, images, stop), evaluate(untrained, images, stop)
        if seen is None or before is None:
            return None
        found.append({**seen.outputs, "pixels": flat_pixels(images), "untrained": before.outputs["feature"]})
    return Spaces(found[0], found[1], learn.labels, ask.labels, (learn.index, ask.index), name)


def study(
    spaces: Spaces,
    classes: int,
    factors: Arrays,
    seed: int,
    tell: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Probe every space.

    Args:
        spaces: What to compare.
        classes: How many there are; without two, what needs labels is left out.
        factors: Known factors of all images of the data set, (N,) each; may be empty.
        seed: Of the probes' own draws.
        tell: Called with spaces done and in all.
        stop: Asked between steps of a probe.

    Returns:
        "rows": a row a space with its kNN, linear and few-label accuracy; "factors": a row a factor with a
        score a space; "learned", "asked", "split": on how many images, and which; "majority": share of the
        commonest class among those that are judged.

    Raises:
        Stopped: `stop` said so.
    """
    known = [{name: values[index] for name, values in factors.items()} for index in spaces.places]
    # one that takes a single value among these images cannot be read from anything
    told = [name for name in factors if all(len(np.unique(part[name])) > 1 for part in known)]
    kinds = factor_kinds({name: factors[name] for name in told})
    labelled = classes > 1 and bool((spaces.learned >= 0).any()) and bool((spaces.asked >= 0).any())
    rows: list[dict[str, Any]] = []
    scores: dict[str, dict[str, FactorResult]] = {}
    for name in spaces.learn:
        x, test_x = spaces.learn[name], spaces.ask[name]
        row: dict[str, Any] = {"space": name, "title": TITLES[name], "width": x.shape[1]}
        if name == "pixels":
            x, test_x = principal(x, test_x, PIXEL_PARTS)
        if labelled:
            row |= _labels(spaces, name, (x, test_x), classes, seed, stop)
        rows.append(row)
        if kinds:
            scores[name] = factor_probes(x, known[0], test_x, known[1], kinds, seed=seed, stop=stop)
        tell(len(rows), len(spaces.learn))
    return {
        "rows": rows,
        "factors": _by_factor(kinds, scores),
        "learned": len(spaces.learned),
        "asked": len(spaces.asked),
        "split": spaces.split,
        "majority": _majority(spaces.asked),
    }


def _majority(labels: np.ndarray) -> float:
    known = labels[labels >= 0]
    return float(np.bincount(known).max() / len(known)) if len(known) else 0.0


def _by_factor(
    kinds: Mapping[str, str], scores: Mapping[str, Mapping[str, FactorResult]]
) -> list[dict[str, Any]]:
    """A row a factor with the score of each space, and what needs no features at all."""
    rows = []
    for factor, kind in kinds.items():
        told = {name: found[factor] for name, found in scores.items() if factor in found}
        if told:
            chance = next(iter(told.values())).chance
            points = {name: result.score for name, result in told.items()}
            rows.append({"factor": factor, "kind": kind, "scores": points, "chance": chance})
    return rows


def _labels(
    spaces: Spaces,
    name: str,
    features: tuple[np.ndarray, np.ndarray],
    classes: int,
    seed: int,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Accuracy of a space by its neighbours, by a linear probe with all labels, and with few."""
    known, wanted = spaces.learned >= 0, spaces.asked >= 0
    y, truth = spaces.learned[known], spaces.asked[wanted]
    near = knn_accuracy(spaces.learn[name][known], y, spaces.ask[name][wanted], truth, classes)
    found: dict[str, Any] = {"knn": asdict(near)}
    x, test_x = features[0][known], features[1][wanted]
    try:
        found["linear"] = asdict(linear_probe(x, y, test_x, truth, classes, seed=seed, stop=stop))
        few = []
        for draw in range(DRAWS):
            rows = few_of(y, FEW, seed + draw)
            few.append(linear_probe(x[rows], y[rows], test_x, truth, classes, seed=seed, stop=stop).accuracy)
        found["few"] = {"labels": FEW, "mean": float(np.mean(few)), "low": min(few), "high": max(few)}
    except UserError as error:
        found["problem"] = str(error)
    return found


def principal(x: np.ndarray, other: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Both in the first principal components of (n, d) `x`; unchanged where there are no more than those."""
    if x.shape[1] <= parts or len(x) <= parts:
        return x, other
    from sklearn.decomposition import PCA

    pca = PCA(parts, svd_solver="randomized", random_state=0).fit(x)
    return pca.transform(x), pca.transform(other)

"""Does it learn: handwritten digits, a small dense network, a few seconds a method, and one broken recipe."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from engine.evaluation.few_labels import few_of
from engine.evaluation.probe import linear_probe
from engine.methods import method_class, parse_config
from engine.methods.method import Method, Task
from engine.models.encoder import build_encoder
from engine.training.loop import evaluate, fit
from engine.training.optim import Plan
from engine.training.probing import Prober, ProbeSplits
from engine.training.sources import PixelSource
from engine.training.task import Split

spec = importlib.util.spec_from_file_location("watching", Path(__file__).with_name("watching.py"))
assert spec and spec.loader
watching = sys.modules.setdefault("watching", importlib.util.module_from_spec(spec))
spec.loader.exec_module(watching)

TRAIN, SIZE, BATCH, EACH = 1000, 8, 100, 5
VIEWS = {  # digits: no mirroring, no colour
    "crop_min": 0.7, "flip": 0.0, "hue": 0.0, "saturation": 0.0, "grayscale": 0.0, "batch_size": BATCH,
    "learning_rate": 0.003,
}  # fmt: skip
BROKEN = {"stop_gradient": False, "predictor": False, "ema_momentum": 0.0, "second_solarise": 0.0}
ADAM: dict[str, Any] = {"optimizer": "adam", "learning_rate": 0.002, "weight_decay": 1e-5}  # falls faster


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small dense layers are quicker so, and the numbers do not depend on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Lesson:
    """A method with the digits that it learns from and those that judge it."""

    def __init__(self, name: str, **settings: Any) -> None:
        digits = load_digits()
        pixels = np.repeat((digits.images * 255 / 16).astype(np.uint8)[..., None], 3, axis=3)
        places, labels = np.arange(len(pixels)), digits.target.astype(np.int64)
        train, asked = (Split(part, labels[part]) for part in (places[:TRAIN], places[TRAIN : TRAIN + 400]))
        config = parse_config(name, {**VIEWS, **settings})
        torch.manual_seed(0)
        kind: Any = method_class(name)
        encoder = build_encoder("random:ae-mlp-8-gray-256-64", SIZE, 0)
        self.method: Method = kind(encoder, config, Task(tuple("0123456789"), (), TRAIN, SIZE, True))

        def source(split: Split) -> PixelSource:
            views = self.method.views
            return PixelSource(pixels, split.index, split.labels, SIZE, views, BATCH, 0, whole_batches=True)

        self.train, self.asked = source(train), source(asked)
        self.prober = Prober(ProbeSplits(train, asked), source, 0, lambda: False)

    def few_labels(self) -> float:
        """Mean accuracy of linear probes on h that know five images of each digit."""
        learn, ask = evaluate(self.method, self.train), evaluate(self.method, self.asked)
        assert learn is not None and ask is not None
        h, y, other = learn.outputs["feature"], learn.labels, ask.outputs["feature"]
        draws = [few_of(y, EACH, seed) for seed in range(4)]
        return float(np.mean([linear_probe(h[r], y[r], other, ask.labels, 10).accuracy for r in draws]))

    def epochs(self, folder: Path) -> list[dict[str, Any]]:
        watcher = watching.Watcher(folder)
        plan = Plan.of(self.method.config)
        fit(
            self.method,
            self.train,
            self.asked,
            plan,
            watcher,
            read_out=lambda _, seen, history: self.prober.read_out(self.method, seen, history),
        )
        return watcher.epochs


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("simclr", {"temperature": 0.5, "learning_rate": 0.002}),
        ("moco", {"queue_size": 500, "batch_norm_splits": 1}),
        (
            "byol",
            {"second_solarise": 0.0, "learning_rate": 0.06, "ema_momentum": 0.98, "predictor_rate": 1.0},
        ),
    ],
    ids=["simclr", "moco", "byol"],
)
def test_a_few_labels_tell_more_after_training_than_before(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    lesson = Lesson(name, epochs=20, **settings)
    before = lesson.few_labels()
    epochs = lesson.epochs(tmp_path / "run")
    after = lesson.few_labels()
    assert after > before + 0.03 > 0.6, "chance is 0.1"
    last = epochs[-1]
    assert last["val_z_std"] > 0.6 and last["verdict"]["state"] == "healthy"
    assert last["val_knn_accuracy"] > 0.85
    losses = [row["train_loss"] for row in epochs]
    if name == "simclr":
        chance = math.log(2 * BATCH - 1)
        assert abs(losses[0] - chance) < 1 and losses[-1] < losses[0] - 0.5
    if name == "moco":
        floor = math.log1p(500 * math.exp(-2 / 0.1))
        assert floor < losses[-1] < math.log(501) - 1
    if name == "byol":
        assert 0.2 < losses[-1] < 1.2, "not nothing, which would be collapse"


def test_without_anything_that_keeps_the_views_apart_byol_collapses_and_is_told_so(tmp_path: Path) -> None:
    lesson = Lesson("byol", epochs=12, **BROKEN, **ADAM)
    before = lesson.prober.references(lesson.method)
    assert before is not None
    epochs = lesson.epochs(tmp_path / "run")
    last = epochs[-1]
    assert last["train_loss"] < 0.02, "the lowest loss of all"
    assert last["val_z_std"] < 0.1 and last["verdict"]["state"] == "collapsed"
    assert last["verdict"]["words"].startswith("Collapsed: every image gets nearly the same embedding")
    assert last["val_effective_rank"] > 30, "rank alone would not have shown it"
    assert last["val_knn_accuracy"] < before["knn_accuracy"]["before training"] - 0.05

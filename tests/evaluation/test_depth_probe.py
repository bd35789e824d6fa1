"""A probe by depth carried out whole: its figures are the engine's probes on maps averaged by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.data.augment import center
from engine.data.dataset import Dataset
from engine.data.pixels import pixels
from engine.errors import UserError
from engine.evaluation import depth_probe
from engine.evaluation.depth_probe import averaged, carry_out, probe_parts
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import linear_probe
from engine.models.encoder import build_encoder
from engine.runs.reading import read_rows
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import Stopped
from engine.training.task import Split
from tests.evaluation.tried import SIDE, small_shapes, tried_run


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return small_shapes(train=60, val=30)


def depth_recipe(dataset: Dataset, backbone: str | None = "random:cnn-small", **config: Any) -> Recipe:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "depth_probe"}
    rest = {"backbone": backbone, "image_size": SIDE, "seed": 0}
    return check_recipe(make_recipe({**fields, "config": config, **rest}))


def probed(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    run = RunStore().create(recipe).id
    return run, carry_out(recipe, RunStore().writer(run))


def by_hand(dataset: Dataset, encoder: Any, places: int) -> dict[str, np.ndarray]:
    """Averaged maps of a small CNN, module by module."""
    images = center(torch.from_numpy(np.array(pixels(dataset, SIDE))), SIDE)
    found = {"image": images.flatten(1).numpy()}
    with torch.no_grad():
        x = encoder.normalise(images)
        for name in ("stem", "stage1", "stage2"):
            x = encoder.trunk.get_submodule(name)(x)
            step = x.shape[2] // min(places, x.shape[2])
            found[name] = F.avg_pool2d(x, step).flatten(1).numpy()
        found["features"] = x.mean((2, 3)).numpy()
    return found


@pytest.mark.parametrize(("kind", "places"), [("linear", 2), ("knn", 1)])
def test_every_block_is_probed_with_its_own_maps(dataset: Dataset, kind: str, places: int) -> None:
    run, results = probed(depth_recipe(dataset, kind=kind, places=places))
    x = by_hand(dataset, build_encoder("random:cnn-small", SIDE).eval(), places)
    train, val = dataset.indices("train"), dataset.indices("val")
    y, truth = dataset.labels[train], dataset.labels[val]
    rows = results["depth"]
    assert [row["block"] for row in rows] == ["image", "stem", "stage1", "stage2", "features"]
    for row in rows:
        mine = x[row["block"]]
        ask = linear_probe if kind == "linear" else knn_accuracy
        wanted = ask(mine[train], y, mine[val], truth, 10)
        assert row["width"] == mine.shape[1]
        assert row["accuracy"] == pytest.approx(wanted.accuracy, abs=0.04), "rounding may turn one image"
        assert (row["n"], row["low"] < row["accuracy"] < row["high"] or row["correct"] in (0, 30)) == (
            30,
            True,
        )
    assert (results["split"], results["learned"], results["asked"]) == ("val", 60, 30)
    assert results["majority"] == pytest.approx(np.bincount(truth).max() / 30)
    assert results["random_weights"] and results["twin"] == [], "a random network is its own twin"
    told = [row for row in read_rows(RunStore().folder(run))[0] if row["kind"] == "depth"]
    assert [row["accuracy"] for row in told] == [row["accuracy"] for row in rows], "told as they come"


def test_a_trained_encoder_stands_beside_its_architecture_untrained(dataset: Dataset) -> None:
    trained = tried_run(dataset)
    _, results = probed(depth_recipe(dataset, f"run:{trained}", kind="knn"))
    _, random = probed(depth_recipe(dataset, kind="knn"))
    assert not results["random_weights"] and len(results["depth"]) == len(results["twin"]) == 5
    assert [row["accuracy"] for row in results["twin"]] == [row["accuracy"] for row in random["depth"]]
    _, alone = probed(depth_recipe(dataset, f"run:{trained}", kind="knn", twin=False))
    assert alone["twin"] == [] and alone["depth"] == results["depth"]


def test_averaging_keeps_what_is_smaller_and_the_mean_of_what_is_larger() -> None:
    maps = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert averaged(maps, 1).tolist() == [[7.5, 23.5]]
    assert averaged(maps, 2)[0, :4].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(averaged(maps, 9), maps.flatten(1))


def test_test_images_judge_before_validation_ones_and_a_fifth_of_training_at_the_last() -> None:
    def split(*index: int) -> Split:
        return Split(np.array(index, int), np.zeros(len(index), int))

    parts = {"train": split(*range(10)), "val": split(20, 21), "test": split(30, 31, 32)}
    learn, ask, name = probe_parts(parts, 5, 2)
    assert (len(learn.index), ask.index.tolist(), name) == (5, [30, 32], "test")
    assert probe_parts({**parts, "test": split()}, 5, 9)[2] == "val"
    learn, ask, name = probe_parts({**parts, "test": split(), "val": split()}, 100, 100)
    assert (ask.index.tolist(), name) == ([0, 5], "train") and not set(learn.index) & {0, 5}


def test_it_stops_when_asked(dataset: Dataset) -> None:
    recipe = depth_recipe(dataset)
    run = RunStore().create(recipe).id
    writer = RunStore().writer(run)
    writer.stop_event.set()
    with pytest.raises(Stopped):
        carry_out(recipe, writer)
    assert RunStore().results(run) is None


def test_what_cannot_be_probed_is_one_sentence(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="needs an encoder"):
        probed(depth_recipe(dataset, None))
    with pytest.raises(UserError, match="names no encoder"):
        depth_recipe(dataset, "pixels")
    with pytest.raises(UserError, match="was made for images of 32 px, got 16"):
        depth_recipe(dataset, "random:ae-conv-32-colour-8-16")
    monkeypatch.setattr(depth_probe, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="do not fit in memory"):
        probed(depth_recipe(dataset))


def test_images_without_classes_are_refused(workspace: Path) -> None:
    from engine.data.writer import DatasetWriter

    source = small_shapes(train=6)
    with DatasetWriter("Plain") as writer:
        for i in range(6):
            writer.add(source.raw_bytes(i), f"{i}.png")
        plain = writer.finish(classes=[], labels=np.full(6, -1), splits=np.zeros(6, np.uint8))
    with pytest.raises(UserError, match="needs classes"):
        probed(depth_recipe(plain))

"""A recipe carried out from data set to results, in this process, and what it says when it cannot be."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from engine.data.dataset import Dataset
from engine.data.intake import add_dataset
from engine.errors import UserError
from engine.models.encoder import build_encoder
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import Stopped
from engine.training.carry_out import carry_out
from engine.training.cost import estimate
from engine.training.task import pinned
from engine.training.trained import predict
from tests.training.impatient import Impatient


def picture(label: int, seed: int, side: int = 40) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (side, side, 3), dtype=np.uint8)
    half = slice(0, side // 2) if label == 0 else slice(side // 2, side)
    pixels[:, half, 2 * label] += 120  # red on the left, blue on the right
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def folder(root: Path, layout: dict[str, int]) -> Path:
    """Write images: {"train/left": 20, …}; a class whose name starts with l is bright on the left."""
    for k, (place, n) in enumerate(layout.items()):
        (root / place).mkdir(parents=True)
        label = 0 if Path(place).name.startswith("l") else 1
        for i in range(n):
            (root / place / f"{i}.png").write_bytes(picture(label, 1000 * k + i))
    return root


@pytest.fixture
def dataset(workspace: Path, tmp_path: Path) -> Dataset:
    layout = {
        "train/left": 24,
        "train/right": 24,
        "val/left": 8,
        "val/right": 8,
        "test/left": 3,
        "test/right": 3,
    }
    return add_dataset(folder(tmp_path / "sides", layout))


def recipe(dataset: Dataset, size: int = 32, backbone: str = "random:cnn-small", **config: Any) -> Recipe:
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01, "augment": "none", **config}
    fields = {
        "dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "classification",
        "config": settings, "backbone": backbone, "image_size": size, "seed": 0,
    }  # fmt: skip
    return check_recipe(make_recipe(fields))


def start(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    store = RunStore()
    handle = store.create(recipe)
    return handle.id, carry_out(recipe, store.writer(handle.id))


@pytest.mark.parametrize(
    "config",
    [{}, {"mode": "last_block"}, {"mode": "extract", "augmented_copies": 2, "augment": "light", "epochs": 8}],
    ids=["everything", "last block", "extract"],
)
def test_a_run_leaves_results_predictions_frames_and_an_encoder(
    dataset: Dataset, config: dict[str, Any]
) -> None:
    run, results = start(recipe(dataset, **config))
    store = RunStore()
    assert {name: s["n"] for name, s in results["splits"].items()} == {"train": 48, "val": 16, "test": 6}
    assert np.sum(results["confusion"]) == 16
    if config.get("mode") != "extract":  # random features that stay as they are promise nothing
        assert results["splits"]["val"]["accuracy"] >= 0.8
    assert results["random_weights"] and results["chosen_on"] == "val" and results["majority"] == 0.5
    assert results["rule"].startswith("highest validation accuracy")
    assert sum(row["parameters"] for row in results["layers"]) == results["learns"]["total"]
    assert store.results(run)["kept_epoch"] == results["kept_epoch"]

    epochs = store.curve(run)["epochs"]
    kept = next(row for row in epochs if row["epoch"] == results["kept_epoch"])
    assert kept["kept"]
    assert kept["val_accuracy"] == pytest.approx(results["splits"]["val"]["accuracy"], abs=1e-6)
    assert kept["val_loss"] == pytest.approx(results["splits"]["val"]["loss"], abs=1e-4)

    found = store.predictions(run)
    assert found is not None and np.array_equal(np.sort(found["index"]), np.arange(len(dataset)))
    assert np.array_equal(found["label"], dataset.labels[found["index"]])
    assert np.array_equal(found["split"], dataset.split_codes[found["index"]])
    assert np.allclose(found["probabilities"].sum(1), 1, atol=1e-5)
    assert store.frames(run) == [row["epoch"] for row in epochs]
    frame = store.frame(run, results["kept_epoch"])
    assert len(frame["index"]) == 16 and set(frame["label"]) == {0, 1}
    row = {int(i): p for i, p in zip(found["index"], found["probabilities"], strict=True)}
    assert all(
        np.allclose(row[int(i)], p, atol=1e-4)
        for i, p in zip(frame["index"], frame["probabilities"], strict=True)
    )
    assert store.environment(run)["torch"]


def test_a_trained_run_predicts_new_images_and_is_a_backbone_for_others(dataset: Dataset) -> None:
    run, first = start(recipe(dataset))
    found = RunStore().predictions(run)
    images = [dataset.image(int(i)) for i in found["index"][:20]]
    classes, probabilities = predict(run, images)
    assert classes == ("left", "right")
    assert np.allclose(probabilities, found["probabilities"][:20], atol=1e-5)  # the very same pixels
    encoder = build_encoder(f"run:{run}", 32)
    assert encoder.provenance == "run"
    kept = load_file(RunStore().encoder_path(run))
    assert all(np.array_equal(kept[n], t) for n, t in encoder.trunk.state_dict().items())
    _, second = start(recipe(dataset, backbone=f"run:{run}", mode="extract", epochs=6))
    assert not second["random_weights"]
    assert second["splits"]["val"]["accuracy"] >= first["splits"]["val"]["accuracy"] - 0.1


@pytest.mark.parametrize("after", [0, 8])
def test_stop_works_in_every_phase_and_resume_reaches_the_unbroken_end(dataset: Dataset, after: int) -> None:
    wanted = recipe(dataset)
    store = RunStore()
    handle = store.create(wanted)
    with pytest.raises(Stopped):
        carry_out(wanted, Impatient(store.writer(handle.id), after))  # type: ignore[arg-type]
    assert store.results(handle.id) is None
    resumed = carry_out(wanted, store.writer(handle.id))
    _, whole = start(wanted.model_copy(update={"config": dict(wanted.config)}))
    assert resumed["kept_epoch"] == whole["kept_epoch"]
    for name, figures in whole["splits"].items():
        assert resumed["splits"][name]["loss"] == pytest.approx(figures["loss"], abs=1e-5)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"train/left": 6, "val/left": 2}, "one class"),
        ({"": 6}, "needs classes"),
    ],
    ids=["one class", "unlabelled"],
)
def test_sets_that_teach_nothing_are_refused(
    workspace: Path, tmp_path: Path, layout: dict[str, int], words: str
) -> None:
    data = add_dataset(folder(tmp_path / "set", layout))
    with pytest.raises(UserError, match=words):
        start(recipe(data))
    with pytest.raises(UserError, match=words):
        estimate(recipe(data))


@pytest.mark.parametrize(
    ("layout", "words", "chosen"),
    [
        (
            {"train/left": 1, "train/right": 1, "val/left": 1, "val/right": 1},
            "Only one training image",
            "val",
        ),
        (
            {"train/left": 4, "train/right": 4, "test/left": 2, "test/right": 2},
            "The batch of 16 holds all",
            None,
        ),
    ],
    ids=["one image a class", "batch above the set"],
)
def test_poor_sets_are_learned_from_with_a_note(
    workspace: Path, tmp_path: Path, layout: dict[str, int], words: str, chosen: str | None
) -> None:
    data = add_dataset(folder(tmp_path / "set", layout))
    run, results = start(recipe(data, epochs=2))
    assert any(words in note for note in results["notes"])
    if not len(data.indices("val")):
        assert results["chosen_on"] is None and results["kept_epoch"] == 2


def test_what_can_not_be_is_said_before_anything_is_computed(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="63 to 1024 px"):
        start(recipe(dataset, backbone="random:alexnet", size=32))
    with pytest.raises(UserError, match="not on this machine"):
        start(recipe(dataset, backbone="torchvision:resnet18", size=32))
    other = recipe(dataset).model_copy(update={"fingerprint": "sha256:other"})
    with pytest.raises(UserError, match="data set changed"):
        start(other)


@pytest.mark.parametrize("config", [{}, {"mode": "extract", "augmented_copies": 2, "augment": "light"}])
def test_an_estimate_has_parts_that_add_up_and_is_remembered(
    dataset: Dataset, config: dict[str, Any], workspace: Path
) -> None:
    first = estimate(recipe(dataset, **config))
    assert first.seconds == pytest.approx(sum(seconds for _, seconds in first.parts))
    assert first.low < first.seconds < first.high and first.peak_bytes > 50e6
    kept = (workspace / "cache" / "timings.json").read_bytes()
    more = estimate(recipe(dataset, **{**config, "epochs": 40}))
    assert (workspace / "cache" / "timings.json").read_bytes() == kept
    assert dict(more.parts)[more.parts[-1][0]] > 0 and more.seconds > first.seconds


def test_pinned_images_are_spread_over_the_classes() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [2] * 20)
    rows = pinned(labels, 12)
    assert len(rows) == 12 and np.array_equal(rows, np.unique(rows))
    assert np.bincount(labels[rows]).tolist() == [5, 3, 4]
    assert np.array_equal(pinned(labels[:5], 12), np.arange(5))

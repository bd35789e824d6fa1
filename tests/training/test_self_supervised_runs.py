"""Self-supervised recipes carried out whole: with labels, without, on next to nothing, stopped, resumed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.intake import add_dataset
from engine.errors import UserError
from engine.methods import config_class
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import Stopped
from engine.training.carry_out import carry_out
from tests.training.impatient import Impatient


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches this small only make threads wait for each other."""
    monkeypatch.setenv("REPLAB_THREADS", "1")


LABELLED = {
    "train/left": 12,
    "train/right": 12,
    "val/left": 4,
    "val/right": 4,
    "test/left": 3,
    "test/right": 3,
}
HEALTH = {"val_z_std", "val_effective_rank", "val_alignment", "val_uniformity"}


def picture(label: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 120, (16, 16, 3), dtype=np.uint8)
    half = slice(0, 8) if label == 0 else slice(8, 16)
    pixels[:, half, 2 * label] += 120  # red on the left, blue on the right
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def dataset(root: Path, layout: dict[str, int]) -> Dataset:
    for k, (place, n) in enumerate(layout.items()):
        (root / place).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            label = int(Path(place).name.startswith("r"))
            (root / place / f"{i}.png").write_bytes(picture(label, 1000 * k + i))
    return add_dataset(root)


def recipe(data: Dataset, method: str, **config: Any) -> Recipe:
    usual = config_class(method).suggested(len(data.indices("train")))
    fields = {
        "dataset": data.id, "fingerprint": data.fingerprint, "method": method, "image_size": 16, "seed": 0,
        "backbone": "random:cnn-small", "config": {**usual, "epochs": 2, "output_size": 16, **config},
    }  # fmt: skip
    return check_recipe(make_recipe(fields))


def start(wanted: Recipe) -> tuple[str, dict[str, Any]]:
    store = RunStore()
    handle = store.create(wanted)
    return handle.id, carry_out(wanted, store.writer(handle.id))


def rows_of(run: str, kind: str) -> list[dict[str, Any]]:
    return [row for row in RunStore().curve(run)[kind]]


def test_a_run_with_labels_is_judged_by_its_representation(workspace: Path, tmp_path: Path) -> None:
    data = dataset(tmp_path / "set", LABELLED)
    run, results = start(recipe(data, "simclr"))
    assert {name: s["n"] for name, s in results["splits"].items()} == {"train": 24, "val": 8, "test": 6}
    assert results["kept_epoch"] == 2 and results["chosen_on"] is None and "last epoch" in results["rule"]
    epochs = rows_of(run, "epochs")
    for row in epochs:
        assert set(row) >= HEALTH | {"val_knn_accuracy", "train_loss", "verdict"} and "val_loss" not in row
        assert row["verdict"]["words"].endswith(".")
    assert set(results["references"]["knn_accuracy"]) == {"raw pixels", "before training"}
    assert set(results["references"]["loss"]) == {"chance, log(2N−1)", "least possible"}
    spaces = {row["space"]: row for row in results["study"]["rows"]}
    assert set(spaces) == {"feature", "embedding", "untrained", "pixels"}
    assert results["study"]["split"] == "test" and spaces["feature"]["knn"]["n"] == 6
    frame = RunStore().frame(run, 2)
    assert frame["view"].shape == (8, 2, 16, 16, 3) and frame["view"].dtype == np.uint8
    for name in ("similarity", "batch_similarity"):  # of the pinned images, and of the last batch
        similarity = frame[name].astype(float)
        assert similarity.shape == (16, 16) and np.diag(similarity) == pytest.approx(np.ones(16), abs=1e-2)
        assert similarity == pytest.approx(similarity.T, abs=1e-3)
    assert frame["batch_view"].shape == (8, 2, 16, 16, 3)
    assert not np.array_equal(frame["batch_view"], RunStore().frame(run, 1)["batch_view"])
    assert np.array_equal(frame["view"], RunStore().frame(run, 1)["view"])
    found = RunStore().predictions(run)
    assert found["feature"].shape == (38, 128) and found["embedding"].shape == (38, 16)


@pytest.mark.parametrize("method", ["simclr", "moco", "byol", "instance_discrimination"])
def test_a_set_without_labels_trains_and_has_no_neighbours_to_count(
    method: str, workspace: Path, tmp_path: Path
) -> None:
    run, results = start(recipe(dataset(tmp_path / "set", {"": 24}), method))
    for row in rows_of(run, "epochs"):
        assert set(row) >= HEALTH and "val_knn_accuracy" not in row
    assert "knn_accuracy" not in results["references"]
    assert len(results["study"]["rows"]) == 4 and results["study"]["factors"] == []
    assert all(set(row) == {"space", "title", "width"} for row in results["study"]["rows"])
    assert (RunStore().predictions(run)["label"] == -1).all()


@pytest.mark.parametrize("method", ["simclr", "byol", "vicreg", "instance_discrimination"])
def test_fewer_images_than_a_batch_make_one_smaller_batch(
    method: str, workspace: Path, tmp_path: Path
) -> None:
    data = dataset(tmp_path / "set", {"train": 6, "val": 3})
    run, results = start(recipe(data, method, batch_size=64))
    assert any("The batch of 64 holds all 6 training images" in note for note in results["notes"])
    assert [row["steps"] for row in rows_of(run, "steps")] == [1, 1]


@pytest.mark.parametrize(
    ("layout", "knn"),
    [({"train": 4, "val": 1}, False), ({"train/left": 4, "train/right": 4, "val/left": 1}, True)],
    ids=["unlabelled", "labelled"],
)
def test_one_held_out_image_is_too_few_to_judge_by_and_no_reason_to_fail(
    layout: dict[str, int], knn: bool, workspace: Path, tmp_path: Path
) -> None:
    run, results = start(recipe(dataset(tmp_path / "set", layout), "simclr"))
    row = rows_of(run, "epochs")[-1]
    assert not set(row) & HEALTH and ("val_knn_accuracy" in row) == knn
    assert row["verdict"]["state"] == "starting" and "Only one image is held out" in row["verdict"]["words"]
    assert len(results["study"]["rows"]) == 4


def test_one_training_image_is_refused_in_a_sentence(workspace: Path, tmp_path: Path) -> None:
    wanted = recipe(dataset(tmp_path / "set", {"train": 1, "val": 3}), "simclr")
    with pytest.raises(UserError, match="^Training needs at least two images: [^\n]*\\.$"):
        start(wanted)


def test_a_network_that_broke_in_its_only_step_is_no_reason_to_choose_another_encoder(
    workspace: Path, tmp_path: Path
) -> None:
    data = dataset(tmp_path / "set", {"train/left": 8, "train/right": 8, "val/left": 4, "val/right": 4})
    wanted = recipe(data, "simclr", batch_size=16, learning_rate=100, warmup_epochs=0, optimizer="adam")
    with pytest.raises(UserError, match=r"^What the network makes .* after epoch 1: lower the [^\n]*\.$"):
        start(wanted)


def test_stopped_anywhere_and_resumed_it_ends_as_if_it_had_not_been(workspace: Path, tmp_path: Path) -> None:
    data = dataset(tmp_path / "set", {"train": 16, "val": 4})
    wanted = recipe(data, "moco", epochs=3, batch_size=8, queue_size=16, batch_norm_splits=4)
    run, straight = start(wanted)
    store, done = RunStore(), []
    theirs, expected = store.predictions(run), rows_of(run, "epochs")
    for after in (1, 10, 13):  # before training, while epoch 2 is read out, within epoch 3
        handle = store.create(wanted)
        with pytest.raises(Stopped):
            carry_out(wanted, Impatient(store.writer(handle.id), after))  # type: ignore[arg-type]
        assert store.results(handle.id) is None
        done.append(len(rows_of(handle.id, "epochs")))
        resumed = carry_out(wanted, store.writer(handle.id))
        ours = store.predictions(handle.id)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
        assert resumed["references"] == straight["references"] and resumed["study"] == straight["study"]
        told = rows_of(handle.id, "epochs")
        assert [row["epoch"] for row in told] == [1, 2, 3]
        for one, other in zip(told, expected, strict=True):
            for name in ("train_loss", "verdict", *HEALTH):
                assert one[name] == other[name], name
        ages = [store.frame(name, 3)["queue_age"].tolist() for name in (handle.id, run)]
        assert ages[0] == ages[1] == [0] * 8 + [1] * 8 or ages[0] == ages[1] == [1] * 8 + [0] * 8
    assert done == [0, 1, 2], "an epoch that was not read out is not recorded"

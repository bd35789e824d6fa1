"""Comparisons carried out whole: floors always there, the engine's figures, failures on their own row."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from engine.data.dataset import Dataset
from engine.data.pixels import pixels
from engine.data.progress import Stopped as WorkStopped
from engine.errors import UserError
from engine.evaluation import comparison, encoding
from engine.evaluation.comparison import NO_MEMORY, UNEXPECTED, carry_out
from engine.evaluation.comparison_parts import all_parts, parts_of
from engine.evaluation.comparison_result import read_comparison
from engine.evaluation.comparison_table import comparison_csv, records
from engine.evaluation.features import cached_features, encoder_identity
from engine.evaluation.few_labels import few_labels
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import linear_probe
from engine.evaluation.structure import structure
from engine.methods.comparison_config import MOST_ENCODERS, ComparisonConfig, parse_encoders
from engine.models.encoder import build_encoder
from engine.runs.store import RunStore
from engine.runs.writer import Stopped
from tests.evaluation import comparing
from tests.evaluation.comparing import QUICK, SIDE, compared, comparison_recipe


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return comparing.shapes()


def split(data: Dataset, features: np.ndarray) -> tuple[np.ndarray, ...]:
    train, test = data.indices("train"), data.indices("test")
    return features[train], data.labels[train], features[test], data.labels[test]


def test_every_figure_is_the_engines_and_the_floors_are_there(shapes: Dataset) -> None:
    _, found, results = compared(comparison_recipe(shapes, "random:resnet20", draws=2, few_most=2))
    assert [row.encoder for row in found.rows] == ["pixels", "random:resnet20"]
    assert all(row.floor and row.measured for row in found.rows)
    images = pixels(shapes, SIDE)
    features = cached_features(build_encoder("random:resnet20", SIDE), images, shapes.fingerprint)
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    for row, x in zip(found.rows, (flat, np.asarray(features)), strict=True):
        whole = linear_probe(*split(shapes, x), 10)
        assert row.figure("linear") == pytest.approx(vars(whole))
        assert row.figure("knn") == pytest.approx(vars(knn_accuracy(*split(shapes, x), 10)))
        curve = few_labels(*split(shapes, x), 10, (1, 2), 2, whole=whole)
        assert [point["mean"] for point in row.few] == [point.mean for point in curve]
        assert row.row["width"] == x.shape[1] and row.row["image_size"] == SIDE
    assert (found.setup["n"], found.setup["of"], found.setup["train_n"]) == (40, 40, 80)
    assert found.setup["chance"] == max(np.bincount(shapes.labels[shapes.indices("test")])) / 40
    assert [row["encoder"] for row in results["rows"]] == ["pixels", "random:resnet20"]


def test_the_random_floor_is_the_twin_of_the_first_encoder_that_has_an_architecture(shapes: Dataset) -> None:
    run = comparing.finished(shapes)
    _, found, _ = compared(comparison_recipe(shapes, f"pixels,run:{run},random:resnet20", **QUICK))
    assert [(row.encoder, row.floor) for row in found.rows] == [
        (f"run:{run}", False), ("random:resnet20", False), ("pixels", True), ("random:cnn-small", True),
    ]  # fmt: skip
    assert [row.kind for row in found.rows] == ["self-supervised", "random", "pixels", "random"]
    _, alone, _ = compared(comparison_recipe(shapes, "pixels", **QUICK))
    assert [row.encoder for row in alone.rows] == ["pixels", "random:cnn-small"]


def test_each_encoder_reads_the_images_at_its_own_size_unless_told_otherwise(shapes: Dataset) -> None:
    run = comparing.finished(shapes)
    _, found, _ = compared(comparison_recipe(shapes, f"random:resnet20,run:{run}", sizes="own", **QUICK))
    assert {row.encoder: row.image_size for row in found.rows} == {
        f"run:{run}": SIDE, "pixels": 28, "random:resnet20": 32
    }  # fmt: skip


def test_rows_are_written_as_soon_as_they_are_measured(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store = comparison_recipe(shapes, "random:resnet20", **QUICK), RunStore()
    run, seen = store.create(recipe).id, []
    real = comparison.knn_accuracy

    def asked(*given: Any) -> Any:
        found = read_comparison(run)
        assert found is not None
        seen.append([row.measured for row in found.rows])
        return real(*given)

    monkeypatch.setattr(comparison, "knn_accuracy", asked)
    carry_out(recipe, store.writer(run))
    assert seen == [[False, False], [True, False]]


def test_an_encoder_that_fails_says_so_on_its_row_and_the_others_go_on(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = comparing.finished(shapes)
    recipe = comparison_recipe(
        shapes, f"run:{run},random:ae-conv-28-colour-32-64,random:resnet20,random:cnn-small", **QUICK
    )
    RunStore().remove(run)
    real = comparison.encode

    def encode(name: str, *given: Any, **more: Any) -> Any:
        if name == "random:cnn-small":
            raise RuntimeError("a tensor of the wrong shape")
        return real(name, *given, **more)

    monkeypatch.setattr(comparison, "encode", encode)
    made, found, _ = compared(recipe)
    errors = {row.encoder: row.error for row in found.rows}
    assert f"There is no run {run}" in str(errors[f"run:{run}"])
    assert "made for images of 28 px, got 16 px" in str(errors["random:ae-conv-28-colour-32-64"])
    assert errors["random:cnn-small"] == UNEXPECTED
    assert errors["pixels"] is None and errors["random:resnet20"] is None, (
        "the twin is one that can read 16 px"
    )
    assert found.rows[0].title == "A run that was deleted" and "wrong shape" in RunStore().log_tail(made)
    assert [len(str(error)) <= 300 for error in errors.values()] == [True] * 5

    for trouble in (MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 12 bytes")):
        monkeypatch.setattr(comparison, "encode", raising(trouble))
        with pytest.raises(UserError, match="No encoder could be measured"):
            compared(recipe)
        latest = read_comparison(RunStore().list()[0].id)
        assert latest is not None
        assert {row.error for row in latest.rows if row.encoder != f"run:{run}"} == {NO_MEMORY}


@pytest.mark.parametrize(
    "trouble", [ValueError("an odd array"), np.linalg.LinAlgError("singular"), KeyError("x"), OSError(5, "x")]
)
def test_whatever_one_encoder_raises_the_others_go_on(
    trouble: Exception, shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "knn_accuracy", raising_once(comparison.knn_accuracy, trouble))
    made, found, _ = compared(comparison_recipe(shapes, "random:resnet20", **QUICK))
    assert [row.error for row in found.rows] == [UNEXPECTED, None]
    assert type(trouble).__name__ in RunStore().log_tail(made)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_encoders_fault(
    code: int, shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "encode", raising(OSError(code, "full")))
    with pytest.raises(OSError, match="full"):
        compared(comparison_recipe(shapes, "random:resnet20", **QUICK))


def test_work_that_was_stopped_midway_is_a_stop_and_no_error(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "encode", raising(WorkStopped()))
    with pytest.raises(Stopped):
        compared(comparison_recipe(shapes, "random:resnet20", **QUICK))


def raising_once(real: Any, trouble: Exception) -> Any:
    left = [trouble]

    def call(*given: Any, **more: Any) -> Any:
        if left:
            raise left.pop()
        return real(*given, **more)

    return call


def raising(trouble: Exception) -> Any:
    def encode(*given: Any, **more: Any) -> Any:
        raise trouble

    return encode


def test_a_stopped_comparison_keeps_its_rows_and_measures_only_the_others(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store, asked = comparison_recipe(shapes, "random:resnet20", **QUICK), RunStore(), []
    run = store.create(recipe).id
    real = comparison.linear_probe

    def probe(*given: Any, **more: Any) -> Any:
        asked.append(len(given[0][0]))
        if len(asked) == 2:
            store.folder(run).joinpath("stop").touch()
        return real(*given, **more)

    monkeypatch.setattr(comparison, "linear_probe", probe)
    with pytest.raises(Stopped):
        carry_out(recipe, store.writer(run))
    found = read_comparison(run)
    assert found is not None and [row.measured for row in found.rows] == [True, False]
    assert store.results(run) is None, "no half results"
    (store.folder(run) / "stop").unlink()
    carry_out(recipe, store.writer(run))
    found = read_comparison(run)
    assert found is not None and [row.measured for row in found.rows] == [True, True]
    assert asked == [SIDE * SIDE * 3, 64, 64], "raw pixels were measured once"


def test_measuring_changes_no_encoder(shapes: Dataset) -> None:
    run = comparing.finished(shapes)
    weights = RunStore().encoder_path(run).read_bytes()
    before = encoder_identity(build_encoder(f"run:{run}", SIDE))
    _, found, _ = compared(comparison_recipe(shapes, f"run:{run}", **QUICK))
    assert found.rows[0].measured
    assert RunStore().encoder_path(run).read_bytes() == weights
    assert encoder_identity(build_encoder(f"run:{run}", SIDE)) == before


def test_parameters_are_counted_and_the_time_is_told(shapes: Dataset) -> None:
    _, found, _ = compared(comparison_recipe(shapes, "random:resnet20", **QUICK))
    raw, network = found.rows
    expected = sum(p.numel() for p in build_encoder("random:resnet20", SIDE).parameters())
    assert (raw.parameters, raw.milliseconds) == (0, None)
    assert network.parameters == expected and network.milliseconds and network.milliseconds > 0
    assert "core" in found.setup["device"]


def test_images_are_sampled_from_every_class_alike_and_the_same_seed_takes_the_same(shapes: Dataset) -> None:
    parts = parts_of(shapes, "test", 40, 20, 0)
    assert (len(parts.train), len(parts.asked), parts.of_train, parts.of_asked) == (40, 20, 80, 40)
    assert set(parts.train) <= set(shapes.indices("train")) and set(parts.asked) <= set(
        shapes.indices("test")
    )
    counts = np.bincount(shapes.labels[shapes.indices("train")], minlength=10) / 2
    assert np.bincount(shapes.labels[parts.train], minlength=10) == pytest.approx(counts, abs=1)
    assert np.array_equal(parts.train, parts_of(shapes, "test", 40, 20, 0).train)
    assert not np.array_equal(parts.train, parts_of(shapes, "test", 40, 20, 1).train)


def test_images_without_a_class_are_left_out_before_the_draw(shapes: Dataset) -> None:
    for name, left in (("train", 50), ("test", 25)):
        shapes.labels[shapes.indices(name)[left:]] = -1
    parts = parts_of(shapes, "test", 40, 20, 0)
    assert (len(parts.train), len(parts.asked), parts.of_train, parts.of_asked) == (40, 20, 50, 25)
    assert (shapes.labels[parts.train] >= 0).all() and (shapes.labels[parts.asked] >= 0).all()
    whole = all_parts(shapes, "test")
    assert len(whole.train) == 50 and set(parts.asked) < set(whole.asked)
    shapes.labels[shapes.indices("test")] = -1
    assert all_parts(shapes, "test").split == "val", "no labelled test image is left"


def test_raw_pixels_are_read_smaller_where_they_do_not_fit_and_say_so(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "MOST_BYTES", (80 + 40) * SIDE * SIDE * 3 * 4 - 1)
    _, found, _ = compared(comparison_recipe(shapes, "random:resnet20", **QUICK))
    raw, network = found.rows
    assert raw.measured and (raw.image_size, raw.row["width"]) == (SIDE // 2, (SIDE // 2) ** 2 * 3)
    assert raw.notes(found.n) == ["It reads the images at 8 px: at 16 px so many do not fit in memory."]
    assert network.image_size == SIDE and network.notes(found.n) == []
    monkeypatch.setattr(encoding, "MOST_BYTES", 1)
    _, found, _ = compared(comparison_recipe(shapes, "random:resnet20", **QUICK))
    assert "do not fit in memory" in str(found.rows[0].error), "below 8 px nothing is left to see"


def test_the_few_label_curves_end_stands_for_the_linear_probe(shapes: Dataset) -> None:
    run = comparing.finished(shapes)
    few = {"linear": False, "knn": False, "structure": False, "few_most": 1, "draws": 2}
    _, found, _ = compared(comparison_recipe(shapes, f"run:{run}", **few))
    _, usual, _ = compared(comparison_recipe(shapes, f"run:{run}", **QUICK))
    for row, other in zip(found.rows, usual.rows, strict=True):
        told, whole = row.figure("linear"), other.figure("linear")
        assert told and whole and told == {name: whole[name] for name in told}
    assert "no backbone could be measured" not in found.best()
    assert all(record["linear"] is not None for record in records(found))


def test_without_test_images_the_validation_images_judge(workspace: Path) -> None:
    data = comparing.shapes("two", train=60, val=30)
    _, found, _ = compared(comparison_recipe(data, "random:resnet20", **QUICK))
    assert (found.setup["split"], found.setup["asked_for"], found.n) == ("val", "test", 30)


@pytest.mark.parametrize(
    ("case", "told"),
    [("unlabelled", "no classes"), ("alone", "no validation or test images"), ("one class", "of one class")],
)
def test_a_set_that_cannot_judge_is_one_sentence(
    case: str, told: str, shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shapes
    if case == "alone":
        data = comparing.shapes("alone", train=30)
    elif case == "unlabelled":
        monkeypatch.setattr(type(shapes), "is_labelled", property(lambda self: False))
    else:
        object.__setattr__(shapes, "labels", np.zeros(len(shapes), np.int64))
    with pytest.raises(UserError, match=told) as caught:
        parts_of(data, "test", 100, 100, 0)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_images_without_a_class_take_no_part_and_single_images_are_noted(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = shapes.labels.copy()
    train = shapes.indices("train")
    labels[shapes.indices("test")[:5]] = -1
    labels[train[labels[train] == 3][1:]] = 2  # one image of a class is left to learn from
    object.__setattr__(shapes, "labels", labels)
    monkeypatch.setattr(comparison, "open_dataset", lambda name: shapes)
    _, found, _ = compared(comparison_recipe(shapes, "random:resnet20", few_most=5, draws=2))
    assert found.n == 35 and all(row.measured for row in found.rows)
    assert f"Only one training image of {shapes.classes[3]}" in " ".join(found.setup["notes"])


def test_the_shape_of_features_is_scikit_learns_silhouette_and_the_healths_figures() -> None:
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (np.eye(3, 8)[y] + 0.3 * random.standard_normal((120, 8))).astype(np.float32) + 4
    told = structure(x, y)
    centred = x - x.mean(0)
    assert told["silhouette"] == pytest.approx(silhouette_score(centred, y, metric="cosine"), abs=1e-5)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert told["z_std"] == pytest.approx(unit.std(0).mean() * np.sqrt(8), abs=1e-6)
    assert 1 <= told["effective_rank"] <= 8 and told["uniformity"] <= 0 and told["n"] == 120
    assert structure(x, y * 0)["silhouette"] is None
    assert structure(np.ones((10, 4), np.float32), y[:10])["silhouette"] is None
    assert structure(np.tile(x, (30, 1)), np.tile(y, 30))["n"] == 2000


def test_the_same_encoders_are_the_same_question(shapes: Dataset) -> None:
    one = comparison_recipe(shapes, "random:resnet20,pixels")
    assert one.digest() == comparison_recipe(shapes, " random:resnet20 , pixels, pixels ").digest()
    assert one.digest() != comparison_recipe(shapes, "pixels").digest()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"encoders": "nonsense"}, "'nonsense' names no encoder"),
        ({"encoders": "run:../x"}, "not a valid run id"),
        ({"encoders": ",".join(f"run:r{i}" for i in range(MOST_ENCODERS + 1))}, "too many"),
        ({"linear": False, "knn": False, "few_labels": False}, "needs a measure"),
        ({"draws": 1}, "draws must be a whole number at least 2"),
        ({"split": "train"}, "split must be one of test, val"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(shapes: Dataset, config: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        comparison_recipe(shapes, **{"encoders": "pixels", **config})
    assert len(str(caught.value)) <= 300


def test_as_many_encoders_as_are_allowed_fit_into_a_recipe(shapes: Dataset) -> None:
    names = [f"file:{'a' * 15}{letter}" for letter in "abcdefghijklmnopqrstuvwx"]
    recipe = comparison_recipe(shapes, ",".join(names))
    assert parse_encoders(str(recipe.config["encoders"])) == names and len(names) == MOST_ENCODERS


@pytest.mark.parametrize(("most", "numbers"), [(1, (1,)), (7, (1, 2, 5, 7)), (50, (1, 2, 5, 10, 50))])
def test_the_ladder_of_labels_ends_where_it_is_told(most: int, numbers: tuple[int, ...]) -> None:
    assert ComparisonConfig(few_most=most).numbers == numbers


def test_the_table_holds_every_row_and_is_safe_in_a_spreadsheet(shapes: Dataset) -> None:
    run = comparing.finished(shapes)
    RunStore().rename(run, "=HYPERLINK(1)")
    _, found, _ = compared(comparison_recipe(shapes, f"run:{run}", few_most=2, draws=2))
    told = records(found)
    assert [record["encoder"] for record in told] == [row.title for row in found.rows]
    assert told[0]["few 1"] == found.rows[0].few[0]["mean"] and told[1]["ms"] is None
    lines = comparison_csv(found).splitlines()
    assert len(lines) == 1 + len(found.rows) and lines[1].startswith("'=HYPERLINK(1),")


def test_another_runs_folder_is_no_comparison(shapes: Dataset) -> None:
    with pytest.raises(UserError, match="compares nothing"):
        read_comparison(comparing.finished(shapes))
    assert read_comparison(RunStore().create(comparison_recipe(shapes, "pixels")).id) is None

"""What an encoder has met: through every run on its way, by the images themselves and not by their set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from engine.data.dataset import Dataset, open_dataset
from engine.data.writer import DatasetWriter
from engine.evaluation.ancestry import ancestors, kind_of, taught
from engine.evaluation.comparison_result import ALL_MET, Comparison, EncoderRow
from engine.files import read_json, remove_tree, write_json
from engine.runs import layout
from engine.runs.store import RunStore
from tests.evaluation import comparing
from tests.evaluation.comparing import QUICK, compared, comparison_recipe, finished


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return comparing.shapes()


def copied(data: Dataset, train: list[int]) -> Dataset:
    """A set of other content whose training images are some of `data`."""
    rows = [*train, *data.indices("val")[:4].tolist()]
    with DatasetWriter("Copied") as writer:
        for i in rows:
            writer.add(data.raw_bytes(i), f"{i}.png")
        splits = np.array([0] * len(train) + [1] * 4, np.uint8)
        return writer.finish(classes=list(data.classes), labels=data.labels[rows], splits=splits)


def test_the_kind_is_what_last_moved_the_weights(shapes: Dataset) -> None:
    ssl = finished(shapes)
    kinds = {
        "pixels": "pixels",
        "random:resnet18": "random",
        "torchvision:resnet18": "pretrained",
        "file:abc": "file",
        "vectors:abc": "vectors",
        f"run:{ssl}": "self-supervised",
        f"run:{finished(shapes, 'classification', f'run:{ssl}', mode='everything')}": "supervised",
        f"run:{finished(shapes, 'classification', f'run:{ssl}', mode='extract')}": "self-supervised",
        f"run:{finished(shapes, 'classification', 'random:cnn-small', mode='extract')}": "random",
        f"run:{finished(shapes, 'classification', 'file:abc', mode='extract')}": "file",
        "run:gone": "file",
    }
    assert {name: kind_of(name) for name in kinds} == kinds


def test_every_run_on_the_way_counts(shapes: Dataset) -> None:
    first = finished(shapes)
    second = finished(shapes, "classification", f"run:{first}", mode="everything")
    third = finished(shapes, "byol", f"run:{second}")
    assert [one.run for one in ancestors(f"run:{third}")] == [third, second, first]
    assert [one.reads_labels for one in ancestors(f"run:{third}")] == [False, True, False]
    folder = RunStore().folder(first)
    info = read_json(folder / layout.ENCODER_INFO)
    write_json(folder / layout.ENCODER_INFO, {**info, "source": f"run:{third}"})  # a circle by a damaged file
    assert len(ancestors(f"run:{third}")) == 3


def test_what_it_learned_here_is_told_with_and_without_labels(shapes: Dataset) -> None:
    test = shapes.indices("test")
    ssl = finished(shapes)
    labels = finished(shapes, "classification", f"run:{ssl}", mode="everything")
    frozen = finished(shapes, "classification", "random:cnn-small", mode="extract")
    told = [taught(f"run:{run}", shapes, test) for run in (ssl, labels, frozen)]
    assert [(one.images, one.labels, one.seen) for one in told] == [
        (True, False, 0), (True, True, 0), (False, False, 0)
    ]  # fmt: skip
    assert taught("pixels", shapes, test).images is False


def test_judging_images_it_met_in_another_set_are_found(shapes: Dataset) -> None:
    test = shapes.indices("test")
    other = copied(shapes, [*test[:7].tolist(), *shapes.indices("train")[:5].tolist()])
    run = finished(other)
    told = taught(f"run:{run}", shapes, test)
    assert (told.images, told.seen, told.unknown) == (False, 7, False)
    remove_tree(open_dataset(other.id).root)
    gone = taught(f"run:{run}", shapes, test)
    assert (gone.seen, gone.unknown) == (0, True)


def test_the_advice_leaves_out_who_met_judging_images_and_its_row_says_so(shapes: Dataset) -> None:
    run = finished(copied(shapes, shapes.indices("test")[:9].tolist()))
    _, found, _ = compared(comparison_recipe(shapes, f"run:{run}", **QUICK))
    row = found.rows[0]
    assert row.seen == 9
    assert row.notes(found.n)[0] == (
        "It learned from 9 of the 40 judging images (22.5 %): its figures are no test."
    )
    assert found.advice() == found.best() == ALL_MET, "it was measured, so nobody says that it could not be"
    honest = finished(shapes)
    _, found, _ = compared(comparison_recipe(shapes, f"run:{honest}", **QUICK))
    assert "this set's training images, without their labels" in " ".join(found.rows[0].notes(found.n))
    assert "no encoder that learned" not in found.advice()


@pytest.mark.parametrize(("seen", "barred"), [(0, False), (1, False), (5, False), (6, True), (500, True)])
def test_a_hundredth_of_the_judging_images_bars_nobody(seen: int, barred: bool) -> None:
    row = EncoderRow("run:a", "SimCLR", "self-supervised", False, 16, {"taught": {"seen": seen}})
    figures = {"accuracy": 0.8, "low": 0.77, "high": 0.83, "n": 500}
    row.row.update(linear=figures)
    low = {"accuracy": 0.2, "low": 0.17, "high": 0.23, "n": 500}
    floor = EncoderRow("pixels", "Raw pixels", "pixels", True, 16, {"linear": low})
    found = Comparison(cast(Any, None), {"n": 500}, (row, floor))
    assert row.met_many(500) is barred
    told = found.best(), found.advice()
    assert (told == (ALL_MET, ALL_MET)) is barred
    assert ("Take SimCLR" in told[0] and "pays here with all labels" in told[1]) is not barred
    notes = " ".join(row.notes(500))
    assert (f"{seen} of the 500 judging images ({seen / 5:g} %)" in notes) is (seen > 0)
    assert ("its figures are no test" in notes) is barred


def test_who_learned_from_all_labels_is_not_praised_for_few(shapes: Dataset) -> None:
    run = finished(shapes, "classification", mode="everything")
    _, found, _ = compared(comparison_recipe(shapes, f"run:{run}", draws=2, few_most=2, knn=False))
    row = found.rows[0]
    sure = {"low": 0.9, "high": 0.95, "mean": 0.92, "labels": 1}
    row.row["few"] = [sure, {**sure, "labels": 2}, {**sure, "labels": None}]
    assert "A supervised encoder pays here only with all labels" not in found.advice()
    assert "A supervised encoder pays here with all labels:" in found.advice()
    row.row["taught"] = {"images": True, "labels": False, "seen": 0}
    assert "labels a class" in found.advice(), "another one may be praised for few"

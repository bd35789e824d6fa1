"""Fine-tuned figures and the ceiling: of this very set alone, and chosen by validation images."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.data.dataset import Dataset
from engine.evaluation.fine_tuned import ceiling, fine_tuned, of_encoder
from engine.evaluation.metrics import wilson_interval
from engine.runs import layout
from engine.runs.store import RunStore
from tests.evaluation import comparing
from tests.evaluation.comparing import QUICK, compared, comparison_recipe, finished


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return comparing.shapes()


def tuned(data: Dataset, backbone: str, val: int, test: int, mode: str = "everything") -> str:
    return finished(data, "classification", backbone, {"val": (val, 30), "test": (test, 40)}, mode=mode)


def test_the_run_of_an_encoder_is_its_own_or_the_one_that_validation_prefers(shapes: Dataset) -> None:
    ssl = finished(shapes)
    better_on_test = tuned(shapes, f"run:{ssl}", 20, 39)
    better_on_val = tuned(shapes, f"run:{ssl}", 25, 30)
    elsewhere = tuned(shapes, "random:cnn-small", 28, 36)
    found = fine_tuned(shapes, "test")
    assert {one.run for one in found} == {better_on_test, better_on_val, elsewhere}
    mine = of_encoder(found, f"run:{ssl}")
    assert mine is not None and mine.run == better_on_val and (mine.correct, mine.n) == (30, 40)
    assert (mine.low, mine.high) == pytest.approx(wilson_interval(30, 40))
    own = of_encoder(found, f"run:{better_on_test}")
    assert own is not None and own.run == better_on_test
    best = ceiling(found)
    assert best is not None and best.run == elsewhere and best.accuracy == 0.9
    assert of_encoder(found, "random:resnet18") is None and ceiling([]) is None


def test_frozen_backbones_other_sets_and_unfinished_or_damaged_runs_do_not_count(shapes: Dataset) -> None:
    tuned(shapes, "random:cnn-small", 25, 30, mode="extract")
    tuned(comparing.shapes("other", train=40, val=30, test=40), "random:cnn-small", 25, 30)
    stopped = tuned(shapes, "random:cnn-small", 25, 30)
    layout.write_status(RunStore().folder(stopped), state=layout.STOPPED)
    damaged = tuned(shapes, "random:cnn-small", 25, 30)
    (RunStore().folder(damaged) / layout.RESULTS).write_text('{"splits": {"test": {"accuracy": "high"}}}')
    finished(
        shapes, "classification", accuracy={"val": (20, 30)}, mode="everything"
    )  # judged by no test image
    assert fine_tuned(shapes, "test") == []
    assert [one.accuracy for one in fine_tuned(shapes, "val")] == [20 / 30]


def test_a_comparison_tells_them_beside_the_probes(shapes: Dataset) -> None:
    ssl = finished(shapes)
    run = tuned(shapes, f"run:{ssl}", 25, 34)
    _, found, _ = compared(comparison_recipe(shapes, f"run:{ssl},run:{run}", **QUICK))
    figures = [row.figure("fine_tuned") for row in found.rows]
    assert [told and told["accuracy"] for told in figures] == [0.85, 0.85, None, None]
    assert found.ceiling is not None and found.ceiling["run"] == run
    assert "all their labels" in " ".join(found.rows[1].notes(found.n))

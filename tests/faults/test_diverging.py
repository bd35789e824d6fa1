"""A loss that is no number, and one that does not move: told, kept apart, and the files stay readable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.data.dataset import Dataset
from engine.evaluation.report import classification_results, no_better_than_guessing
from engine.methods.classification import Classification
from engine.runs import layout
from engine.runs.executors import InlineExecutor
from engine.runs.store import RunStore
from engine.training.step import StepResult
from tests.faults.conftest import STEPS, carried_out, check_best, check_whole, losses, tiny


def rows(run_id: str) -> list[dict[str, Any]]:
    """The metrics as any reader of JSON sees them; NaN is not in the language."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    lines = (RunStore().folder(run_id) / layout.METRICS).read_text().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_no_number_stops_the_run_at_that_step(
    shapes: Dataset, unbroken: list[float], value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = Classification.training_step, [0]

    def step(self: Classification, batch: Any) -> StepResult:
        count[0] += 1
        found = real(self, batch)
        return StepResult(found.loss * float(value), found.logs) if count[0] == STEPS + 2 else found

    store = RunStore()
    with monkeypatch.context() as patch:
        patch.setattr(Classification, "training_step", step)
        run_id = carried_out(tiny(shapes))
    run = store.get(run_id)
    assert run.state == "failed" and run.error and "epoch 2, step 2" in run.error
    assert "not a number" in run.error and "lower the learning rate" in run.error
    assert rows(run_id)[-1]["epoch"] <= 2
    check_whole(run_id)
    check_best(store.folder(run_id))
    InlineExecutor(store).submit(run_id)
    assert store.get(run_id).state == "done" and losses(run_id) == pytest.approx(unbroken, abs=1e-6)


def test_a_learning_rate_far_too_high_is_named(shapes: Dataset) -> None:
    wild = tiny(shapes, epochs=30, learning_rate=10.0, optimizer="sgd", schedule="constant")
    run_id = carried_out(wild.model_copy(update={"backbone": "random:cnn-small-nonorm"}))
    run = RunStore().get(run_id)
    assert run.state == "failed" and run.error and "learning rate" in run.error and "10" in run.error
    assert all(row["kind"] in ("start", "step", "epoch") for row in rows(run_id))


def test_a_flat_loss_is_a_hint_and_no_error(shapes: Dataset) -> None:
    run_id = carried_out(tiny(shapes, 1, learning_rate=1e-9, mode="extract"))
    run, found = RunStore().get(run_id), RunStore().results(run_id)
    assert run.state == "done" and found
    hints = [note for note in found["notes"] if "commonest class" in note]
    assert len(hints) == 1 and "learning rate" in hints[0]


@pytest.mark.parametrize(("right", "hint"), [(50, True), (58, True), (61, False), (90, False)])
def test_the_hint_is_given_where_the_interval_reaches_down_to_guessing(right: int, hint: bool) -> None:
    import numpy as np

    # 100 images of two classes, half and half: Wilson's interval of 60 of 100 begins at 0.502
    labels = np.repeat([0, 1], 50)
    answers = labels.copy()
    answers[: 100 - right] = 1 - answers[: 100 - right]
    found = classification_results(["a", "b"], {"val": (labels, np.eye(2)[answers])})
    assert bool(no_better_than_guessing(found)) == hint

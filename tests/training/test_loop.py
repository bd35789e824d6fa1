"""The loop: it learns, keeps the right epoch, stops, resumes to the same numbers, and says when it fails."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.data.augment import VIEWS
from engine.errors import UserError
from engine.training.checkpoint import load_checkpoint
from engine.training.loop import fit
from engine.training.optim import Plan
from engine.training.step import Batch, Monitor, StepResult

spec = importlib.util.spec_from_file_location("watching", Path(__file__).with_name("watching.py"))
assert spec and spec.loader
watching = sys.modules.setdefault("watching", importlib.util.module_from_spec(spec))
spec.loader.exec_module(watching)
Watcher, classifier, sources = watching.Watcher, watching.classifier, watching.sources

# What the tutorial's 15 epochs got right of 153 validation images.
TUTORIAL = [146, 145, 144, 145, 144, 148, 144, 146, 147, 147, 147, 147, 147, 147, 148]


class Scripted(nn.Module):
    """A method whose validation figures are written beforehand; its one weight counts the epochs."""

    monitor = Monitor("accuracy", higher=True)
    constant_rate: tuple[str, ...] = ()
    rate_factors: dict[str, float] = {}

    def __init__(self, accuracies: list[float], losses: list[float] | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.accuracies = accuracies
        self.losses = losses or [1.0] * len(accuracies)
        self.epoch = -1

    @property
    def module(self) -> nn.Module:
        return self

    def train(self, mode: bool = True) -> Scripted:
        self.epoch += mode
        return super().train(mode)

    def training_step(self, batch: Batch) -> StepResult:
        return StepResult(-self.weight.sum())  # the gradient is -1: SGD at rate 1 adds one a step

    def evaluation_step(self, batch: Batch) -> StepResult:
        loss, accuracy = self.losses[self.epoch], self.accuracies[self.epoch]
        return StepResult(torch.tensor(loss), {"accuracy": torch.tensor(accuracy)})

    def after_step(self) -> None: ...

    def changing_state(self) -> dict[str, Tensor]:
        return self.state_dict()

    def load_changing_state(self, state: Mapping[str, Tensor]) -> None:
        self.load_state_dict(dict(state))


def counting_plan(epochs: int) -> Plan:
    return Plan(epochs, 1000, "sgd", 1.0, 0.0, 0.0, "constant", 0)


def test_a_part_told_to_learn_faster_goes_so_many_times_as_far(tmp_path: Path) -> None:
    method = Scripted([0.5] * 4)
    method.rate_factors = {"weight": 3.0}
    fit(method, sources()[0], None, replace(counting_plan(4), schedule="step"), Watcher(tmp_path))
    one = Scripted([0.5] * 4)
    fit(one, sources()[0], None, replace(counting_plan(4), schedule="step"), Watcher(tmp_path / "one"))
    assert 0 < float(one.weight.detach()) < 4 * sources()[0].steps, "the rate falls"
    assert float(method.weight.detach()) == pytest.approx(3 * float(one.weight.detach()))


def keep(tmp_path: Path, accuracies: list[float], losses: list[float] | None = None) -> tuple[int, float]:
    """The kept epoch, and the epoch that the kept weight was saved at."""
    method, watcher = Scripted(accuracies, losses), Watcher(tmp_path / "run")
    result = fit(method, *sources(1000), counting_plan(len(accuracies)), watcher)
    with torch.no_grad():
        method.weight.fill_(-1)  # what was kept must not follow the living weights
    kept = [row["epoch"] for row in watcher.epochs if row["kept"]]
    assert kept[0] == 1 and kept[-1] == result.kept_epoch
    return result.kept_epoch, float(load_file(watcher.best_path)["weight"])


def test_the_first_of_equally_good_epochs_is_kept_with_its_own_weights(tmp_path: Path) -> None:
    assert keep(tmp_path, [n / 153 for n in TUTORIAL]) == (
        6,
        6.0,
    )  # the sixth line of the log, epoch 5 from 0


def test_a_tie_goes_to_the_lower_loss(tmp_path: Path) -> None:
    assert keep(tmp_path, [0.5, 0.9, 0.9, 0.9], [1, 0.4, 0.3, 0.3]) == (3, 3.0)


def test_an_epoch_without_one_hit_is_still_better_than_none(tmp_path: Path) -> None:
    assert keep(tmp_path, [0.0, 0.0, 0.0]) == (1, 1.0)


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    method, watcher = Scripted([0.0] * 3), Watcher(tmp_path / "run")
    result = fit(method, sources(1000)[0], None, counting_plan(3), watcher)
    assert result.kept_epoch == 3 and float(load_file(watcher.best_path)["weight"]) == 3.0


def run(folder: Path, epochs: int = 4, stop_after: int | None = None, **settings: object) -> object:
    """One attempt in `folder` with a new network, as a new worker would make it."""
    watcher = Watcher(folder, stop_after)
    method = classifier(**{"epochs": 4, "learning_rate": 0.01, **settings})
    train, val = sources(views=(VIEWS["standard"],))
    plan = Plan.of(method.config)
    watcher.result = fit(method, train, val, plan, watcher, seed=3)
    watcher.method = method
    return watcher


def test_it_learns_and_tells_what_it_does(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "run")
    method = classifier(epochs=5, learning_rate=0.01)
    fit(method, *sources(), Plan.of(method.config), watcher, seed=3)
    first, *_, last = watcher.epochs
    assert last["train_loss"] < 0.5 * first["train_loss"]
    assert last["val_accuracy"] >= 0.9
    assert {"lr", "seconds", "images_per_second", "val_loss", "train_accuracy"} <= set(last)
    steps = [row for row in watcher.rows if row["kind"] == "step"]
    assert {row["epoch"] for row in steps} == {1, 2, 3, 4, 5}
    assert watcher.told["epochs"] == 5 and watcher.told["seconds_left"] >= 0


@pytest.mark.parametrize(
    "settings",
    [
        {"head_dropout": 0.5},
        {"optimizer": "sgd", "schedule": "step"},
        {"optimizer": "lars", "learning_rate": 1.0, "class_balance": "balanced_sampling"},
    ],
    ids=["dropout", "sgd", "lars"],
)
def test_stopping_and_resuming_gives_the_unbroken_runs_numbers(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    whole = run(tmp_path / "whole", **settings)
    broken = run(tmp_path / "broken", stop_after=11, **settings)  # in the middle of an epoch
    assert broken.result.stopped and 1 <= len(broken.epochs) <= 3
    resumed = run(tmp_path / "broken", **settings)
    assert not resumed.result.stopped
    rows = broken.epochs + resumed.epochs
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    for ours, theirs in zip(rows, whole.epochs, strict=True):
        for name in ("train_loss", "val_loss", "val_accuracy", "lr"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-6)
        assert ours["kept"] == theirs["kept"]
    assert resumed.result.kept_epoch == whole.result.kept_epoch
    pairs = zip(resumed.method.state_dict().items(), whole.method.state_dict().items(), strict=True)
    assert all(torch.allclose(a.float(), b.float(), atol=1e-6) for (_, a), (_, b) in pairs)
    kept, expected = load_file(resumed.best_path), load_file(whole.best_path)
    assert all(torch.allclose(kept[name].float(), expected[name].float(), atol=1e-6) for name in expected)


def test_a_crash_between_checkpoint_and_record_is_made_good(tmp_path: Path) -> None:
    """Killed after the row of epoch 2 was written but before its checkpoint: epoch 2 comes out the same."""
    whole = run(tmp_path / "whole")
    first = run(tmp_path / "broken", stop_after=7)
    saved = first.checkpoint_path.read_bytes()
    assert load_checkpoint(first.checkpoint_path)["epoch"] == 1
    run(tmp_path / "broken", stop_after=7)
    first.checkpoint_path.write_bytes(saved)
    again = run(tmp_path / "broken")
    assert again.epochs[0]["epoch"] == 2
    assert again.epochs[-1]["val_loss"] == pytest.approx(whole.epochs[-1]["val_loss"], abs=1e-6)


def test_a_finished_run_resumes_to_nothing_more(tmp_path: Path) -> None:
    run(tmp_path / "run")
    again = run(tmp_path / "run")
    assert again.epochs == [] and again.result.epoch == 4 and not again.result.stopped


@pytest.mark.parametrize("damage", [b"", b"junk" * 100, None], ids=["empty", "junk", "cut"])
def test_a_damaged_checkpoint_is_said_in_a_sentence(tmp_path: Path, damage: bytes | None) -> None:
    watcher = run(tmp_path / "run", epochs=4, stop_after=7)
    whole = watcher.checkpoint_path.read_bytes()
    watcher.checkpoint_path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(UserError, match="damaged, so it cannot be resumed"):
        run(tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "run")
    method = classifier(epochs=3)
    train, val = sources()
    fit(method, train, val, Plan.of(method.config.model_copy(update={"epochs": 1})), watcher)
    kept = watcher.best_path.read_bytes()

    def broken(batch: Batch, steps: list[int] = []) -> StepResult:  # noqa: B006
        steps.append(1)
        loss = method.head(method.backbone(batch.views[0])).sum()
        return StepResult(loss * (float("nan") if len(steps) == 3 else 1))

    method.training_step = broken
    with pytest.raises(UserError, match="epoch 2, step 3: lower the learning rate"):
        fit(method, train, val, Plan.of(method.config), watcher)
    assert watcher.best_path.read_bytes() == kept
    assert load_checkpoint(watcher.checkpoint_path)["epoch"] == 1


def test_one_image_at_a_time_is_refused_where_batchnorm_can_not_learn_from_it(tmp_path: Path) -> None:
    method = classifier("resnet18", epochs=1, warmup_epochs=0, batch_size=1)
    with pytest.raises(UserError, match="set batch_size to 2 or more"):
        fit(method, *sources(1), Plan.of(method.config), Watcher(tmp_path / "run"))


def test_low_precision_learns_as_well(tmp_path: Path) -> None:
    losses = []
    for low in (False, True):
        watcher = Watcher(tmp_path / str(low))
        method = classifier(epochs=5, learning_rate=0.01)
        fit(method, *sources(), Plan.of(method.config), watcher, seed=3, low_precision=low)
        losses.append(watcher.epochs[-1]["val_loss"])
        assert all(p.dtype == torch.float32 for p in method.parameters())
    assert np.diff(losses) == pytest.approx(0, abs=0.15)

"""Self-supervised methods in the loop: resumed bit for bit, rates as planned, broken numbers a sentence."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import UserError
from engine.methods import method_class, parse_config
from engine.methods.method import Method, Task
from engine.methods.self_supervised import SelfSupervised
from engine.models.encoder import build_encoder
from engine.training import loop
from engine.training.checkpoint import load_checkpoint
from engine.training.loop import FitResult, fit
from engine.training.optim import Plan
from engine.training.sources import PixelSource

spec = importlib.util.spec_from_file_location("watching", Path(__file__).with_name("watching.py"))
assert spec and spec.loader
watching = sys.modules.setdefault("watching", importlib.util.module_from_spec(spec))
spec.loader.exec_module(watching)
Watcher = watching.Watcher

SIZE, N, BATCH, STEPS = 16, 19, 8, 2  # three images of an epoch fill no batch
SETTINGS = {
    "simclr": {},
    "moco": {"queue_size": 32, "batch_norm_splits": 4, "symmetric": True, "ema_momentum": 0.9},
    "byol": {"ema_momentum": 0.9, "predictor_rate": 3.0},
    "simsiam": {"optimizer": "lars", "learning_rate": 0.5},
    "instance_discrimination": {},
}


def made(name: str, **settings: Any) -> Method:
    given = {"epochs": 4, "batch_size": BATCH, "learning_rate": 0.01, **SETTINGS.get(name, {}), **settings}
    config = parse_config(name, given)
    torch.manual_seed(0)
    method = method_class(name)(build_encoder("random:cnn-small", SIZE, 0), config, Task((), (), N, SIZE))
    return method.to(memory_format=torch.channels_last)


def source(method: Method) -> PixelSource:
    pixels = np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)
    labels = np.full(N, -1)
    return PixelSource(
        pixels, np.arange(N), labels, SIZE, method.views, BATCH, 3, whole_batches=method.whole_batches
    )


def attempt(name: str, folder: Path, stop_after: int | None = None) -> tuple[FitResult, Method, Any]:
    """As a new worker would make it, whatever was drawn in this process before."""
    method, watcher = made(name), Watcher(folder, stop_after)
    torch.rand(int(torch.randint(1, 50, ())))
    result = fit(method, source(method), None, Plan.of(method.config), watcher, seed=3)
    return result, method, watcher


def flat(state: Any, name: str = "") -> dict[str, Any]:
    """Tensors and numbers of nested dictionaries and lists by their path."""
    if isinstance(state, dict | list):
        pairs = state.items() if isinstance(state, dict) else enumerate(state)
        return {key: value for k, part in pairs for key, value in flat(part, f"{name}/{k}").items()}
    return {name: state}


# an epoch asks before each of its two steps and once at its end
@pytest.mark.parametrize(("name", "stop_after"), [("moco", 5), *((name, 7) for name in SETTINGS)])
def test_two_epochs_and_two_more_are_four_bit_for_bit(name: str, stop_after: int, tmp_path: Path) -> None:
    whole, straight, watcher = attempt(name, tmp_path / "whole")
    first, _, broken = attempt(name, tmp_path / "broken", stop_after)
    assert first.stopped and first.epoch == 2 and whole.epoch == 4
    again, resumed, rest = attempt(name, tmp_path / "broken")
    assert again.epoch == 4 and not again.stopped
    one, other = straight.state_dict(), resumed.state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    saved, expected = (flat(load_checkpoint(w.checkpoint_path)) for w in (rest, watcher))
    assert list(saved) == list(expected)
    for key, value in expected.items():
        same = torch.equal(saved[key], value) if isinstance(value, torch.Tensor) else saved[key] == value
        assert same, key
    kept = load_file(rest.best_path)
    assert all(torch.equal(kept[key], one[key]) for key in one), "the last epoch is kept"
    losses = [row["train_loss"] for row in broken.epochs + rest.epochs]
    assert losses == [row["train_loss"] for row in watcher.epochs]


def test_what_moves_outside_the_optimiser_is_in_the_checkpoint(tmp_path: Path) -> None:
    _, moco, watcher = attempt("moco", tmp_path / "moco")
    saved = load_checkpoint(watcher.checkpoint_path)["model"]
    taken = 4 * STEPS
    assert int(saved["step"]) == taken and int(saved["queue.pointer"]) == taken * 2 * BATCH % 32
    assert sorted(saved["queue.born"].tolist()) == [taken - 1] * 16 + [taken] * 16
    assert torch.equal(saved["queue.keys"], moco.state_dict()["queue.keys"])
    assert not torch.equal(saved["key_head.0.weight"], saved["projection_head.0.weight"])
    _, byol, watcher = attempt("byol", tmp_path / "byol")
    saved = load_checkpoint(watcher.checkpoint_path)["model"]
    assert int(saved["step"]) == byol.total_steps == taken and byol.ema_rate == 1
    assert any(key.startswith("target_encoder.") for key in saved)
    _, _, watcher = attempt("instance_discrimination", tmp_path / "bank")
    assert load_checkpoint(watcher.checkpoint_path)["model"]["bank"].shape == (N, 64)


@pytest.mark.parametrize("name", ["simsiam", "byol"])
def test_the_loop_gives_the_predictor_the_rate_that_the_method_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[torch.optim.Optimizer] = []
    build = loop.build_optimizer

    def remember(*given: Any) -> torch.optim.Optimizer:
        held.append(build(*given))
        return held[-1]

    monkeypatch.setattr(loop, "build_optimizer", remember)
    method = made(name, warmup_epochs=1, optimizer="adam", learning_rate=0.01)
    plan, watcher = Plan.of(method.config), Watcher(tmp_path / "run")
    rates: list[dict[bool, set[float]]] = []

    def progress(**fields: Any) -> None:
        if fields["phase"] == "training":
            kinds = {True: set(), False: set()}
            for group in held[0].param_groups:
                kinds[group["scheduled"]].add(group["lr"])
            rates.append(kinds)

    watcher.progress = progress
    fit(method, source(method), None, plan, watcher)
    factors = {1.0} if name == "simsiam" else {1.0, 3.0}
    expected = [{plan.rate(step, STEPS) * factor for factor in factors} for step in range(4 * STEPS)]
    assert [kinds[True] for kinds in rates] == expected
    assert [kinds[False] for kinds in rates] == [{0.01} if name == "simsiam" else set()] * 4 * STEPS


@pytest.mark.parametrize("name", SETTINGS)
def test_a_rate_beyond_reason_ends_in_the_usual_sentence(name: str, tmp_path: Path) -> None:
    settings = {"optimizer": "sgd", "warmup_epochs": 0, "norm": "none"}
    if name == "instance_discrimination":
        settings["norm"] = "batch"
    method = made(name, **settings)
    object.__setattr__(method.config, "learning_rate", 1e30)  # the settings themselves allow 100
    with pytest.raises(UserError, match=r"not a number any more at epoch \d, step \d+: lower the") as error:
        fit(method, source(method), None, Plan.of(method.config), Watcher(tmp_path / "run"))
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_the_steps_of_a_run_are_those_that_the_method_counts_on() -> None:
    for n, batch in ((27, 8), (24, 8), (25, 8), (5, 8), (8, 8), (9, 8)):
        config = parse_config("byol", {"epochs": 3, "batch_size": batch})
        method = method_class("byol")(
            build_encoder("random:cnn-small", SIZE, 0), config, Task((), (), n, SIZE)
        )
        assert isinstance(method, SelfSupervised)
        pixels = np.zeros((n, SIZE, SIZE, 3), np.uint8)
        s = PixelSource(pixels, np.arange(n), np.zeros(n), SIZE, method.views, batch, whole_batches=True)
        assert method.total_steps == 3 * s.steps
        assert {len(given.rows) for given in s.epoch(1)} == {method.batch_size}

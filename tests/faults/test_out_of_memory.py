"""Too little memory, a graphics card that fails or is not there: a sentence, and Resume goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.runs.executors import InlineExecutor
from engine.runs.store import RunStore
from engine.training.machine import choose_device, environment
from tests.faults.conftest import STEPS, carried_out, check_whole, losses, tiny

AtStep = Callable[[int, Callable[[], None]], None]


def no_memory() -> None:
    raise MemoryError


def no_memory_for_a_tensor() -> None:
    """What torch really says when the kernel gives no more."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, before[1]))
    try:
        torch.empty(2**30, dtype=torch.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def no_memory_on_the_card() -> None:
    raise torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 7.79 GiB in all."
    )


def assertion_on_the_card() -> None:
    kind = getattr(torch, "AcceleratorError", RuntimeError)
    said = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported"
    raise kind(said) if kind is RuntimeError else kind(said, 710)


FAULTS = {
    "MemoryError": (no_memory, "ran out of memory: try batch size 8"),
    "a limit of the system": (no_memory_for_a_tensor, "ran out of memory: try batch size 8"),
    "memory of the card": (no_memory_on_the_card, "ran out of memory: try batch size 8"),
    "device-side assert": (
        assertion_on_the_card,
        "graphics card reported an error after epoch 1; press Resume",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_at_step_seven(shapes: Dataset, unbroken: list[float], at_step: AtStep, kind: str) -> None:
    fault, words = FAULTS[kind]
    at_step(STEPS + 2, fault)
    store, run_id = RunStore(), carried_out(tiny(shapes))
    run = store.get(run_id)
    assert run.state == "failed" and run.error and words in run.error, store.log_tail(run_id)
    assert run.epoch == 1 and "MiB" not in run.error and "CUDA" not in run.error
    check_whole(run_id)
    InlineExecutor(store).submit(run_id)
    assert store.get(run_id).state == "done" and losses(run_id) == pytest.approx(unbroken, abs=1e-6)


def test_without_a_graphics_card_the_processor_is_used_and_noted(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("REPLAB_DEVICE", "auto")
    run_id = carried_out(tiny(shapes, 1))
    assert RunStore().get(run_id).state == "done" and RunStore().status(run_id).device == "cpu"
    assert environment(choose_device(), False)["device"] == "cpu"


def test_a_card_that_is_asked_for_and_not_there_is_one_sentence(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("REPLAB_DEVICE", "cuda")
    with pytest.raises(UserError, match="none can be used here"):
        choose_device()
    run_id = carried_out(tiny(shapes, 1))
    run = RunStore().get(run_id)
    assert run.state == "failed" and run.error and "set it to auto" in run.error
    monkeypatch.setenv("REPLAB_DEVICE", "auto")
    InlineExecutor(RunStore()).submit(run_id)
    assert RunStore().get(run_id).state == "done"

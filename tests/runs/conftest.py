"""Recipes, stores and executors for tests that carry out pretended trainings."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.runs import layout
from engine.runs.executors import LocalExecutor
from engine.runs.recipe import Recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.watch import Options

FAKE = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))


def recipe(seed: int = 0, **config: Any) -> Recipe:
    fields = {"dataset": "shapes", "method": "classification", "backbone": "random:cnn-small"}
    return make_recipe({**fields, "image_size": 32, "seed": seed, "config": {"epochs": 3, **config}})


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def store(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    return RunStore()


@pytest.fixture
def local(store: RunStore) -> Iterator[Callable[..., LocalExecutor]]:
    """Makes local executors with the pretended worker; ends whatever they leave running."""

    def make(slots: int = 1, **options: Any) -> LocalExecutor:
        return LocalExecutor(store, slots, Options(command=FAKE, **options))

    yield make
    for run in store.list():
        folder = store.folder(run.id)
        status = layout.read_status(folder)
        for pid in (status.get("runner"), status.get("pid")):
            if pid and run.state in layout.ACTIVE:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

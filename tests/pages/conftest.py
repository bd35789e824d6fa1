"""Fixtures of the page tests."""

from __future__ import annotations

import pytest

from engine.runs import executors
from engine.runs.store import RunStore


class Waiting:
    """An executor that leaves runs in the queue."""

    def submit(self, run_id: str) -> None:
        pass

    def stop(self, run_id: str, force: bool = False) -> None:
        RunStore().request_stop(run_id, force)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers from a thread are waited for, so that a page is whole after one run."""
    monkeypatch.setattr("pages.components.try_work.PATIENCE", 60.0)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(executors.EXECUTORS, "inline", lambda store: Waiting())

"""Fixtures of the page tests."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runs import executors
from engine.runs.store import RunStore
from pages.components import run_table


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


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ticked rows, which the test driver cannot click: `tick(0, 2)`."""
    ticked: list[int] = []
    original = run_table.st.dataframe

    def dataframe(*args: Any, **keywords: Any) -> Any:
        answer = original(*args, **keywords)
        return {"selection": {"rows": ticked}} if keywords.get("on_select") == "rerun" else answer

    monkeypatch.setattr(run_table.st, "dataframe", dataframe)

    def set_rows(*rows: int) -> None:
        ticked[:] = rows

    return set_rows

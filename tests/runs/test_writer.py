"""The writing side: throttled, atomic, and honest about a full disk."""

from __future__ import annotations

import errno
import os

import pytest

from engine.runs import layout
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from tests.runs.conftest import recipe


def test_progress_is_throttled_but_news_are_told_at_once(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.create(recipe())
    writer = RunWriter(run.folder)
    from engine.runs import writer as module

    written = []
    write = module.write_json
    monkeypatch.setattr(module, "write_json", lambda path, value: written.append(1) or write(path, value))
    for step in range(200):
        writer.progress(phase="training", epoch=1, step=step)
    assert len(written) < 20
    writer.progress(epoch=2, step=0)
    assert store.progress(run.id)["epoch"] == 2
    writer.progress(step=5)
    writer.close()
    assert store.progress(run.id)["step"] == 5


def test_stop_is_seen_from_the_file(store: RunStore) -> None:
    run = store.create(recipe())
    writer = RunWriter(run.folder)
    assert not writer.stop_requested()
    store.request_stop(run.id)
    assert writer.stop_requested() and writer.stop_seen
    assert store.status(run.id).stopping


def test_a_full_disk_raises_and_the_rows_before_stay(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.create(recipe())
    writer = RunWriter(run.folder)
    writer.metric({"kind": "step", "epoch": 1, "step": 1})
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))  # the disk takes seven bytes more
    with pytest.raises(OSError) as caught:
        writer.metric({"kind": "step", "epoch": 1, "step": 2})
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    writer.metric({"kind": "step", "epoch": 1, "step": 3})
    assert [row["step"] for row in store.curve(run.id)["steps"]] == [1, 3]


def test_the_status_gets_through_on_a_full_disk_by_giving_up_the_ballast(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.create(recipe())
    ballast = run.folder / layout.BALLAST
    ballast.write_bytes(b"0" * 100)
    write = layout.write_json

    def full(path, value):  # type: ignore[no-untyped-def]
        if ballast.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, value)

    monkeypatch.setattr(layout, "write_json", full)
    layout.write_status(run.folder, state="failed", error="The disk is full.")
    assert store.get(run.id).state == "failed"

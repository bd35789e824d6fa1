"""Following a run in a terminal until it ends, and telling how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from engine.cli.output import ProgressLine, print_fields, print_json, say
from engine.runs.expected import expected_starts, place_words
from engine.runs.layout import ACTIVE, DONE, QUEUED
from engine.runs.store import RunStore
from engine.runs.summary import RunSummary

EVERY = 0.2
INTERRUPTED = 130

Report = Callable[[RunStore, str, bool], int]


def outcome(store: RunStore, run_id: str) -> dict[str, Any]:
    """What `train --json` ends with."""
    run = store.get(run_id)
    ended = run.finished or time.time()
    told: dict[str, Any] = {
        "run": run.id,
        "state": run.state,
        "metrics": run.metrics.get("last", {}),
        "best": run.metrics.get("best", {}),
        "seconds": round(max(0.0, ended - run.started), 3) if run.started else 0.0,
    }
    if run.error:
        told["error"] = run.error
    return told


def report_end(store: RunStore, run_id: str, as_json: bool) -> int:
    """Tell how a run ended; gives 0 if it is done and 1 otherwise."""
    run = store.get(run_id)
    told = outcome(store, run_id)
    if as_json:
        print_json(told)
    else:
        best = {f"best {name}": f"{value:.4f}" for name, value in _figures(told["best"]).items()}
        if best:
            best["kept epoch"] = str(told["best"].get("epoch"))
        print_fields({"run": run.id, "state": run.state, **best, "seconds": f"{told['seconds']:.1f}"})
    if run.error:
        say(run.error)
    return 0 if run.state == DONE else 1


def _figures(row: dict[str, Any]) -> dict[str, float]:
    names = {"val_loss": "validation loss", "val_accuracy": "validation accuracy", "train_loss": "loss"}
    return {names[key]: row[key] for key in names if isinstance(row.get(key), (int, float))}


def follow(
    store: RunStore, run_id: str, as_json: bool, stop_on_interrupt: bool, report: Report = report_end
) -> int:
    """Show progress until the run ends and report how it ended; gives the exit code.

    Ctrl-C asks the run to stop and waits for that (`train`), or only stops looking (`runs watch`).
    """
    try:
        _wait(store, run_id)
    except KeyboardInterrupt:
        if not stop_on_interrupt:
            say(f"The run goes on; stop it with: python -m engine runs stop {run_id}")
            return INTERRUPTED
        store.request_stop(run_id)
        say("Stopping; once more Ctrl-C leaves it to end by itself.")
        _wait(store, run_id)
        report(store, run_id, as_json)
        if store.get(run_id).state != DONE:
            say(f"Finished epochs are kept; go on with: python -m engine runs resume {run_id}")
        return INTERRUPTED
    return report(store, run_id, as_json)


def _wait(store: RunStore, run_id: str) -> None:
    line = ProgressLine()
    try:
        while (run := store.get(run_id)).state in ACTIVE:
            starts = expected_starts(store.root) if run.state == QUEUED else {}
            line.show(progress_text(run, store.progress(run_id), starts.get(run_id)))
            time.sleep(EVERY)
    finally:
        line.end()


def progress_text(run: RunSummary, progress: dict[str, Any], starts: float | None = None) -> str:
    """What a run is doing, on one line; `starts` is in how many seconds a waiting one is likely to start."""
    if run.state == QUEUED:
        return f"waiting in the queue, {place_words(run.queue_place, starts)}"
    parts = [str(progress.get("phase") or "starting")]
    if run.epochs and progress.get("epoch"):
        parts.append(f"epoch {progress['epoch']} of {run.epochs}")
    if progress.get("steps"):
        parts.append(f"step {progress.get('step', 0)} of {progress['steps']}")
    parts += [f"{name} {value:.3f}" for name, value in _figures(run.metrics.get("last", {})).items()]
    if isinstance(left := progress.get("seconds_left"), (int, float)) and left > 0:
        parts.append(f"{left:.0f} s left")
    return ", ".join(parts)

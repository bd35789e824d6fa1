"""The app's run store and executor, and what pages ask of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import streamlit as st

from engine.errors import UserError
from engine.methods import METHODS
from engine.runs.executors import executor
from engine.runs.expected import expected_starts, place_words
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.runs.summary import RunSummary
from engine.settings import PROJECT_ROOT, settings
from pages.components.text import md

ACTIVE = ("queued", "running")
FINAL = ("done", "failed", "stopped", "interrupted")
RESUMABLE = ("failed", "stopped", "interrupted")

# the page that a method's registry line names; a run of any other method is watched on the Runs page
PAGES = {
    "transfer": "pages/transfer_learning.py",
    "autoencoders": "pages/autoencoders.py",
    "self-supervised": "pages/self_supervised.py",
    "maps": "pages/latent_maps.py",
    "compare": "pages/compare.py",
    "try": "pages/try_it.py",
}
RUNS_PAGE = "pages/runs.py"


def run_store() -> RunStore:
    return RunStore(settings().runs)


def open_run_id() -> str | None:
    """The run named in the address, if it exists; a wrong one is taken out of the address."""
    run = st.query_params.get("run")
    if not run:
        return None
    try:
        run_store().get(run)
    except UserError:
        del st.query_params["run"]
        st.warning("The run in the address is not here any more: pick one on the Runs page.")
        return None
    return run


def start(recipe: Recipe, name: str | None = None) -> tuple[str, bool]:
    """Create the run once, hand it to the executor, and tell whether it is a new one."""
    run, created = run_store().create_once(recipe, name)
    if created:
        executor().submit(run)
    return run, created


def resume(run: str) -> None:
    executor().submit(run)


def waiting_words(run: str, place: int | None) -> str:
    """Where a queued run stands, and when it is likely to start if that can be told."""
    return place_words(place, expected_starts(run_store().root).get(run))


def stop(run: str, force: bool = False) -> None:
    executor().stop(run, force=force)


def attempt(action: Callable[[], None]) -> None:
    """Carry out an action; what a user can cause becomes a note that survives the rerun."""
    try:
        action()
    except UserError as error:
        st.toast(md(str(error)), icon=":material/error:", duration="long")


def remove(run: str) -> None:
    from engine.removal import remove_run

    remove_run(run)


def page_of(method: str) -> Path:
    """The page where runs of `method` are watched."""
    entry = METHODS.get(method)
    return PROJECT_ROOT / PAGES.get(entry.page if entry else "", RUNS_PAGE)


def go_to_run(summary: RunSummary) -> NoReturn:
    """Open the run on its own page, with its data set chosen."""
    st.switch_page(page_of(summary.method), query_params={"data": summary.dataset, "run": summary.id})


def outcome(run: RunSummary) -> str:
    """A run's state with its most telling number, as plain text: 'done · 96.7 % validation accuracy'."""
    accuracy = best_accuracy(run)
    state = (
        f"{run.state} · epoch {run.epoch} of {run.epochs}"
        if run.state in ACTIVE and run.epochs
        else run.state
    )
    if accuracy is not None:
        return f"{state} · {accuracy:.1%} validation accuracy"
    loss = best_figure(run, "val_loss")
    return state if loss is None else f"{state} · validation loss {loss:.3g}"


def best_accuracy(run: RunSummary) -> float | None:
    """The validation accuracy of the kept epoch, or of the last one while nothing is kept."""
    return best_figure(run, "val_accuracy")


def best_figure(run: RunSummary, name: str) -> float | None:
    """A figure of the kept epoch's row, or of the last one while nothing is kept."""
    for which in ("best", "last"):
        value = run.metrics.get(which, {}).get(name)
        if isinstance(value, (int, float)):
            return float(value)
    return None

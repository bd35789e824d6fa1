"""Which finished classifiers can be tried, and what to know of one before believing it."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.training_set import training_set
from engine.runs.summary import RunSummary
from pages.components.recipe_card import dataset_name
from pages.components.store import best_accuracy, run_store
from pages.components.text import md, one_line

CLASSIFIER = "classification"
NONE = ""


def classifiers() -> dict[str, RunSummary]:
    """Finished classification runs by id, newest first."""
    runs = run_store().list()
    return {run.id: run for run in runs if run.method == CLASSIFIER and run.state == "done"}


def begin_with(runs: dict[str, RunSummary], dataset: str | None) -> str:
    """The run in the address, else the newest of the chosen data set, else the newest of all."""
    asked = st.query_params.get("run")
    if asked in runs:
        return str(asked)
    return next((run.id for run in runs.values() if run.dataset == dataset), next(iter(runs)))


def choose_model(runs: dict[str, RunSummary], begin: str, key: str) -> RunSummary:
    """Draw the select of the first model; the address is the truth."""

    def remember() -> None:
        st.query_params["run"] = str(st.session_state[key])

    st.session_state[key] = begin
    chosen = st.selectbox(
        "Model",
        list(runs),
        format_func=lambda run: _label(runs[run]),
        key=key,
        on_change=remember,
        help="Any finished classification run.",
    )
    if st.query_params.get("run") != chosen:
        st.query_params["run"] = str(chosen)
    return runs[str(chosen)]


def choose_other(runs: dict[str, RunSummary], first: str, key: str) -> RunSummary | None:
    """Draw the select of the second model; None where nobody wants one."""
    others = [NONE, *(run for run in runs if run != first)]
    if len(others) == 1:
        return None
    if st.session_state.get(key) not in (None, *others):
        del st.session_state[key]
    chosen = st.selectbox(
        "Beside it",
        others,
        format_func=lambda run: _label(runs[run]) if run else "no second model",
        key=key,
        help="A second model answers the same question beside the first.",
    )
    return runs[str(chosen)] if chosen else None


def _label(run: RunSummary) -> str:
    accuracy = best_accuracy(run)
    return one_line(run.name, 70) + (f" · {accuracy:.1%}" if accuracy is not None else "")


def its_images(run: RunSummary) -> Dataset | None:
    """The data set that the run has learned from; None where it is gone or another by now."""
    try:
        return training_set(run.id)
    except UserError:
        return None


def head(run: RunSummary) -> None:
    """The model's name, what it learned from, and whether it began from random weights."""
    st.subheader(md(run.name, 90), anchor=False)
    words = f"learned from {md(dataset_name(run.dataset), 60)} at {run.image_size} px"
    accuracy = best_accuracy(run)
    if accuracy is not None:
        words += f", {accuracy:.1%} validation accuracy"
    if begun_from_random(run.id):
        words += " · :orange[:material/casino: from random weights]"
    st.caption(words)


def begun_from_random(run: str) -> bool:
    """Whether the run's backbone knew nothing when it began."""
    return bool((run_store().results(run) or {}).get("random_weights"))


def frozen_random(run: str) -> bool:
    """Whether the run's backbone knew nothing when it began, and was not trained."""
    return begun_from_random(run) and run_store().recipe(run).config.get("mode") == "extract"

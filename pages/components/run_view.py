"""One run on the page: its head with the actions, the recipe, the live view, and what it found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from engine.errors import UserError
from engine.methods import METHODS
from engine.runs.summary import RunSummary, Status
from engine.settings import PROJECT_ROOT
from pages.components import store
from pages.components.backbone import remember_backbone
from pages.components.code_results import code_results
from pages.components.compare_source import remember_encoder as remember_compared
from pages.components.learned_results import learned_results
from pages.components.live import live_view
from pages.components.map_source import remember_encoder
from pages.components.owner import owner_line, privacy
from pages.components.recipe_card import recipe_card
from pages.components.results import results, suffix
from pages.components.take_home import take_home
from pages.components.text import ago, md, size_text

ADVICE = {
    "failed": "Change the recipe, or resume it once the cause is gone.",
    "stopped": "Resume goes on where it stopped.",
    "interrupted": "Finished epochs are kept; Resume goes on from them.",
}
# what a finished run of a method shows; a method that is missing here shows its curves only
RESULTS: dict[str, Callable[[RunSummary], None]] = {
    "classification": results,
    **{name: code_results for name, entry in METHODS.items() if entry.page == "autoencoders"},
    **{name: learned_results for name, entry in METHODS.items() if entry.page == "self-supervised"},
}


def show_run(run: str, again: Callable[[str], None] | None = None) -> None:
    """Draw the run with everything one can do with it.

    Args:
        run: Id of a run that exists.
        again: Called with the id when the user wants to run it again with changes.
    """
    summary, status = store.run_store().get(run), store.run_store().status(run)
    found = store.run_store().results(run)
    run_head(summary, status, again)
    if damaged := store.run_store().damaged(run):
        st.warning(md(damaged), icon=":material/broken_image:")
    how_it_ended(status)
    with st.container(key="run-body"):
        left, right = st.columns([1, 2.7], gap="medium")
    with left:
        _recipe(run)
    with right:
        compact = bool(found) and status.state not in store.ACTIVE
        live_view(run, status.state, status.stopping, _suffix(run, found), compact)
    if found and summary.method in RESULTS:
        st.space("small")
        RESULTS[summary.method](summary)
    if status.state in store.FINAL:
        take_home(summary)


def how_it_ended(status: Status) -> None:
    """Why a run ended before it was done, and what to do; nothing of one that is under way or done."""
    if status.state in ADVICE:
        told = status.error or f"{status.state.capitalize()}."
        advice = "" if "Resume goes on" in told else ADVICE[status.state]  # it has been said
        text = f"{md(told)} {advice}".strip()
        (st.error if status.state == "failed" else st.info)(text, icon=":material/info:")


def _recipe(run: str) -> None:
    try:
        recipe_card(store.run_store().recipe(run))
    except UserError as error:
        st.warning(md(str(error)))


def _suffix(run: str, found: dict[str, Any] | None) -> str:
    if found is not None:
        return suffix(found)
    try:
        backbone = store.run_store().recipe(run).backbone or ""
    except UserError:
        return ""
    return "from random weights" if backbone.startswith("random:") else ""


def run_head(summary: RunSummary, status: Status, again: Callable[[str], None] | None) -> None:
    """Name, age, and the buttons for what can be done with the run.

    Args:
        summary: The run.
        status: Where it stands.
        again: Called with the id when the user wants to run it again with changes.
    """
    with st.container(key="run-head"):
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.subheader(md(summary.name), anchor=False)
                started = ago(summary.started or summary.created)
                when = f"started {started}" if summary.started else f"created {started}"
                whose = owner_line(store.run_store().ownership(summary.id))
                st.caption(f"{when} · {whose}" if whose else when)
            _menu(summary, status)
            if st.button("New run", icon=":material/add:", type="tertiary"):
                del st.query_params["run"]
                st.rerun()
        with st.container(horizontal=True, vertical_alignment="center"):
            _state_actions(summary, status)
            _onward(summary, status, again)


def _onward(summary: RunSummary, status: Status, again: Callable[[str], None] | None) -> None:
    """Buttons that take an ended run further."""
    if status.state not in store.FINAL:
        return
    if again:
        st.button(
            "Run again with changes",
            icon=":material/edit:",
            on_click=again,
            args=(summary.id,),
            key="run.again",
        )
    if store.run_store().encoder_path(summary.id).is_file():
        _use_as_backbone(summary)
        _see_its_maps(summary)
        _compare_it(summary)
    if summary.method == "classification" and status.state == "done":
        _try_it(summary)


def _use_as_backbone(summary: RunSummary) -> None:
    """A button that goes to Transfer learning with this run's encoder chosen."""
    tip = "Train a classifier on what this run has learned, on any data set."
    if st.button("Use as a backbone", icon=":material/hub:", help=tip, key="run.backbone"):
        remember_backbone(f"run:{summary.id}")
        page = PROJECT_ROOT / store.PAGES["transfer"]
        st.switch_page(page, query_params={"data": summary.dataset})


def _see_its_maps(summary: RunSummary) -> None:
    """A button that goes to Latent maps with this run's encoder chosen."""
    tip = "Lay its features out on flat maps, beside those of other encoders."
    if st.button("See its maps", icon=":material/scatter_plot:", help=tip, key="run.maps"):
        remember_encoder(f"run:{summary.id}")
        st.switch_page(PROJECT_ROOT / store.PAGES["maps"], query_params={"data": summary.dataset})


def _compare_it(summary: RunSummary) -> None:
    """A button that goes to Compare with this run's encoder chosen first."""
    tip = "Measure what can be read from its features, beside other encoders, raw pixels and random weights."
    if st.button("Compare it", icon=":material/bar_chart:", help=tip, key="run.compare"):
        remember_compared(f"run:{summary.id}")
        st.switch_page(PROJECT_ROOT / store.PAGES["compare"], query_params={"data": summary.dataset})


def _try_it(summary: RunSummary) -> None:
    """A button that goes to Try it with this model chosen."""
    tip = "Show it a picture of yours: what it says, how sure it may be, and where it looks."
    if st.button("Try it", icon=":material/photo_camera:", help=tip, key="run.try"):
        st.switch_page(PROJECT_ROOT / store.PAGES["try"], query_params={"run": summary.id})


def _state_actions(summary: RunSummary, status: Status) -> None:
    if not store.run_store().may_change(summary.id):
        return
    if status.state in store.ACTIVE:
        label = "Stop now" if status.stopping else "Stop"
        tip = "It stops after the step it is in. Press again to end it at once; finished epochs are kept."
        if st.button(label, icon=":material/stop_circle:", help=tip, key="run.stop"):
            store.attempt(lambda: store.stop(summary.id, force=status.stopping))
            st.rerun()
    elif status.state in store.RESUMABLE:
        if st.button("Resume", icon=":material/play_arrow:", type="primary", key="run.resume"):
            store.attempt(lambda: store.resume(summary.id))
            st.rerun()


def _menu(summary: RunSummary, status: Status) -> None:
    if not store.run_store().may_change(summary.id):
        return
    with st.popover("", icon=":material/more_vert:", help="Rename or delete", key="run.menu"):
        with st.form("run.rename", border=False):
            name = st.text_input("Name", value=summary.name, max_chars=240, key=f"run.name.{summary.id}")
            if st.form_submit_button("Rename", icon=":material/edit:"):
                store.attempt(lambda: store.run_store().rename(summary.id, name))
                st.rerun()
        change = partial(store.run_store().set_private, summary.id)
        privacy(summary.ownership, f"run.private.{summary.id}", change)
        if status.state in store.ACTIVE:
            st.caption("Stop the run before you delete it.")
        elif st.button("Delete…", icon=":material/delete:", key="run.delete"):
            confirm_delete([summary])


@st.dialog("Delete for good?")
def confirm_delete(runs: list[RunSummary]) -> None:
    """Ask once more, then delete."""
    total = sum(run.bytes or 0 for run in runs)
    st.text(
        "\n".join(run.name for run in runs[:8]) + (f"\nand {len(runs) - 8} more" if len(runs) > 8 else "")
    )
    st.caption(f"Curves, results and weights go with it: {size_text(total)}. This cannot be undone.")
    with st.container(horizontal=True):
        if st.button(
            "Delete",
            type="primary",
            icon=":material/delete:",
            key="delete.sure",
            on_click=_delete,
            args=(runs,),
        ):
            st.rerun()
        if st.button("Keep", key="delete.keep"):
            st.rerun()


def _delete(runs: list[RunSummary]) -> None:
    for run in runs:
        store.attempt(partial(store.remove, run.id))
    if st.query_params.get("run") in {run.id for run in runs}:
        del st.query_params["run"]

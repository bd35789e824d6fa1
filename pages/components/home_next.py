"""The parts of Home that look ahead: the next step, the three steps, the latest runs."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import DatasetSummary
from engine.runs.summary import RunSummary
from engine.settings import PROJECT_ROOT
from pages.components import store
from pages.components.picker import FIRST_CHOICES
from pages.components.text import ago, md

TRANSFER = PROJECT_ROOT / "pages" / "transfer_learning.py"
DATA = PROJECT_ROOT / "pages" / "data.py"
STATES = {
    "queued": ("gray", "hourglass_top"),
    "running": ("blue", "progress_activity"),
    "done": ("green", "check_circle"),
    "failed": ("red", "error"),
    "stopped": ("orange", "stop_circle"),
    "interrupted": ("orange", "power_off"),
}
STEPS = (
    ("Bring images", "A built-in set, a classic one, or a zip with one folder a class."),
    ("Train", "Put a backbone to work on them and watch the curves grow, live."),
    ("Understand", "See which images it gets wrong, which classes it mixes up, and how sure it is."),
)


def next_step(sets: list[DatasetSummary], runs: list[RunSummary]) -> None:
    """One card with the one thing to do now."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="next-step"):
        active = next((run for run in runs if run.state in store.ACTIVE), None)
        done = next((run for run in runs if run.state == "done"), None)
        if active is not None:
            words(active.name, f"This run is {store.outcome(active)}. It goes on when you close the page.")
            if st.button("Watch it", type="primary", icon=":material/visibility:", key="home.watch"):
                store.go_to_run(active)
        elif done is not None:
            words(done.name, f"Your latest result: {store.outcome(done)}. Look at its mistakes.")
            if st.button("Open the result", type="primary", icon=":material/query_stats:", key="home.result"):
                store.go_to_run(done)
        elif sets:
            chosen = next((s for s in sets if s.id in FIRST_CHOICES), sets[0])
            words(
                "Train your first classifier",
                f"“{chosen.name}” is ready. A small network learns it in about a minute.",
            )
            if st.button("Start with it", type="primary", icon=":material/model_training:", key="home.first"):
                st.switch_page(TRANSFER, query_params={"data": chosen.id})
        else:
            words("The first sets are being drawn", "It takes a few seconds. Or bring images of your own.")
            if st.button("Add images", type="primary", icon=":material/add_photo_alternate:", key="home.add"):
                st.session_state["data.goto"] = "Add images"
                st.switch_page(DATA)


def words(title: str, line: str) -> None:
    with st.container(gap="xxsmall", width="stretch"):
        st.markdown(f"#### {md(title, 100)}")
        st.caption(md(line, 300))


def steps() -> None:
    for number, (column, (title, line)) in enumerate(zip(st.columns(3), STEPS, strict=True), start=1):
        with column, st.container(border=True, height="stretch", gap="xsmall"):
            st.html(f'<div class="rl-step">{number}</div>')
            st.markdown(f"**{title}**")
            st.caption(line)


def latest_runs(runs: list[RunSummary], names: dict[str, str], count: int = 5) -> None:
    with st.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("Latest runs", anchor=False, width="stretch")
            if len(runs) > count:
                st.page_link(
                    PROJECT_ROOT / "pages" / "runs.py",
                    label=f"All {len(runs):,}",
                    icon=":material/arrow_forward:",
                )
        for run in runs[:count]:
            row(run, names.get(run.dataset, "a deleted set"))


def row(run: RunSummary, dataset: str) -> None:
    colour, icon = STATES.get(run.state, ("gray", "help"))
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(gap=None, width="stretch"):
            st.markdown(f"**{md(run.name, 70)}**")
            result = store.outcome(run).removeprefix(run.state)
            st.caption(f"{md(dataset, 40)}{result} · {ago(run.created)}")
        st.badge(run.state, icon=f":material/{icon}:", color=colour)  # type: ignore[arg-type]
        if st.button(
            "", key=f"home.run.{run.id}", icon=":material/arrow_forward:", type="tertiary", help="Open"
        ):
            store.go_to_run(run)

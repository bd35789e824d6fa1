"""The people of a class in a table, and what a teacher can do for or about one of them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from engine import classroom, people
from engine.classroom import Member
from engine.runs import quotas
from engine.runs.quotas import Limits
from engine.settings import GB
from pages.components import store
from pages.components.run_table import STATE_WORDS
from pages.components.run_view import confirm_delete
from pages.components.text import count_text, md, size_text

CHOSEN = "class.person"
LATEST = 8  # runs of one person that are listed
# limit -> label, help
LIMITS = {
    "running": ("Running at once", "Further runs wait in the queue until one has ended."),
    "queued": ("Waiting at once", "Further runs are refused until one has started."),
    "sets": ("Data sets", "Further ones are refused until one has been deleted."),
    "bytes": ("Disk (GB)", "Of runs, data sets, vectors, weights and uploads together."),
}


def people_part(members: list[Member]) -> None:
    """The table, and below it the person that is chosen."""
    st.subheader("People", anchor=False)
    if not any(member.role in ("teacher", "student") for member in members):
        st.info(
            "Nobody has signed up yet. Make a class code below and tell it to the class; "
            "`python -m engine people add NAME` adds one person.",
            icon=":material/group_add:",
        )
        if not members:
            return
    st.dataframe(_frame(members), hide_index=True, height=min(420, 38 + 35 * len(members)), key="class.table")
    by_id = {member.id: member for member in members if member.role != "server"}
    if not by_id:
        return
    chosen = st.selectbox(
        "Look after",
        list(by_id),
        index=None,
        placeholder="choose a person",
        format_func=lambda person: by_id[person].name,
        key=CHOSEN,
    )
    if chosen in by_id:
        with st.container(border=True, key="class-person"):
            _person(by_id[chosen])


def _frame(members: list[Member]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Name": [member.name for member in members],
            "Role": [member.role + (", blocked" if member.blocked else "") for member in members],
            "Running": [_of(member.usage.running, member.limits.running) for member in members],
            "Waiting": [_of(member.usage.queued, member.limits.queued) for member in members],
            "Data sets": [_of(member.usage.sets, member.limits.sets) for member in members],
            "Disk": [
                size_text(member.usage.bytes)
                + (f" of {size_text(member.limits.bytes)}" if member.limits.bytes else "")
                for member in members
            ],
            "Own limits": ["yes" if member.own else "" for member in members],
        }
    )


def _of(count: int, limit: int) -> str:
    return f"{count} of {limit}" if limit else str(count)


def _person(member: Member) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(gap=None, width="stretch"):
            st.markdown(f"##### {md(member.name, 60)}")
            st.caption(_uses(member))
        active = member.usage.running + member.usage.queued
        if active and st.button(
            f"Stop all ({active})", icon=":material/stop_circle:", key="class.stop_all",
            help="Those that run and those that wait; finished epochs are kept.",
        ):  # fmt: skip
            store.attempt(lambda: _stop_all(member))
            st.rerun()
        if member.role == "student":
            _blocking(member)
    if member.role == "student":
        _limits(member)
    elif member.role == "teacher":
        st.caption("Teachers have no limits of their own; the longest a run may take holds for all.")
    _runs_of(member)


def _uses(member: Member) -> str:
    used = member.usage
    parts = {"runs": used.run_bytes, "data sets": used.set_bytes, "other files": used.other_bytes}
    told = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size)
    return f"{member.role} · disk: {told or 'nothing yet'}"


def _stop_all(member: Member) -> None:
    count = classroom.stop_runs(member.id)
    st.toast(f"{count_text(count, 'run')} asked to stop.", icon=":material/stop_circle:")


def _blocking(member: Member) -> None:
    tip = "They may sign in again." if member.blocked else "Ends their sessions at once; nothing is deleted."
    if st.button(
        "Unblock" if member.blocked else "Block",
        icon=":material/lock_open:" if member.blocked else ":material/block:",
        key="class.block",
        help=tip,
    ):
        store.attempt(lambda: people.block(member.id, not member.blocked))
        st.rerun()


def _limits(member: Member) -> None:
    """Four numbers; those that are the usual ones are forgotten, so they follow the settings."""
    usual = quotas.usual_limits()
    with st.form(f"class.limits.{member.id}", border=False):
        st.markdown("**Limits**", help="0 is no limit. The usual ones come from the server's settings.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            values = {name: _limit_box(name, member, usual) for name in LIMITS}
        if st.form_submit_button("Keep these limits", icon=":material/check:"):
            wanted = {
                name: None if value == getattr(usual, name) else value for name, value in values.items()
            }
            store.attempt(lambda: quotas.set_limits(member.id, **wanted))
            st.rerun()


def _limit_box(name: str, member: Member, usual: Limits) -> int:
    label, tip = LIMITS[name]
    have, common = getattr(member.limits, name), getattr(usual, name)
    key, tip = f"class.limit.{name}.{member.id}", f"{tip} 0 is no limit; usual: {_shown(name, common)}."
    if name == "bytes":
        gigabytes = st.number_input(
            label, 0.0, 100_000.0, have / GB, 0.5, format="%.1f", key=key, help=tip, width=150
        )
        return have if gigabytes == have / GB else round(gigabytes * GB)
    return int(st.number_input(label, 0, 10_000, have, key=key, help=tip, width=150))


def _shown(name: str, value: int) -> str:
    return f"{value / GB:g}" if name == "bytes" else str(value)


def _runs_of(member: Member) -> None:
    """The person's latest runs, each to be opened or deleted."""
    runs = [run for run in store.run_store().list() if run.owner == member.id]
    if not runs:
        st.caption("No runs.")
        return
    st.markdown("**Latest runs**")
    for run in runs[:LATEST]:
        with st.container(horizontal=True, vertical_alignment="center"):
            size = f" · {size_text(run.bytes)}" if run.bytes is not None else ""
            st.caption(f"{STATE_WORDS.get(run.state, run.state)} · {md(run.name, 80)}{size}", width="stretch")
            if st.button("Open", key=f"class.look.{run.id}", type="tertiary", icon=":material/open_in_full:"):
                store.go_to_run(run)
            if st.button(
                "Delete…", key=f"class.delete.{run.id}", type="tertiary", icon=":material/delete:",
                disabled=run.state in store.ACTIVE,
                help="Stop it first." if run.state in store.ACTIVE else None,
            ):  # fmt: skip
                confirm_delete([run])
    if len(runs) > LATEST:
        st.caption(f"{LATEST} of {len(runs)}, the newest; the Runs page has all.")

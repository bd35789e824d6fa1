"""Take it home: a run as files for elsewhere, made in the background, and the code that repeats it."""

from __future__ import annotations

import streamlit as st

from engine.errors import UserError
from engine.export import making
from engine.export.code import command_line, python_lines
from engine.export.making import UNDER_WAY, Making
from engine.export.run_formats import RUN_FORMATS, refusal
from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.text import md, size_text

EVERY = 0.7  # seconds between two looks at a file that is being made
GROUPS = {
    "The network": ("script", "onnx", "torchscript", "pt2", "safetensors"),
    "Its other half": ("onnx-decoder", "torchscript-decoder", "pt2-decoder", "decoder"),
    "What it says of the images": ("features", "csv"),
    "The map": ("projector",),
    "The run": ("report", "zip", "recipe", "code"),
}
# what is not spoken of where the run is of another kind, and the words of the refusals that tell so
HIDDEN = {
    "The network": ("trained no network",),
    "Its other half": ("trained no network", "only autoencoders"),
    "What it says of the images": ("trained no network", "keeps no table"),
    "The map": ("is no map",),
}
LEFT = ("The network", "Its other half")


def take_home(summary: RunSummary) -> None:
    """A fold with every file that the run can be taken home as."""
    with st.expander("Take it home", icon=":material/home_storage:", key=f"take.{summary.id}"):
        active = any(_status(summary.id, name).state in UNDER_WAY for name in _slow(summary.id))
        st.fragment(_offers, run_every=EVERY if active else None)(summary, active)
        _code(summary)


def _slow(run: str) -> list[str]:
    return [name for name, known in RUN_FORMATS.items() if not known.quick and not refusal(run, name)]


def _status(run: str, name: str) -> Making:
    try:
        return making.making(run, name)
    except UserError:
        return Making("absent")


def _offers(summary: RunSummary, watched: bool) -> None:
    """All files in two columns; the page runs again when there begins or ends to be something to watch."""
    left, right = st.columns(2, gap="large")
    why = {title: {name: refusal(summary.id, name) for name in names} for title, names in GROUPS.items()}
    shown = [title for title in GROUPS if not _of_another_kind(title, why[title])]
    aside = [title for title in shown if title in LEFT] or shown[-1:]
    for title in shown:
        with left if title in aside else right:
            _group(summary.id, title, why[title])
    active = any(_status(summary.id, name).state in UNDER_WAY for name in _slow(summary.id))
    if active != watched:
        st.rerun()


def _of_another_kind(title: str, why: dict[str, str | None]) -> bool:
    """Whether runs of this kind never have any of a group's files."""
    words = HIDDEN.get(title, ())
    return all(sentence and any(word in sentence for word in words) for sentence in why.values())


def _group(run: str, title: str, why: dict[str, str | None]) -> None:
    """The files of one kind; why there are none, in a sentence, where there are none."""
    offered = [name for name, sentence in why.items() if sentence is None]
    sentences = [sentence for sentence in dict.fromkeys(why.values()) if sentence]
    st.markdown(f"**{title}**")
    for name in offered:
        _offer(run, name)
    for sentence in sentences:
        st.caption(md(sentence, 300))


def _offer(run: str, name: str) -> None:
    known = RUN_FORMATS[name]
    status = Making("done") if known.quick else _status(run, name)
    with st.container(horizontal=True, vertical_alignment="center", key=f"take.row.{name}.{run}"):
        with st.container(width="stretch", gap=None):
            st.markdown(known.title)
            st.caption(known.line)
        if status.state == "done":
            size = f" · {size_text(status.bytes)}" if status.bytes else ""
            address = f"/lab/runs/{run}/take/{name}"
            st.link_button(f"Download{size}", address, icon=":material/download:")
        elif status.state in UNDER_WAY:
            if st.button("Stop", icon=":material/stop_circle:", key=f"take.stop.{name}.{run}"):
                store.attempt(lambda: making.stop(run, name))
        else:
            word = "Make" if status.state == "absent" else "Make it again"
            st.button(
                word, icon=":material/build:", key=f"take.make.{name}.{run}",
                on_click=store.attempt, args=(lambda: making.start(run, name),),
            )  # fmt: skip
    if status.state in UNDER_WAY:
        st.progress(making_share(status), text=making_words(status))
    elif status.error:
        st.caption(f":red[:material/error: {md(status.error, 300)}]")
    elif status.state == "stopped":
        st.caption("Stopped; nothing was kept.")


def making_share(status: Making) -> float:
    """How much of it is done, from 0 to 1."""
    return min(1.0, max(0.0, status.done / status.total)) if status.total else 0.0


def making_words(status: Making) -> str:
    """What is going on, and how far it is."""
    if status.state == "queued":
        return "Starting…"
    amount = f" · {status.done:,} of {status.total:,} {md(status.note)}" if status.total else ""
    return f"{md(status.phase.capitalize() or 'Working')}{amount}".rstrip()


def _code(summary: RunSummary) -> None:
    """The lines that repeat the run."""
    try:
        recipe = store.run_store().recipe(summary.id)
    except UserError as error:
        st.caption(md(str(error)))
        return
    st.markdown("**Show code**", help="Both do the same; run them in the folder that this program lies in.")
    python, command = st.tabs(["Python", "Command line"])
    with python:
        st.code(python_lines(recipe), language="python")
    with command:
        st.code(command_line(recipe, summary.id), language="bash")
        st.caption("The file is the recipe above, beside you.")

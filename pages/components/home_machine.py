"""Home's panel on this machine: where the data is, what it takes, what is there without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

import streamlit as st

from engine.data.dataset import DatasetSummary
from engine.files import tree_bytes
from engine.models.backbones import BACKBONES
from engine.models.encoder import weights_available
from engine.runs.summary import RunSummary
from engine.settings import settings
from pages.components.text import count_text, md, size_text


def machine(sets: list[DatasetSummary], runs: list[RunSummary]) -> None:
    here = settings()
    with st.container(border=True, height="stretch"):
        with st.container(horizontal=True):  # as the heading beside it
            st.subheader("On this machine", anchor=False, width="stretch")
        line("folder", f"Everything is in the folder **{md(here.workspace.name)}** of the app's server.")
        rows = (
            f"{count_text(len(sets), 'data set')} {size_text(sum(s.bytes for s in sets))}",
            f"{count_text(len(runs), 'run')} {size_text(sum(run.bytes or 0 for run in runs))}",
            f"caches {size_text(cache_bytes(str(here.workspace)))}",
        )
        line("hard_drive", " · ".join(rows) + free_space(here.workspace))
        line(
            "delete",
            "A set or a run is deleted on its page; caches can be deleted from the folder at any time.",
        )
        line("cloud_off", pretrained())
        line("lock", "Nothing leaves this machine unless you press a button that says Download.")


def line(icon: str, words: str) -> None:
    st.caption(f":material/{icon}: {words}")


def free_space(folder: Path) -> str:
    """How much the disk of a folder can still take; the folder need not be there yet."""
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    try:
        return f"; {size_text(shutil.disk_usage(there).free)} are free."
    except OSError:
        return "."


@st.cache_data(ttl=120, max_entries=4, show_spinner=False)
def cache_bytes(workspace: str) -> int:
    here = settings()
    return tree_bytes(here.cache) + tree_bytes(here.tmp) + tree_bytes(here.uploads)


def pretrained() -> str:
    """Which pretrained weights need no network any more."""
    front = [info for info in BACKBONES.values() if info.front and not info.small]
    found = [info.title for info in front if weights_available(info.arch)]
    if not found:
        return "No pretrained weights are here yet: a backbone starts from random ones, or downloads them."
    names = ", ".join(md(title) for title in found[:4]) + (" and more" if len(found) > 4 else "")
    return f"Pretrained weights that need no network: {names}."

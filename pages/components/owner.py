"""Whose a data set or run is, as pages of class mode show it; says nothing where one person has it all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from engine import access
from engine.access import CHANGE, Ownership
from engine.settings import settings
from pages.components.store import attempt
from pages.components.text import md


def in_class() -> bool:
    """Whether several people use this server."""
    return settings().mode == "class"


def owner_name(thing: Ownership) -> str:
    """What people call the owner: data, never Markdown; empty where one person has it all."""
    if not in_class():
        return ""
    if not thing.owner:
        return "everybody"
    if thing.owner == access.me().id:
        return "you"
    return access.person_with(thing.owner).name or "somebody who has left"


def owner_line(thing: Ownership) -> str:
    """A piece of a caption, such as "Ann's · private"; empty for what belongs to everybody."""
    if not in_class() or not thing.owner:
        return ""
    words = "yours" if thing.owner == access.me().id else f"{md(owner_name(thing), 60)}'s"
    return words + (" · :material/lock: private" if thing.private else "")


def privacy(thing: Ownership, key: str, change: Callable[[bool], None]) -> None:
    """A switch that hides a thing from the class, for those who may."""
    if not in_class() or not thing.owner or not access.may(CHANGE, thing):
        return
    wanted = st.toggle(
        "Private",
        value=thing.private,
        key=f"{key}.{thing.private}",
        help="Only you and the teachers see it, and what was made of it. Otherwise the whole class can look, "
        "and only you and the teachers can change it.",
    )
    if wanted != thing.private:
        attempt(partial(change, wanted))
        st.rerun()

"""Who is at the page: told to the engine, shown in the sidebar, and asked to sign in where it is nobody."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine import access, people
from engine.access import NOBODY, THE_VISITOR, Person
from engine.people import sessions
from engine.settings import PROJECT_ROOT, settings
from pages.components.session_gate import COOKIE, SIGN_IN

WHOSE = "shell.person"  # whose Streamlit session this is


def acting() -> Person:
    """Who acts in this thread: at a page the one whose session its browser brought, elsewhere nobody."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return THE_VISITOR
    return sessions.person_of(st.context.cookies.get(COOKIE, "")) or THE_VISITOR


def may_stay() -> bool:
    """Whether the page may be shown; a visitor is told to sign in instead."""
    if settings().mode != "class":
        return True
    person = access.me()
    if person.role == NOBODY:
        st.title("You are signed out")
        st.write("Sign in to go on; your data sets and runs are safe, and what was running goes on.")
        st.html(f'<a href="{SIGN_IN}" target="_self">Sign in</a>')
        return False
    if st.session_state.get(WHOSE, person.id) != person.id:  # a tab that somebody else left open
        st.session_state.clear()
    st.session_state[WHOSE] = person.id
    return True


def show_person() -> None:
    """Draw who is signed in, with the way out."""
    if settings().mode != "class":
        return
    person = access.me()
    shown = {"name": person.name, "role": person.role, "password": people.has_password(person.id)}
    _component()(key="shell.person.entry", data=shown)


@cache
def _component() -> Any:
    assets = PROJECT_ROOT / "assets"
    return st.components.v2.component(
        "replab_person",
        html='<div class="person"></div>',
        css=(assets / "person.css").read_text(encoding="utf-8"),
        js=(assets / "person.js").read_text(encoding="utf-8"),
    )

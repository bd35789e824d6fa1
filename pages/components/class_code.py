"""The class code, with which students make their own accounts: open or closed, and a new one."""

from __future__ import annotations

import streamlit as st

from engine import people
from pages.components.store import attempt
from pages.components.text import md

SHOWN = "class.code"  # a new code, told once


def joining() -> None:
    """Whether people can join, with the buttons that change it."""
    is_open = people.code_is_open()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Joining", anchor=False, width="content")
        st.badge(
            "open" if is_open else "closed",
            icon=":material/lock_open:" if is_open else ":material/lock:",
            color="green" if is_open else "gray",
        )
    st.caption(
        "Whoever knows the class code can make an account as a student. It is kept as a digest, so it cannot "
        "be shown again: a new one replaces it."
        if is_open
        else "Nobody can make an account. With a class code students sign up by themselves."
    )
    with st.container(horizontal=True):
        tip = "The old code stops working; accounts stay."
        st.button("Make a new code", icon=":material/key:", key="class.code.new", help=tip, on_click=_new)
        if is_open:
            st.button("Close", icon=":material/lock:", key="class.code.close", on_click=_close)
    if code := st.session_state.pop(SHOWN, None):
        st.success(f"The new class code, shown this once. Write it on the board:\n\n## {md(code)}")


def _new() -> None:
    attempt(lambda: st.session_state.update({SHOWN: people.new_code()}))


def _close() -> None:
    attempt(people.close_code)

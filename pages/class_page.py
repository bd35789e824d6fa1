"""Class: the people of a class server, what they run and use, and what a teacher can do about it."""

from __future__ import annotations

import streamlit as st

from engine import classroom
from pages.components.class_code import joining
from pages.components.class_machine import free_button, machine
from pages.components.class_people import people_part
from pages.components.class_runs import runs_part
from pages.components.text import count_text

EVERY = 3.0  # seconds between two looks at what is going on


def main() -> None:
    st.title("Class", anchor=False)
    members = classroom.members()
    here = [member for member in members if member.role in ("teacher", "student")]
    blocked = sum(member.blocked for member in here)
    words = count_text(len(here), "person", "people") + " signed up"
    st.caption(words + (f" · {blocked} blocked" if blocked else ""))
    names = {member.id: member.name for member in members}
    st.fragment(machine, run_every=EVERY)()
    free_button()
    st.fragment(runs_part, run_every=EVERY)(names)
    people_part(members)
    joining()


main()

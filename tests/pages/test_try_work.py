"""Work that pages follow: people who ask at the same time are told their place in line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.components import try_work
from pages.components.try_work import Job, place_in_line


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What long questions wait for; nothing of them is left behind."""
    monkeypatch.setattr(try_work, "PATIENCE", 0.05)
    opened = threading.Event()
    yield opened
    opened.set()
    deadline = time.monotonic() + 10
    while any(not job.answer.done() for line in try_work._lines.values() for job in line):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for name in ("first", "second", "third", "quick"):
        try_work.forget(("line", name))


def question(gate: threading.Event, name: str, long: bool = True) -> Job:
    def work(job: Job) -> str:
        job.tell("counting", 1, 9)
        while not gate.is_set() and not job.stop():
            time.sleep(0.005)
        return name

    return try_work._job(("line", name), work, long, f"session of {name}")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_long_questions_stand_in_line_and_quick_ones_pass(gate: threading.Event) -> None:
    first, second, third = (question(gate, name) for name in ("first", "second", "third"))
    until(lambda: first.began)
    assert [place_in_line(job) for job in (first, second, third)] == [0, 1, 2]
    quick = question(gate, "quick", long=False)
    until(lambda: quick.began)
    assert place_in_line(quick) == 0 and not second.began
    assert question(gate, "second") is second, "asking again is no second place"
    second.give_up()
    assert place_in_line(third) == 1, "who leaves makes room"
    gate.set()
    assert third.answer.result(10) == "third" and place_in_line(third) == 0


def test_work_that_is_stopped_keeps_its_place_until_it_has_ended(gate: threading.Event) -> None:
    ended = threading.Event()

    def stubborn(job: Job) -> None:
        ended.wait(10)

    first = try_work._job(("line", "first"), stubborn, True, "a")
    second = question(gate, "second")
    until(lambda: first.began)
    first.give_up()
    assert place_in_line(second) == 1
    ended.set()
    until(lambda: second.began)
    assert place_in_line(second) == 0


def page() -> None:
    """A page that asks a long question."""
    import streamlit as st

    from pages.components.try_work import follow

    def work(job: object) -> str:
        return "the answer"

    found = follow(("line", "second"), work, "asked", long=True)
    if found:
        st.write(found)


def test_the_page_says_which_number_in_line_it_is(gate: threading.Event) -> None:
    first = question(gate, "first")
    until(lambda: first.began)
    app = AppTest.from_function(page, default_timeout=30).run()
    assert not app.exception and told(app) == ["Waiting for its turn: number 1 in line …"]
    assert [button.label for button in app.button] == ["Stop"]
    gate.set()
    until(lambda: first.answer.done())
    for _ in range(20):
        app = app.run()
        if "the answer" in [one.value for one in app.markdown]:
            return
        time.sleep(0.05)
    pytest.fail("no answer")


def test_who_stops_waiting_is_out_of_the_line(gate: threading.Event) -> None:
    first = question(gate, "first")
    until(lambda: first.began)
    app = AppTest.from_function(page, default_timeout=30).run()
    third = question(gate, "third")
    assert place_in_line(third) == 2
    app = app.button(key="asked.stop").click().run()
    assert "Stopped." in app.caption[0].value and place_in_line(third) == 1


def told(app: AppTest) -> list[Any]:
    return [one.proto.text for one in app.get("progress")]

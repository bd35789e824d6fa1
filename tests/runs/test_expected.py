"""When waiting runs are expected to start, checked against sums done by hand."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from engine.files import write_json
from engine.runs import expected, layout, tickets
from engine.runs.expected import expected_starts, place_words, simulate
from engine.runs.store import RunStore
from engine.runs.tickets import Ticket
from tests.runs.conftest import recipe


def line(*lengths: float) -> list[tuple[Ticket, float]]:
    return [(Ticket(k, f"r{k}", f"p{k}"), length) for k, length in enumerate(lengths)]


def most(owner: str) -> int:
    return 1


def test_one_slot_adds_the_lengths_up() -> None:
    assert simulate(line(10, 20, 30), [(5, "x")], 1, most) == {"r0": 5, "r1": 15, "r2": 35}


def test_two_slots_take_whoever_ends_first() -> None:
    starts = simulate(line(10, 20, 30), [(5, "x"), (8, "y")], 2, most)
    assert starts == {"r0": 5, "r1": 8, "r2": 15}


def test_nothing_is_said_behind_a_run_of_unknown_length() -> None:
    assert simulate(line(10, math.inf, 30), [(5, "x")], 1, most) == {"r0": 5, "r1": 15}
    assert simulate(line(10), [(math.inf, "x")], 1, most) == {}


def test_a_persons_limit_is_waited_for_and_others_pass() -> None:
    waiting = [(Ticket(1, "a2", "a"), 10.0), (Ticket(2, "b1", "b"), 3.0)]
    assert simulate(waiting, [(50.0, "a")], 2, most) == {"b1": 0, "a2": 50}


def test_running_ones_say_what_is_left_and_finished_ones_what_to_expect(store: RunStore) -> None:
    now = time.time()
    for seed, seconds in enumerate((100.0, 140.0, 120.0, 9000.0)):
        run = store.create(recipe(seed))
        fields = {"state": "done", "started": now - 9999 - seconds, "finished": now - 9999, "attempt": 1}
        elsewhere = {"host": "another-machine" if seconds > 1000 else layout.host()}
        layout.write_status(run.folder, **fields, **elsewhere)
    running, *waiting = (store.create(recipe(seed)).id for seed in (10, 11, 12))
    for run_id in (running, *waiting):
        tickets.take_ticket(store.root, run_id)
    slot = tickets.take_turn(store.root, running, 1, lambda owner: 0)
    assert slot is not None
    write_json(store.folder(running) / layout.PROGRESS, {"seconds_left": 60.0})
    assert expected_starts(store.root, slots=1) == {waiting[0]: 60.0, waiting[1]: 60.0 + 120.0}
    write_json(store.folder(running) / layout.PROGRESS, {"seconds_left": None})
    layout.write_status(store.folder(running), started=now - 20)
    assert expected_starts(store.root, slots=1)[waiting[0]] == pytest.approx(100.0, abs=5)
    tickets.free_slot(slot)


def test_where_nothing_is_known_the_place_stands_alone(store: RunStore) -> None:
    first, second = (store.create(recipe(seed)).id for seed in (1, 2))
    for run_id in (first, second):
        tickets.take_ticket(store.root, run_id)
    assert expected_starts(store.root, slots=1) == {first: 0.0}, (
        "a free slot is known, what comes then is not"
    )
    assert expected_starts(Path("/nowhere")) == {}


def test_usual_lengths_are_looked_up_anew_now_and_then(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert expected.usual_seconds(store.root) == {}
    run, fields = store.create(recipe()), {"state": "done", "started": 100.0, "finished": 130.0, "attempt": 1}
    layout.write_status(run.folder, host=layout.host(), **fields)
    assert expected.usual_seconds(store.root) == {}
    monkeypatch.setattr(expected, "REMEMBERED", -1.0)
    assert expected.usual_seconds(store.root) == {"classification": 30.0}


def test_the_words() -> None:
    assert place_words(3) == "place 3" and place_words(None) == "place 1"
    assert place_words(3, 12 * 60) == "place 3, starts in about 12 min"
    assert place_words(1, 20) == "place 1, starts within a minute"
    assert place_words(9, 3 * 3600) == "place 9, starts in about 3.0 h"

"""The order of the queue: people take turns, nobody waits for ever, and a crash leaves no ghost in front."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import access
from engine.access import STUDENT, Person
from engine.files import write_json
from engine.runs import layout, tickets
from engine.runs.executors import LocalExecutor
from engine.runs.store import RunStore
from engine.runs.tickets import Ticket
from tests.runs.conftest import recipe, wait_for

Make = Callable[..., LocalExecutor]


def ask(root: Path, run: str, owner: str) -> None:
    """Put a run without a training into the line."""
    (root / run).mkdir(parents=True)
    write_json(root / run / layout.STATUS, {"state": "queued", "submitted": time.time(), "owner": owner})
    tickets.take_ticket(root, run, owner)


def any_number(owner: str) -> int:
    return 0


def named(line: list[Ticket]) -> list[str]:
    return [ticket.run for ticket in line]


def test_alone_a_person_is_served_in_order_of_asking() -> None:
    line = [Ticket(number, f"r{number}", "") for number in (3, 1, 2)]
    assert named(tickets.order(line, {"": 1}, {"": 2})) == ["r1", "r2", "r3"]


def test_people_take_turns_whatever_they_have_asked_for() -> None:
    line = [Ticket(k, f"a{k}", "a") for k in (1, 2, 3)] + [Ticket(4, "b1", "b"), Ticket(5, "b2", "b")]
    assert named(tickets.order(line, {}, {})) == ["a1", "b1", "a2", "b2", "a3"]


def test_whoever_has_fewer_runs_going_is_first() -> None:
    line = [Ticket(1, "a1", "a"), Ticket(2, "b1", "b"), Ticket(3, "b2", "b"), Ticket(4, "c1", "c")]
    assert named(tickets.order(line, {"a": 2, "c": 1}, {})) == ["b1", "c1", "b2", "a1"]


def test_who_just_had_a_turn_asks_again_behind_those_who_waited() -> None:
    line = [Ticket(1, "a2", "a"), Ticket(5, "b1", "b"), Ticket(9, "c1", "c")]
    assert named(tickets.order(line, {}, {"a": 7})) == ["b1", "a2", "c1"]


class Class:
    """A class on a clock of its own: everything about the queue is real but the time that runs take."""

    def __init__(self, root: Path, slots: int, most: int, seed: int) -> None:
        self.root, self.slots, self.random = root, slots, random.Random(seed)
        self.most: Callable[[str], int] = lambda owner: most
        self.waiting: list[tuple[str, str]] = []
        self.running: list[tuple[float, str, str, int]] = []
        self.asked: dict[str, tuple[int, int]] = {}  # run -> (moment in `started`, own runs in front)
        self.started: list[tuple[str, str]] = []

    def live(self, arrivals: list[tuple[float, str]], length: Callable[[], float]) -> None:
        arrivals = sorted(arrivals)
        for number, (now, owner) in enumerate(arrivals):
            self.until(now, length)
            self.arrive(f"run-{number}", owner)
            self.fill(now, length)
        self.until(float("inf"), length)

    def arrive(self, run: str, owner: str) -> None:
        front = sum(other == owner for _, other in self.waiting)
        front += sum(other == owner for _, _, other, _ in self.running)
        self.asked[run] = len(self.started), front
        ask(self.root, run, owner)
        self.waiting.append((run, owner))

    def until(self, end: float, length: Callable[[], float]) -> None:
        while self.running and self.running[0][0] <= end:
            now, run, _, slot = heapq.heappop(self.running)
            tickets.end_turn(self.root, run, slot)
            layout.write_status(self.root / run, state="done")
            self.fill(now, length)

    def fill(self, now: float, length: Callable[[], float]) -> None:
        """Every waiting run's runner looks, in no particular order, until none of them may go."""
        moved = True
        while moved:
            moved = False
            for run, owner in self.random.sample(self.waiting, len(self.waiting)):
                slot = tickets.take_turn(self.root, run, self.slots, self.most)
                if slot is not None:
                    self.waiting.remove((run, owner))
                    self.started.append((run, owner))
                    layout.write_status(self.root / run, state="running")
                    heapq.heappush(self.running, (now + length(), run, owner, slot))
                    moved = True
            counts = Counter(owner for _, _, owner, _ in self.running)
            assert all(not self.most(owner) or n <= self.most(owner) for owner, n in counts.items())
            assert len(self.running) <= self.slots


@pytest.mark.parametrize(("slots", "most", "seed"), [(1, 1, 0), (1, 0, 1), (2, 1, 2), (3, 2, 3), (2, 0, 4)])
def test_b36_no_list_delays_others_by_more_than_a_run(
    tmp_path: Path, slots: int, most: int, seed: int
) -> None:
    """While somebody's n-th run waits, nobody else starts more than n, however many they have asked for."""
    chance = random.Random(seed)
    arrivals = [(0.0, "greedy") for _ in range(20)]
    arrivals += [(chance.uniform(0, 30), f"p{chance.randrange(5)}") for _ in range(24)]
    room = Class(tmp_path, slots, most, seed)
    room.live(arrivals, lambda: chance.uniform(0.5, 4))
    assert len(room.started) == len(arrivals) and not room.waiting, "everybody has had their turn"
    at = {run: place for place, (run, _) in enumerate(room.started)}
    for run, owner in room.started:
        since, front = room.asked[run]
        others = Counter(other for _, other in room.started[since : at[run]] if other != owner)
        assert all(count <= front + 1 for count in others.values()), (run, owner, others)
    assert tickets.tickets(tmp_path) == [] and tickets.running_now(tmp_path) == []


def test_b36_the_place_shown_is_the_order_of_starting(tmp_path: Path) -> None:
    for number, owner in enumerate("aaabbc"):
        ask(tmp_path, f"r{number}", owner)
    places = tickets.places(tmp_path)
    started = []
    while places:
        first = min(places, key=lambda run: places[run])
        assert not any(tickets.next_in_line(tmp_path, run, any_number) for run in places if run != first)
        slot = tickets.take_turn(tmp_path, first, 1, any_number)
        assert slot is not None
        started.append(first)
        layout.write_status(tmp_path / first, state="done")
        tickets.end_turn(tmp_path, first, slot)
        places = tickets.places(tmp_path)
    assert started == ["r0", "r3", "r5", "r1", "r4", "r2"]


def test_who_has_theirs_is_passed_over_until_one_ends(tmp_path: Path) -> None:
    for run, owner in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")):
        ask(tmp_path, run, owner)
    slot = tickets.take_turn(tmp_path, "a1", 3, lambda owner: 1)
    assert slot is not None and tickets.take_turn(tmp_path, "a2", 3, lambda owner: 1) is None
    other = tickets.take_turn(tmp_path, "b1", 3, lambda owner: 1)
    assert other is not None, "a2 stands before nobody while a1 runs"
    assert sorted(tickets.running_now(tmp_path)) == [("a1", "a"), ("b1", "b")]
    layout.write_status(tmp_path / "a1", state="done")
    tickets.end_turn(tmp_path, "a1", slot)
    last = tickets.take_turn(tmp_path, "a2", 3, lambda owner: 1)
    assert last is not None
    for held in (other, last):
        tickets.free_slot(held)


def test_tickets_of_the_dead_hold_up_nobody(tmp_path: Path) -> None:
    for run, owner in (("a1", "a"), ("b1", "b")):
        ask(tmp_path, run, owner)
    layout.write_status(tmp_path / "a1", submitted=time.time() - 10 * layout.GRACE)
    assert tickets.next_in_line(tmp_path, "b1", any_number)
    assert named(tickets.tickets(tmp_path)) == ["b1"]


def test_a_damaged_mark_or_memory_of_turns_stops_nobody(tmp_path: Path) -> None:
    ask(tmp_path, "a1", "../../etc")
    (tmp_path / layout.SERVED).write_text('{"a": "x"')
    (tmp_path / layout.TICKETS / "notes.txt").touch()
    assert tickets.tickets(tmp_path) == [Ticket(1, "a1", "")]
    slot = tickets.take_turn(tmp_path, "a1", 1, any_number)
    assert slot is not None and tickets.take_turn(tmp_path, "a1", 1, any_number) is None
    tickets.end_turn(tmp_path, "a1", slot)


def test_reading_the_line_opens_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        ask(tmp_path, f"r{number}", f"p{number % 3}")
    monkeypatch.setattr(layout, "load_json", lambda *_: pytest.fail("a run's file was read"))
    assert len(tickets.places(tmp_path)) == 30


def test_b36_two_people_share_one_slot_by_turns(
    store: RunStore, local: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MODE", "class")
    runner = local(slots=1)
    runs: dict[str, str] = {}
    for name, count in (("ann", 4), ("ben", 2)):
        with access.acting_as(Person(name, name, STUDENT)):
            for seed in range(count):
                run, _ = store.create_once(recipe(seed, epochs=1 if runs else 2000, step_seconds=0.02))
                runner.submit(run)
                runs[run] = name
    first = next(iter(runs))
    wait_for(lambda: store.get(first).state == "running")
    runner.stop(first)  # now that all have asked
    wait_for(lambda: not any(store.get(run).state in layout.ACTIVE for run in runs), 60)
    order = sorted(runs, key=lambda run: store.get(run).started or 0)
    assert [runs[run] for run in order] == ["ann", "ben", "ann", "ben", "ann", "ann"]

"""Wrong tries slow the next ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import people
from engine.access import Person
from engine.errors import UserError
from engine.people import tries
from engine.people.tries import MustWait, Tries
from tests.people.conftest import PASSWORD, Clock


def wrong(name: str = "Ben", address: str = "") -> None:
    assert people.check(name, "not the password", address) is None


def waits(name: str = "Ben", password: str = PASSWORD, address: str = "") -> int:
    with pytest.raises(MustWait) as refused:
        people.check(name, password, address)
    assert f"wait {refused.value.seconds} s" in str(refused.value)
    return refused.value.seconds


def test_b27_after_ten_wrong_tries_for_a_name_even_the_right_password_waits(
    ben: Person, clock: Clock
) -> None:
    for _ in range(9):
        wrong()
    assert people.check("Ben", PASSWORD) == ben  # nine are free, and a right one forgives them
    for _ in range(10):
        wrong()
    assert waits() == 2 == waits("BEN")
    clock.passes(2.1)
    assert people.check("Ben", PASSWORD) == ben
    wrong()  # counted anew


def test_b27_the_wait_doubles_to_a_quarter_of_an_hour_and_no_further(ben: Person, clock: Clock) -> None:
    for _ in range(10):
        wrong()
    found = []
    for _ in range(12):
        found.append(waits())
        clock.passes(found[-1])
        wrong()
    assert found == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
    clock.passes(tries.FORGOTTEN_AFTER + 1)
    wrong()
    assert people.check("Ben", PASSWORD) == ben


def test_b27_another_name_from_elsewhere_does_not_wait(ada: Person, ben: Person, clock: Clock) -> None:
    for _ in range(10):
        wrong("Ben", "10.0.0.1")
    assert waits("Ben", address="10.0.0.2") == 2
    assert people.check("Ada", PASSWORD, "10.0.0.2") == ada


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address and the class code have ten tries, too: each costs a slow hash."""
    monkeypatch.setattr(tries, "FREE", dict.fromkeys(tries.FREE, 10))


def test_b27_a_shared_address_has_more_tries_than_a_name() -> None:
    assert tries.FREE["name"] == 10 < tries.FREE["code"] <= tries.FREE["address"] == 100


@pytest.mark.usefixtures("few")
def test_b27_many_wrong_tries_from_an_address_slow_every_name_there(
    ada: Person, ben: Person, clock: Clock
) -> None:
    for number in range(5):
        wrong(f"Guess {number}", "10.0.0.1")
        wrong(f"Unknown {number}", "10.0.0.1")
    assert waits("Ada", address="10.0.0.1") == 2
    assert people.check("Ada", PASSWORD, "10.0.0.2") == ada


@pytest.mark.usefixtures("few")
def test_b27_knowing_one_password_buys_no_tries_for_others(ada: Person, ben: Person, clock: Clock) -> None:
    for number in range(9):
        wrong(f"Guess {number}", "10.0.0.1")
        assert people.check("Ada", PASSWORD, "10.0.0.1") == ada
    wrong("Guess 9", "10.0.0.1")
    assert waits("Ada", address="10.0.0.1") == 2


def test_b27_a_class_that_signs_in_at_once_from_one_address_does_not_wait(clock: Clock) -> None:
    names = [f"Student {number}" for number in range(30)]
    for name in names:
        people.add(name, PASSWORD)
    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(lambda name: people.check(name, PASSWORD, "10.0.0.1"), names))
    assert [person.name for person in found if person] == names


def test_b27_many_tries_at_once_are_no_way_around(ben: Person, clock: Clock) -> None:
    def attempt(number: int) -> str:
        try:
            people.check("Ben", f"guess {number}")
            return "tried"
        except MustWait:
            return "waits"

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(attempt, range(100)))
    assert found.count("tried") == 10


@pytest.mark.usefixtures("few")
def test_b27_the_class_code_has_the_same_limit(clock: Clock) -> None:
    code = people.new_code()
    for number in range(10):
        with pytest.raises(UserError, match="not the class code"):
            people.join("Cleo", PASSWORD, f"wrong-{number}", "10.0.0.1")
    with pytest.raises(MustWait, match="wait 2 s"):
        people.join("Cleo", PASSWORD, code, "10.0.0.1")
    assert people.join("Dan", PASSWORD, code, "10.0.0.2").name == "Dan"
    clock.passes(3)
    assert people.join("Cleo", PASSWORD, code, "10.0.0.1").name == "Cleo"


def test_what_is_remembered_is_bounded_and_keeps_the_worst(clock: Clock) -> None:
    counted = Tries()
    for _ in range(12):
        try:
            counted.begin([("name", "target")])
        except MustWait as wait:
            clock.passes(wait.seconds)
            counted.begin([("name", "target")])
    for number in range(3 * tries.MOST):
        counted.begin([("name", f"n{number}")])
    assert len(counted._counts) <= tries.MOST
    with pytest.raises(MustWait):
        counted.begin([("name", "target")])


def test_a_clock_that_jumps_back_locks_nobody_out_for_longer_than_the_longest_wait(
    ben: Person, clock: Clock
) -> None:
    for _ in range(10):
        wrong()
    clock.passes(-3600)
    assert people.check("Ben", PASSWORD) == ben  # so long apart, in either direction, is forgotten


def test_b27_knowing_a_name_keeps_its_owner_out_for_half_a_minute_at_most(ben: Person, clock: Clock) -> None:
    for number in range(40):
        try:
            wrong("Ben", f"10.0.0.{number}")
        except MustWait as wait:
            assert wait.seconds <= 30
            clock.passes(wait.seconds)
    clock.passes(31)
    assert people.check("Ben", PASSWORD, "10.0.1.1") == ben

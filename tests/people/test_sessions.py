"""Sessions: begun, remembered for a moment, ended."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from engine import people
from engine.access import Person
from engine.people import sessions, store
from tests.people.conftest import PASSWORD, Clock

HOUR = 3600


def test_a_token_is_32_random_bytes_of_which_the_disk_knows_a_keyed_digest(
    class_mode: Path, ben: Person
) -> None:
    tokens = {sessions.begin(ben.id) for _ in range(8)}
    assert len(tokens) == 8 and all(len(token) == 43 for token in tokens)
    secret = (class_mode / "people" / "secret").read_bytes()
    wanted = {hmac.new(secret, token.encode(), "sha256").hexdigest() for token in tokens}
    assert {path.name for path in (class_mode / "people" / "sessions").iterdir()} == wanted
    assert all(sessions.person_of(token) == ben for token in tokens)


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "../secret", "é" * 43, "a" * 10_000, "a" * 42 + "\n"])
def test_anything_else_is_nobodys(ben: Person, token: str) -> None:
    sessions.begin(ben.id)
    assert sessions.person_of(token) is None and sessions.remembered(token) is None


def test_another_workspaces_token_is_nobodys(
    ben: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.begin(ben.id)
    name = next((store.root() / "sessions").iterdir())
    kept = name.read_bytes()
    monkeypatch.setenv("REPLAB_WORKSPACE", str(tmp_path / "other"))
    people.prepare()
    (store.root() / "sessions" / name.name).write_bytes(kept)
    assert sessions.person_of(token) is None


def test_a_session_ends_after_twelve_idle_hours(ben: Person, clock: Clock) -> None:
    token = sessions.begin(ben.id)
    for _ in range(3):
        clock.passes(11 * HOUR)
        assert sessions.person_of(token) == ben
    clock.passes(11 * HOUR)
    assert sessions.person_of(token, seen=False) == ben  # a look that is no sign of life
    clock.passes(2 * HOUR)
    assert sessions.person_of(token) is None


def test_a_session_ends_after_seven_days_however_busy(ben: Person, clock: Clock) -> None:
    token = sessions.begin(ben.id)
    for _ in range(7 * 24):
        assert sessions.person_of(token) == ben
        clock.passes(HOUR)
    clock.passes(1)
    assert sessions.person_of(token) is None


def test_what_has_ended_by_itself_is_swept(ben: Person, clock: Clock) -> None:
    sessions.begin(ben.id)
    clock.passes(13 * HOUR)
    token = sessions.begin(ben.id)
    assert len(list((store.root() / "sessions").iterdir())) == 1 and sessions.person_of(token) == ben


def test_signing_out_ends_one_session_at_once(ben: Person) -> None:
    here, elsewhere = sessions.begin(ben.id), sessions.begin(ben.id)
    assert sessions.person_of(here) == sessions.person_of(elsewhere) == ben
    sessions.end(here)
    assert sessions.person_of(here) is None and sessions.remembered(here) is None
    assert sessions.person_of(elsewhere) == ben


@pytest.mark.parametrize("how", ["block", "remove", "password", "own password"])
def test_b26_block_removal_and_a_new_password_end_every_session_at_once(
    ada: Person, ben: Person, how: str
) -> None:
    tokens, other = [sessions.begin(ben.id) for _ in range(3)], sessions.begin(ada.id)
    assert all(sessions.person_of(token) == ben for token in tokens)  # remembered from here on
    {
        "block": lambda: people.block(ben.id),
        "remove": lambda: people.remove(ben.id),
        "password": lambda: people.set_password(ben.id, "another password"),
        "own password": lambda: people.change_password(ben.id, PASSWORD, "another password"),
    }[how]()
    assert [sessions.person_of(token) for token in tokens] == [None] * 3
    assert sessions.person_of(other) == ada


def test_b26_what_another_process_changes_is_noticed_within_two_seconds(ben: Person, clock: Clock) -> None:
    token = sessions.begin(ben.id)
    assert sessions.person_of(token) == ben
    account = store.read(ben.id)
    assert account is not None
    store.keep(store.Account(ben.id, "Ben", "student", account.created, blocked=True))  # as another would
    assert sessions.person_of(token) == ben
    clock.passes(2.1)
    assert sessions.person_of(token) is None


def test_b26_a_changed_role_holds_for_open_sessions(ben: Person, clock: Clock) -> None:
    token = sessions.begin(ben.id)
    people.set_role(ben.id, "teacher")
    found = sessions.person_of(token)
    assert found is not None and found.role == "teacher"


def test_an_ended_session_is_not_brought_back_by_who_was_just_reading_it(
    ben: Person, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sessions.begin(ben.id)
    clock.passes(HOUR)  # so that the read would note the sign of life
    real = sessions._look_up

    def slow(name: str, seen: bool) -> Person | None:
        found = real(name, seen)
        sessions.end(token)  # meanwhile
        return found

    monkeypatch.setattr(sessions, "_look_up", slow)
    sessions.person_of(token)
    monkeypatch.setattr(sessions, "_look_up", real)
    assert sessions.person_of(token) is None
    assert list((store.root() / "sessions").iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"person": 7, "created": 0}', '{"person":"../x","created":1}']
)
def test_a_damaged_session_is_nobodys_and_is_swept(ben: Person, text: str) -> None:
    token = sessions.begin(ben.id)
    path = next((store.root() / "sessions").iterdir())
    path.write_text(text)
    assert sessions.person_of(token) is None
    sessions.sweep()
    assert not path.exists()


def test_memory_for_sessions_is_bounded(ben: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_REMEMBERED", 4)
    tokens = [sessions.begin(ben.id) for _ in range(9)]
    assert all(sessions.person_of(token) == ben for token in tokens)
    assert len(sessions._remembered) <= 4

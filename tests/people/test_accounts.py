"""Accounts, passwords and the class code."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine import access, people
from engine.access import THE_VISITOR, Person
from engine.errors import UserError
from engine.people import belongings, passwords, sessions, store
from tests.people.conftest import PASSWORD


def test_an_account_is_found_by_id_and_checked_by_name(ben: Person) -> None:
    assert people.find(ben.id) == ben == Person(ben.id, "Ben", "student")
    assert people.check("Ben", PASSWORD) == ben == people.check("  bEN ", PASSWORD)
    assert people.check("Ben", PASSWORD + "x") is None and people.check("Nobody", PASSWORD) is None
    assert people.find("nobody") is None and people.find("../secret") is None and people.find("") is None


@pytest.mark.parametrize("name", ["ben", "BEN", "Ｂｅｎ", " Ben "])
def test_a_name_is_one_persons_however_it_is_written(ben: Person, name: str) -> None:
    with pytest.raises(UserError, match="is taken"):
        people.add(name, PASSWORD)


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\u200bb", "a\u202eb", "--", "a\x00b"])
def test_a_name_without_visible_letters_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="1 to 60 visible letters"):
        people.add(name, PASSWORD)


def test_a_name_is_data_and_never_a_path(class_mode: Path) -> None:
    person = people.add("../../Zoë <b>", PASSWORD)
    assert person.name == "../../Zoë <b>" and people.check("../../zoë <B>", PASSWORD) == person
    names = [path.name for path in class_mode.rglob("*")]
    assert f"{person.id}.json" in names and not any("Zo" in name for name in names)


def test_parallel_accounts_of_one_name_are_one() -> None:
    def make(_: int) -> bool:
        try:
            return bool(people.add("Twin", PASSWORD))
        except UserError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, range(16))) == 1
    assert [one.name for one in people.list_people()] == ["Twin"]


@pytest.mark.parametrize(
    ("password", "words"),
    [("short", "at least 8"), ("x" * 201, "at most 200"), ("Benedict", "is the name"), ("BENEDICT", "name")],
)
def test_a_weak_password_is_refused(password: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        people.add("benedict", password)
    assert people.list_people() == []


def test_the_class_code_is_no_password() -> None:
    code = people.new_code()
    for typed in (code, code.upper(), code.replace("-", "")):
        with pytest.raises(UserError, match="class code"):
            people.add("Ben", typed)


def test_b27_a_password_is_kept_as_a_salted_scrypt_digest_that_can_be_computed_again(
    class_mode: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setattr(passwords, "N", 1024)
    one, two = people.add("One", PASSWORD), people.add("Two", PASSWORD)
    first, second = (
        json.loads((class_mode / "people" / "accounts" / f"{one.id}.json").read_text())["password"]
        for one in (one, two)
    )
    salt = bytes.fromhex(first["salt"])
    assert bytes.fromhex(first["hash"]) == hashlib.scrypt(PASSWORD.encode(), salt=salt, n=1024, r=8, p=1)
    assert first["salt"] != second["salt"] and first["hash"] != second["hash"] and len(salt) == 16
    monkeypatch.setattr(passwords, "N", 16)  # what was made with other parameters is still right
    assert people.check("One", PASSWORD) == one


def test_b27_the_real_parameters_cost_what_owasp_asks_for() -> None:
    from importlib import reload

    real = reload(passwords)
    assert (real.N, real.R, real.P) == (2**15, 8, 3)  # OWASP Password Storage Cheat Sheet, scrypt
    assert 128 * real.N * real.R * real.AT_ONCE <= 64 * 2**20


def test_b27_few_passwords_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock = [0], [0], threading.Lock()
    real = passwords.hashlib.scrypt

    def counted(*args: object, **kwargs: object) -> bytes:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            return real(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(passwords, "N", 4096)
    monkeypatch.setattr(passwords.hashlib, "scrypt", counted)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(passwords.digest, ["x" * 9] * 24))
    assert 1 <= most[0] <= 2


def test_b27_the_secret_is_made_once_for_the_servers_eyes_only(class_mode: Path) -> None:
    people.prepare()
    path = class_mode / "people" / "secret"
    made = path.read_bytes()
    people.prepare()
    assert path.read_bytes() == made and len(made) == 32 and len(set(made)) > 8
    ignored = Path(__file__).resolve().parents[2].joinpath(".gitignore").read_text().splitlines()
    assert "/workspace/" in ignored


def test_b27_nobody_else_can_read_the_store(class_mode: Path, ada: Person, ben: Person) -> None:
    people.prepare()
    people.new_code()
    sessions.begin(ben.id)
    root = class_mode / "people"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    found = list(root.rglob("*"))
    assert len([path for path in found if path.is_file()]) == 6
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def test_a_damaged_secret_is_a_sentence(class_mode: Path) -> None:
    people.prepare()
    store._secret.cache_clear()
    (class_mode / "people" / "secret").write_bytes(b"short")
    with pytest.raises(UserError, match="damaged"):
        store.secret()
    store._secret.cache_clear()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": 3}', '{"name":"B","role":"operator","created":0}', "\x00" * 50]
)
def test_a_damaged_account_lets_nobody_in_and_stops_nobody_else(
    class_mode: Path, ben: Person, text: str
) -> None:
    token = sessions.begin(ben.id)
    people.add("Cleo", PASSWORD)
    sessions._remembered.clear()
    (class_mode / "people" / "accounts" / f"{ben.id}.json").write_text(text)
    assert people.check("Ben", PASSWORD) is None and sessions.person_of(token) is None
    assert people.check("Cleo", PASSWORD) is not None
    assert [one.name for one in people.list_people()] == ["Cleo"]


def test_joining_makes_a_student_with_the_right_code_only(clock: object) -> None:
    with pytest.raises(UserError, match="Nobody can join"):
        people.join("Cleo", PASSWORD, "")
    code = people.new_code()
    assert people.code_is_open()
    for wrong in ("", "aaaa-aaaa", code[:-1], code + "x"):
        with pytest.raises(UserError, match="not the class code"):
            people.join("Cleo", PASSWORD, wrong)
    with access.acting_as(THE_VISITOR):
        joined = people.join("Cleo", PASSWORD, f" {code.upper().replace('-', ' ')} ")
    assert joined.role == "student" and people.check("Cleo", PASSWORD) == joined
    newer = people.new_code()
    with pytest.raises(UserError, match="not the class code"):
        people.join("Dan", PASSWORD, code)
    people.close_code()
    with pytest.raises(UserError, match="Nobody can join"):
        people.join("Dan", PASSWORD, newer)


def acts(role: str, person: Person) -> Person:
    return {"student": person, "nobody": THE_VISITOR, "teacher": Person("t", "T", "teacher")}[role]


MANAGING: list[Callable[[Person], object]] = [
    lambda person: people.add("New", PASSWORD),
    lambda person: people.remove(person.id),
    lambda person: people.set_password(person.id, PASSWORD + "2"),
    lambda person: people.block(person.id),
    lambda person: people.list_people(),
    lambda person: people.new_code(),
    lambda person: people.close_code(),
]


@pytest.mark.parametrize("manage", MANAGING, ids=range(len(MANAGING)))
def test_b26_students_and_visitors_manage_nobody(ben: Person, manage: Callable[[Person], object]) -> None:
    for role in ("student", "nobody"):
        with access.acting_as(acts(role, ben)), pytest.raises(UserError, match="Only a teacher"):
            manage(ben)
    assert people.check("Ben", PASSWORD) == ben
    with access.acting_as(acts("teacher", ben)):
        manage(ben)


def test_b26_only_the_operator_makes_and_manages_teachers(ada: Person, ben: Person) -> None:
    with access.acting_as(ada):
        for attempt in (
            lambda: people.add("New", PASSWORD, "teacher"),
            lambda: people.set_role(ben.id, "teacher"),
            lambda: people.remove(ada.id),
            lambda: people.block(ada.id),
            lambda: people.set_password(ada.id, PASSWORD + "2"),
        ):
            with pytest.raises(UserError, match="operator"):
                attempt()
    people.set_role(ben.id, "teacher")
    assert people.find(ben.id) == Person(ben.id, "Ben", "teacher")
    with pytest.raises(UserError, match="A role is"):
        people.set_role(ben.id, "operator")


def test_a_blocked_person_is_out_until_unblocked(ben: Person) -> None:
    people.block(ben.id)
    assert people.check("Ben", PASSWORD) is None
    assert [one.blocked for one in people.list_people()] == [True]
    people.unblock(ben.id)
    assert people.check("Ben", PASSWORD) == ben


def test_changing_ones_password_takes_the_present_one(ben: Person) -> None:
    with pytest.raises(UserError, match="present password is wrong"):
        people.change_password(ben.id, "wrong wrong", "another one here")
    with pytest.raises(UserError, match="choose another"):
        people.change_password(ben.id, PASSWORD, PASSWORD)
    people.change_password(ben.id, PASSWORD, "another one here")
    assert people.check("Ben", PASSWORD) is None and people.check("Ben", "another one here") == ben


def test_the_person_of_a_server_s_child_is_found_by_id(ben: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.VARIABLE, ben.id)
    assert access.me() == ben
    people_gone = "abcdefghijkmnpqr"
    monkeypatch.setenv(access.VARIABLE, people_gone)
    assert access.me() == Person(people_gone, "", "student")


@dataclass
class Thing:
    id: str
    owner: str

    @property
    def ownership(self) -> access.Ownership:
        return access.Ownership(self.owner)


def test_whoever_has_things_here_is_removed_only_with_everything(
    ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[belongings.Belongings] = []
    monkeypatch.setattr(
        "engine.data.dataset.list_datasets", lambda: [Thing("mine", ben.id), Thing("other", "")]
    )
    monkeypatch.setattr(
        "engine.runs.store.RunStore.list", lambda self: [Thing(name, ben.id) for name in ("a", "b")]
    )
    monkeypatch.setattr(belongings, "remove_belongings", removed.append)
    with pytest.raises(UserError, match="Ben has 2 runs, 1 data set here"):
        people.remove(ben.id)
    assert people.find(ben.id) == ben and not removed
    people.remove(ben.id, with_everything=True)
    assert people.find(ben.id) is None and removed == [belongings.Belongings(("a", "b"), ("mine",))]


def test_everything_of_a_person_is_deleted_from_disk(class_mode: Path, ben: Person) -> None:
    from engine.data.drawn_sets import build_shapes
    from engine.runs import quotas

    quotas.set_limits(ben.id, queued=1)

    few = {"train": 6, "val": 2, "test": 2}
    with access.acting_as(ben):
        mine = build_shapes("mine", "Mine", 32, "drawn", images=few)
    theirs = build_shapes("theirs", "Theirs", 32, "drawn", images=few)
    if mine.ownership.owner != ben.id:  # drawn sets may be everybody's: mark it as an upload would be
        from engine import files
        from engine.data.dataset import INFO

        path = mine.root / INFO
        files.write_json(path, {**files.read_json(path), "owner": ben.id})
    assert belongings.belongings_of(ben.id) == belongings.Belongings(datasets=(mine.id,))
    people.remove(ben.id, with_everything=True)
    assert not mine.root.exists() and theirs.root.exists()
    assert not [path for path in class_mode.rglob("*") if ben.id in path.name]
    assert not [
        path for path in class_mode.rglob("*") if path.is_file() and ben.id.encode() in path.read_bytes()
    ]
    assert not belongings.belongings_of("")

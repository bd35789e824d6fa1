"""`people`: accounts on the command line, with no password on it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import people
from engine.cli import people as commands
from engine.cli.main import main
from engine.people import passwords, sessions
from tests.security.conftest import Command, command  # noqa: F401  (the fixture)

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "N", 16)
    monkeypatch.setattr(passwords, "P", 1)


def types(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def make(monkeypatch: pytest.MonkeyPatch, command: Command, name: str, *more: str) -> Any:  # noqa: F811
    types(monkeypatch, f"{PASSWORD}\n")
    code, found, err = command("people", "add", name, "--password-stdin", *more)
    assert code == 0, err
    return found[0]


def test_a_teacher_is_made_listed_and_can_sign_in(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make(monkeypatch, command, "Ada", "--teacher")
    assert made["role"] == "teacher" and not made["blocked"]
    assert make(monkeypatch, command, "Ben")["role"] == "student"
    code, found, _ = command("people", "list")
    assert code == 0 and [one["name"] for one in found] == ["Ada", "Ben"]
    assert all("password" not in key for one in found for key in one) and "hash" not in str(found)
    assert people.check("ada", PASSWORD) == people.find(made["id"])


def test_a_password_is_never_an_argument() -> None:
    from engine.cli.main import build_parser

    for words in (["add", "Ada", "--password", "x"], ["password", "Ada", "x"], ["add", "Ada", "x"]):
        with pytest.raises(SystemExit) as stop:
            build_parser().parse_args(["people", *words])
        assert stop.value.code == 2


def test_without_a_terminal_or_a_line_there_is_no_password(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for text, more, words in (("", ("--password-stdin",), "no password"), (PASSWORD, (), "--password-stdin")):
        types(monkeypatch, text)
        code, _, err = command("people", "add", "Ada", *more)
        assert code == 2 and words in err and PASSWORD not in err
    assert people.list_people() == []


def test_a_terminal_asks_twice_without_echo(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    answers = iter([PASSWORD, PASSWORD + "x", PASSWORD, PASSWORD])
    monkeypatch.setattr(commands.getpass, "getpass", lambda prompt: next(answers))
    assert main(["people", "add", "Ada"]) == 2 and "not the same" in capsys.readouterr().err
    assert main(["people", "add", "Ada"]) == 0
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err and people.check("Ada", PASSWORD) is not None


def test_roles_blocks_and_passwords_change(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    ben = make(monkeypatch, command, "Ben")["id"]
    token = sessions.begin(ben)
    assert command("people", "role", "ben", "teacher")[1][0]["role"] == "teacher"
    assert command("people", "block", "BEN")[1][0]["blocked"] is True
    assert sessions.person_of(token) is None and people.check("Ben", PASSWORD) is None
    assert command("people", "unblock", ben)[1][0]["blocked"] is False
    token = sessions.begin(ben)
    types(monkeypatch, "quite another one\r\n")
    assert command("people", "password", "Ben", "--password-stdin")[0] == 0
    assert sessions.person_of(token) is None
    assert people.check("Ben", PASSWORD) is None and people.check("Ben", "quite another one") is not None


def test_the_class_code_is_shown_once(command: Command) -> None:  # noqa: F811
    assert command("people", "code")[1] == [{"open": False, "code": None}]
    code = command("people", "code", "--new")[1][0]["code"]
    assert people.join("Cleo", PASSWORD, code).role == "student"
    assert command("people", "code")[1] == [{"open": True, "code": None}]
    assert command("people", "code", "--close")[1] == [{"open": False, "code": None}]
    assert command("people", "code", "--new", "--close")[0] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["remove", "Nobody"], "nobody called"),
        (["block", "../x"], "nobody called"),
        (["role", "Ben", "operator"], "invalid choice"),
        (["add", "ben", "--password-stdin"], "is taken"),
        (["add", "Cleo\x1b[2J", "--password-stdin"], "visible letters"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    sentence: str,
) -> None:
    make(monkeypatch, command, "Ben")
    types(monkeypatch, f"{PASSWORD}\n")
    code, found, err = command("people", *words)
    assert code == 2 and found == [] and sentence in err
    assert err.count("\n") == 1 and "Traceback" not in err and "\x1b" not in err


def test_a_person_is_removed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    ben = make(monkeypatch, command, "Ben")["id"]
    token = sessions.begin(ben)
    assert command("people", "remove", "Ben")[1] == [{"removed": ben}]
    assert people.list_people() == [] and sessions.person_of(token) is None


def test_the_table_for_people_names_everybody(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert main(["people", "list"]) == 0 and "Nobody yet" in capsys.readouterr().out
    people.add("Zoë <b>", PASSWORD, "teacher")
    people.block(people.add("Ben", PASSWORD).id)
    assert main(["people", "list"]) == 0
    out = capsys.readouterr().out
    assert "Zoë <b>" in out and "teacher" in out and "blocked" in out and PASSWORD not in out

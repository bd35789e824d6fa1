"""`runs list` on a class server: whose each run is, and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import access, people
from engine.cli.main import main
from engine.people import passwords
from engine.runs.recipe import make_recipe
from engine.runs.store import RunStore


def test_owners_are_named_in_a_class_only(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPLAB_MODE", "class")
    monkeypatch.setattr(passwords, "N", 16)
    monkeypatch.setattr(passwords, "P", 1)
    people.prepare()
    recipe = make_recipe({"dataset": "shapes", "method": "classification", "image_size": 32})
    for person in (
        people.add("Ann Example", "correct horse battery"),
        access.Person("gone", "", access.STUDENT),
        access.THE_OPERATOR,
    ):
        with access.acting_as(person):
            RunStore().create(recipe)
    assert main(["runs", "list"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "OWNER" in told[0] and len(told) == 4
    assert [sum(name in line for line in told) for name in ("Ann Example", "gone", "server")] == [1, 1, 1]
    monkeypatch.setenv("REPLAB_MODE", "laptop")
    main(["runs", "list"])
    assert "OWNER" not in capsys.readouterr().out

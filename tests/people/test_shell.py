"""The shell in class mode: who is signed in is shown, a visitor gets no page at all."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from engine import access
from engine.access import THE_VISITOR, Person
from engine.settings import PROJECT_ROOT, settings
from pages.components import person
from tests.pages.made import fine, make_dataset, words

SHELL = PROJECT_ROOT / "pages" / "components" / "shell.py"


def shell() -> AppTest:
    settings().workspace.mkdir(parents=True, exist_ok=True)
    return AppTest.from_file(SHELL, default_timeout=60)


@pytest.mark.parametrize("mode", ["class", "laptop"])
def test_b22_a_visitors_script_shows_no_page(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MODE", mode)
    make_dataset(name="Everybody's")
    access.resolve_by(lambda: THE_VISITOR)
    app = fine(shell().run())
    signed_out = app.title and app.title[0].value == "You are signed out"
    assert bool(signed_out) == (mode == "class")
    assert bool(app.selectbox) == (mode == "laptop")
    assert ("Everybody's" in str(app)) == (mode == "laptop")


def test_who_is_signed_in_is_shown_with_the_way_out(ben: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, object]] = []
    monkeypatch.setattr(person, "_component", lambda: lambda key, data: shown.append(data))
    access.resolve_by(lambda: ben)
    app = fine(shell().run())
    assert shown == [{"name": "Ben", "role": "student", "password": True}]
    assert "signed out" not in words(app)


def test_a_tab_that_somebody_else_left_open_is_begun_anew(ada: Person, ben: Person) -> None:
    access.resolve_by(lambda: ada)
    app = shell()
    app.session_state["runs.chosen"] = "what Ada looked at"
    fine(app.run())
    assert app.session_state["runs.chosen"] == "what Ada looked at"
    access.resolve_by(lambda: ben)
    fine(app.run())
    assert "runs.chosen" not in app.session_state and app.session_state[person.WHOSE] == ben.id


def test_a_session_that_ends_while_the_page_is_open_leaves_no_page(ben: Person) -> None:
    access.resolve_by(lambda: ben)
    app = fine(shell().run())
    assert not app.title or app.title[0].value != "You are signed out"
    access.resolve_by(lambda: THE_VISITOR)
    assert fine(app.run()).title[0].value == "You are signed out"

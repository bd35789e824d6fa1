"""Forms drawn from config classes: bounds, choices and words come from the class, whatever the method."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field
from streamlit.testing.v1 import AppTest

from engine.methods import METHODS, config_class
from pages.components.forms import Setting, problem, settings_of


class Example(BaseModel):
    depth: int = Field(3, ge=1, le=9, description="How deep.", json_schema_extra={"unit": "layers"})
    rate: float = Field(0.01, gt=0, lt=1, title="Speed")
    kind: Literal["a_b", "c"] = Field("c", json_schema_extra={"labels": {"a_b": "A and B"}})
    note: str | None = None
    on: bool = Field(False, json_schema_extra={"more": True})


def test_a_field_becomes_a_setting_with_all_that_it_declares() -> None:
    depth, rate, kind, note, on = settings_of(Example)
    assert (depth.kind, depth.low, depth.high, depth.default) == ("int", 1, 9, 3)
    assert depth.title == "Depth (layers)" and depth.help == "How deep."
    assert rate.low_excluded and rate.high_excluded and rate.title == "Speed"
    assert kind.choices == ("a_b", "c") and kind.labels == {"a_b": "A and B"}
    assert note.optional and note.kind == "text"
    assert on.kind == "bool" and on.more


@pytest.mark.parametrize("method", METHODS)
def test_every_field_of_every_method_can_be_drawn_and_explained(method: str) -> None:
    for setting in settings_of(config_class(method)):
        assert setting.help.endswith("."), f"{setting.name} has no sentence of help"
        assert setting.kind != "text", f"{setting.name} would be free text"
        assert problem(setting, setting.default) is None, f"the default of {setting.name} is refused"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "Depth (layers) must be within [1, 9], got 0."),
        (10, "got 10."),
        (float("nan"), "finite"),
        (None, "needs"),
    ],
)
def test_an_impossible_value_is_one_sentence(value: float | None, told: str) -> None:
    sentence = problem(settings_of(Example)[0], value)
    assert sentence is not None and told in sentence and sentence.endswith(".")


@pytest.mark.parametrize(("value", "fits"), [(0.0, False), (1.0, False), (0.5, True)])
def test_open_bounds_exclude_their_ends(value: float, fits: bool) -> None:
    assert (problem(settings_of(Example)[1], value) is None) == fits


def test_one_sided_bounds_are_told_in_words() -> None:
    assert Setting("n", "int", 1, low=0, low_excluded=True).bounds_text() == "above 0"
    assert Setting("n", "int", 1, high=5).bounds_text() == "at most 5"


def draw() -> None:
    """A page with one form; runs apart from this module."""
    from typing import Literal  # noqa: F401 (this function is run as a script of its own)

    import streamlit as st
    from pydantic import BaseModel, Field

    from pages.components.forms import ConfigForm

    class Page(BaseModel):
        depth: int = Field(3, ge=1, le=9, description="<b>How</b> deep.")
        rate: float = Field(0.01, gt=0, lt=1)
        kind: Literal["a_b", "c"] = Field("c")
        on: bool = Field(False, json_schema_extra={"more": True})

    form = ConfigForm("page", Page)
    st.button("fill", key="fill", on_click=form.prefill, args=({"depth": 5, "on": True},))
    if not st.checkbox("hide", key="hide"):
        values = form.draw(hide=lambda name: name == "rate")
        st.session_state["values"], st.session_state["problems"] = values, dict(form.problems)


def test_a_form_gives_values_remembers_them_and_can_be_filled() -> None:
    app = AppTest.from_function(draw).run()
    assert not app.exception
    assert app.session_state["values"] == {"depth": 3, "rate": 0.01, "kind": "c", "on": False}
    app.number_input(key="page.depth").set_value(4).run()
    app.checkbox(key="hide").check().run()
    app.checkbox(key="hide").uncheck().run()
    assert app.session_state["values"]["depth"] == 4, "forgotten while it was not on the page"
    app.button(key="fill").click().run()
    assert app.session_state["values"] == {"depth": 5, "rate": 0.01, "kind": "c", "on": True}
    assert not app.exception


def test_a_form_tells_the_problem_at_its_field() -> None:
    app = AppTest.from_function(draw).run()
    app.number_input(key="page.depth").set_value(99).run()
    assert "got 99" in app.session_state["problems"]["depth"]
    assert any("got 99" in caption.value for caption in app.caption)
    assert "<b>" not in app.number_input(key="page.depth").help

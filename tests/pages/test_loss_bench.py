"""What the page says around the bench, and that names of runs reach it as plain text."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from pages.components import loss_bench
from tests.pages.made import HOSTILE, fine, words


def draw() -> None:
    from pages.components.loss_bench import loss_bench
    from tests.pages.made import HOSTILE

    loss_bench([("abc", HOSTILE[0]), ("def", "")])


def test_the_bench_says_how_to_read_it_and_asks_first(workspace: Path) -> None:
    app = fine(AppTest.from_function(draw).run(timeout=30))
    text = words(app)
    assert "What you see." in text and "What not to conclude." in text and "Predict first." in text
    assert [heading.value for heading in app.subheader] == ["Loss bench"]
    assert HOSTILE[0] not in text  # names are for the component, which sets them as text


def test_the_component_never_sets_html() -> None:
    script = loss_bench.asset("bench.js")
    assert not any(
        word in script for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write")
    )

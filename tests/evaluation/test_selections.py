"""Named selections: kept with the map, replaced by name, refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UserError
from engine.evaluation.selections import MOST, list_selections, remove_selection, save_selection
from engine.runs import layout
from engine.runs.store import RunStore
from tests.runs.conftest import recipe


@pytest.fixture
def run(workspace: Path) -> str:
    return RunStore().create(recipe()).id


def test_a_selection_is_there_tomorrow_and_gives_way_to_a_newer_of_its_name(run: str) -> None:
    assert list_selections(run) == {}
    assert save_selection(run, "  odd\nones ", [5, 3, 3]) == "odd ones"
    save_selection(run, "all", [1])
    assert list_selections(run) == {"odd ones": [3, 5], "all": [1]}
    save_selection(run, "odd ones", [7])
    assert list_selections(run)["odd ones"] == [7]
    remove_selection(run, "odd ones")
    remove_selection(run, "never there")
    assert list_selections(run) == {"all": [1]}


def test_what_cannot_be_kept_is_told_and_nothing_is_lost(run: str) -> None:
    save_selection(run, "a", [1])
    with pytest.raises(UserError, match="needs a name"):
        save_selection(run, "  ", [1])
    with pytest.raises(UserError, match="Nothing is selected"):
        save_selection(run, "b", [])
    for i in range(MOST - 1):
        save_selection(run, f"s{i}", [i])
    with pytest.raises(UserError, match=f"{MOST} selections already"):
        save_selection(run, "one more", [1])
    assert len(list_selections(run)) == MOST


def test_a_damaged_file_reads_as_none(run: str) -> None:
    (RunStore().folder(run) / layout.SELECTIONS).write_text('{"a": [1, "x"], "b": [2], "c": 3, "d": [-1]}')
    assert list_selections(run) == {"b": [2]}
    (RunStore().folder(run) / layout.SELECTIONS).write_text("{")
    assert list_selections(run) == {}

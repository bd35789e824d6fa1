"""Home's panel on this machine, on machines that are in an odd state."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pages.components.home_machine import free_space
from tests.pages.made import open_page, words


def test_free_space_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    told = free_space(tmp_path / "not" / "yet")
    assert told == free_space(tmp_path) and told.endswith("B are free.")
    assert not (tmp_path / "not").exists()


def test_a_disk_that_does_not_answer_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", refuse)
    assert free_space(tmp_path) == "."


def test_home_opens_after_the_workspace_has_been_deleted(workspace: Path) -> None:
    app = open_page("home")
    shutil.rmtree(workspace)
    app.run()
    assert not app.exception and "are free" in words(app)

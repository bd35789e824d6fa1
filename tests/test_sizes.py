"""No file grows past what a reader can hold, and none is a drawer for everything."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for top in ("engine", "pages") for path in (ROOT / top).rglob("*.py"))
DRAWERS = {"utils", "common", "helpers", "base", "misc"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_has_one_subject(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in DRAWERS


def test_every_module_says_what_lives_there() -> None:
    silent = [path.name for path in SOURCES if not path.read_text().startswith('"""')]
    assert not silent

"""Fixtures of the tests of what is taken home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def elsewhere(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Go to another installation, which has nothing yet."""

    def go() -> Path:
        other = workspace.parent / "elsewhere"
        monkeypatch.setenv("REPLAB_WORKSPACE", str(other))
        return other

    return go

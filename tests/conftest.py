"""What all tests share: an own workspace each, and the slow switch."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import engine  # noqa: F401  (says how torch's threads wait, before any test loads torch)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace of this test's own, with runs carried out in this process."""
    path = tmp_path / "workspace"
    monkeypatch.setenv("REPLAB_WORKSPACE", str(path))
    monkeypatch.setenv("REPLAB_EXECUTOR", "inline")
    monkeypatch.setenv("REPLAB_DEVICE", "cpu")
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", "0")
    return path


@pytest.fixture(autouse=True)
def pillow_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Pillow its own pixel limit back: decoding sets it to ours, for the whole process."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)

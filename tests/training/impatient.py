"""A run writer that asks to stop, for the tests of stopping and resuming."""

from __future__ import annotations

from typing import Any


class Impatient:
    """A writer that asks to stop after so many questions."""

    def __init__(self, writer: Any, after: int) -> None:
        self.writer, self.left = writer, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.writer, name)

    def stop_requested(self) -> bool:
        self.left -= 1
        return self.left < 0

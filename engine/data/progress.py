"""How long work tells how far it is, and is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far something is.

    Attributes:
        phase: What is going on, in a word or two.
        done: Steps done.
        total: Steps in all; None if unknown.
        note: More to show beside it.
    """

    phase: str
    done: int
    total: int | None = None
    note: str = ""


Report = Callable[[Progress], None]
Stop = Callable[[], bool]


class Stopped(Exception):
    """The work was asked to stop, and did."""


def silent(progress: Progress) -> None:
    """Report to nobody."""


def never() -> bool:
    """Do not stop."""
    return False


def tell_or_stop(report: Report, stop: Stop, progress: Progress) -> None:
    """Report how far something is.

    Raises:
        Stopped: It was asked to stop.
    """
    if stop():
        raise Stopped
    report(progress)

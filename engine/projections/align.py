"""Maps laid over each other: moved, turned, mirrored and scaled until they agree as well as they can.

J. C. Gower 1975, Generalized Procrustes Analysis, Psychometrika 40; the closed form by singular values is
P. H. Schönemann's of 1966, A Generalized Solution of the Orthogonal Procrustes Problem, Psychometrika 31.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import UserError

FLAT = 1e-12  # a spread below this share of the coordinates is rounding: all points lie on one spot


def checked_map(positions: np.ndarray, n: int) -> np.ndarray:
    """Positions as an array, one for each point.

    Args:
        positions: (n, 2 or 3).
        n: Points.

    Raises:
        UserError: Another shape, or a value that is no finite number.
    """
    positions = np.asarray(positions)
    if positions.ndim != 2 or len(positions) != n or positions.shape[1] not in (2, 3):
        shape = " x ".join(str(length) for length in positions.shape) or "one number"
        raise UserError(f"A map of {n:,} points has 2 or 3 coordinates each, here is {shape}: make it again.")
    if not np.isfinite(positions).all():
        raise UserError("This map holds positions that are no finite numbers: make it again.")
    return positions


@dataclass(frozen=True)
class Fit:
    """How one map is laid over another.

    Attributes:
        middle: (d,) of the map that moves.
        turn: (d, d) a turn or a mirroring about it.
        size: By how much it grows.
        centre: (d,) where its middle comes to lie.
    """

    middle: np.ndarray
    turn: np.ndarray
    size: float
    centre: np.ndarray

    def of(self, positions: np.ndarray) -> np.ndarray:
        """(..., d) places of the map that moves, laid over the other with it; float32."""
        about = np.asarray(positions, np.float64) - self.middle
        return (about @ self.turn * self.size + self.centre).astype(np.float32)


def fit(reference: np.ndarray, positions: np.ndarray) -> Fit:
    """What `procrustes` does to a map, to be done to others too, such as those it went through.

    Args:
        reference: (n, 2 or 3) the map that stays.
        positions: The map that moves, of the same shape; row i is the same point.

    Raises:
        UserError: The shapes differ, or a value is no finite number.
    """
    goal, centre, moving = _centred(reference, positions)
    turn, agreement = _turn(goal, moving)
    size = agreement / float((moving**2).sum()) if agreement > 0 else 1.0
    turn = turn if agreement > 0 else np.eye(len(centre))
    return Fit(np.asarray(positions, np.float64).mean(0), turn, size, centre)


def procrustes(reference: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """A map moved, turned, mirrored and scaled onto another, so that the squared distances left are least.

    Args:
        reference: (n, 2 or 3) the map that stays.
        positions: The map that moves, of the same shape; row i is the same point.

    Returns:
        Of the same shape, float32. Where either has all points on one spot there is nothing to turn by, and
        the map is only moved.

    Raises:
        UserError: The shapes differ, or a value is no finite number.
    """
    return fit(reference, positions).of(positions)


def in_turn(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Maps one after another, each turned and mirrored onto the one before so that none spins between two.

    All get the first one's spread. A fitted size, as in `procrustes`, would shrink a map the less it agrees
    with the one before; along a row of maps that adds up.

    Args:
        maps: (n, 2 or 3) each, of the same shape; row i is the same point.

    Returns:
        Of the same shapes, float32, all about the middle of the first. A map that has all points on one spot
        stays a spot.

    Raises:
        UserError: The shapes differ, or a value is no finite number.
    """
    found: list[np.ndarray] = []
    for positions in maps:
        goal, centre, moving = _centred(found[-1] if found else positions, positions)
        spread, size = np.linalg.norm(goal), np.linalg.norm(moving)
        if found and spread and size:
            moving = moving @ _turn(goal, moving)[0] * (spread / size)
        found.append((moving + centre).astype(np.float32))
    return found


def disparity(reference: np.ndarray, positions: np.ndarray) -> float:
    """How much two maps differ once laid over each other: 0 the same shape, 1 nothing in common.

    The squared distances that are left, as a share of the spread of the reference; it is the same from both
    sides. 1 where just one of them has all points on one spot, 0 where both have.

    Args:
        reference: (n, 2 or 3).
        positions: Of the same shape; row i is the same point.

    Raises:
        UserError: The shapes differ, or a value is no finite number.
    """
    goal, _, moving = _centred(reference, positions)
    spread = float((goal**2).sum() * (moving**2).sum())
    if not spread:
        return float(goal.any() or moving.any())
    return float(np.clip(1 - _turn(goal, moving)[1] ** 2 / spread, 0, 1))


def _centred(reference: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both maps about their middles in float64, all zero if on one spot, and the middle of the reference."""
    reference = checked_map(reference, len(reference)).astype(np.float64)
    positions = checked_map(positions, len(reference)).astype(np.float64)
    if reference.shape != positions.shape:
        raise UserError("A flat map and one in space cannot be laid over each other: choose two of a kind.")
    centre = reference.mean(0)
    return _about_middle(reference), centre, _about_middle(positions)


def _about_middle(positions: np.ndarray) -> np.ndarray:
    about = positions - positions.mean(0)
    return about if np.abs(about).max() > FLAT * np.abs(positions).max() else np.zeros_like(about)


def _turn(goal: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, float]:
    """The turn or mirroring that brings one centred map onto another, and how far they then agree."""
    left, values, right = np.linalg.svd(moving.T @ goal)
    return left @ right, float(values.sum())

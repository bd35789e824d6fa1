"""The contract of a projection: points in, positions on a map out; knows no screen, no file and no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from engine.errors import UserError
from engine.projections.points import Points


class CannotProject(UserError):
    """These points have no map by this method; the sentence goes onto its panel, and the others go on."""


class Stopped(Exception):
    """Raised by a projection that was asked to stop."""


class ProjectionConfig(BaseModel):
    """Settings of one projection method, all with default, bounds and help (`engine.fields.setting`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _no_progress(share: float) -> None:
    """Tell nobody."""


def _no_frame(positions: np.ndarray) -> None:
    """Keep nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """Who looks on while a projection works.

    Attributes:
        progress: Called with the share that is done, 0 to 1.
        frame: Called now and then with (n, dimensions) positions by methods that move points step by step.
        stopped: Asked often; where it says yes, `fit` raises `Stopped`.
    """

    progress: Callable[[float], None] = _no_progress
    frame: Callable[[np.ndarray], None] = _no_frame
    stopped: Callable[[], bool] = _never

    def check(self, share: float) -> None:
        """Tell how far it is.

        Raises:
            Stopped: It was asked to stop.
        """
        if self.stopped():
            raise Stopped
        self.progress(share)


@dataclass(frozen=True)
class Embedding:
    """Where the points lie on a map.

    Attributes:
        positions: (n, dimensions) float32, finite.
        landmarks: How many points were fitted, the rest placed among them; 0 if all were fitted.
        notes: Sentences that belong on the panel: what was clamped, joined, left out.
        facts: Figures of the method itself, such as "explained_variance" or "kl_divergence".
    """

    positions: np.ndarray
    landmarks: int = 0
    notes: tuple[str, ...] = ()
    facts: dict[str, float] | None = None


class Projection(ABC):
    """One method with its settings; `fit` may be called once.

    Args:
        config: Of the class `Config`.
        dimensions: 2 or 3.
        seed: Of everything drawn; the same seed and points give the identical array.
    """

    Config: ClassVar[type[ProjectionConfig]]

    def __init__(self, config: ProjectionConfig, dimensions: int = 2, seed: int = 0) -> None:
        self.config = config
        self.dimensions = dimensions
        self.seed = seed

    @abstractmethod
    def fit(self, points: Points, watch: Watch) -> Embedding:
        """Lay the points out.

        Args:
            points: Checked: finite, at least two different ones. They are not changed.
            watch: Told how far it is.

        Raises:
            CannotProject: This method has no map of these points.
            Stopped: `watch` said so.
        """

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Where new points lie on the map of the points that were fitted.

        Args:
            x: (m, d) in the same space, prepared like the fitted ones.

        Returns:
            (m, dimensions) float32.

        Raises:
            CannotProject: This method cannot place new points.
        """
        raise CannotProject("This method cannot place new points: make the map again with them.")

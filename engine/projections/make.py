"""Make a map: the one way to run a projection, with its outcome checked and its failures in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from engine.errors import UserError
from engine.projections import projection_class, projection_entry
from engine.projections.points import Points
from engine.projections.projection import (
    CannotProject,
    Embedding,
    Projection,
    ProjectionConfig,
    Stopped,
    Watch,
)
from engine.projections.threads import one_thread

SMALL = 2000  # points up to which a second thread costs more than it helps
SPOTS = 5  # different positions below which a map shows nothing
SHARE = 0.1  # of the different points: fewer positions than this have collapsed
SAME_SPOT = 1e-6  # of the map's width: positions closer than this look and count as one
NOBODY = Watch()


def project(
    name: str,
    points: Points,
    config: ProjectionConfig | None = None,
    dimensions: int = 2,
    seed: int = 0,
    watch: Watch = NOBODY,
) -> Embedding:
    """Positions of points on a map.

    Args:
        name: One of `PROJECTIONS`.
        points: What to map; not changed.
        config: Of that projection; its defaults if None.
        dimensions: 2 or 3.
        seed: The same one gives the identical array.
        watch: Told how far it is, and asked whether to stop.

    Raises:
        UserError: There is no such projection, or the settings are not its own.
        CannotProject: It has no map of these points; one sentence that says why.
        Stopped: `watch` said so.
    """
    return fit_projection(name, points, config, dimensions, seed, watch)[1]


def fit_projection(
    name: str,
    points: Points,
    config: ProjectionConfig | None = None,
    dimensions: int = 2,
    seed: int = 0,
    watch: Watch = NOBODY,
) -> tuple[Projection, Embedding]:
    """As `project`, with the fitted projection for `place`."""
    title, cls = projection_entry(name).title, projection_class(name)
    if dimensions not in (2, 3):
        raise UserError(f"A map has 2 or 3 dimensions, got {dimensions}.")
    config = cls.Config() if config is None else config
    if not isinstance(config, cls.Config):
        raise UserError(f"These are no settings of {title}: choose them anew.")
    projection = cls(config, dimensions, seed)
    with _few_threads(len(points)), _in_words(title, len(points)):
        found = projection.fit(points, watch)
    positions = _checked(title, np.asarray(found.positions), points, dimensions)
    return projection, Embedding(positions, found.landmarks, found.notes, found.facts)


def place(name: str, projection: Projection, x: np.ndarray) -> np.ndarray:
    """Where new points lie on the map of a fitted projection.

    Args:
        name: One of `PROJECTIONS`, that of the projection.
        projection: From `fit_projection`.
        x: (m, d) finite, in the space of the fitted points and prepared like them.

    Returns:
        (m, dimensions) float32.

    Raises:
        CannotProject: The method cannot place new points, or not these.
    """
    title, x = projection_entry(name).title, np.asarray(x)
    if x.ndim != 2 or not len(x) or not np.isfinite(x).all():
        raise CannotProject("New points must be rows of finite numbers, like those of the map.")
    with _few_threads(len(x)), _in_words(title, len(x)):
        placed = np.ascontiguousarray(projection.transform(x), np.float32)
    if placed.shape != (len(x), projection.dimensions) or not np.isfinite(placed).all():
        raise CannotProject(
            f"{title} finds no place for these points on its map: make the map again with them."
        )
    return placed


def _few_threads(n: int) -> AbstractContextManager[None]:
    return one_thread() if n <= SMALL else nullcontext()


@contextmanager
def _in_words(title: str, n: int) -> Iterator[None]:
    """Turns what a library raises into one sentence; what already is one, and a stop, pass through."""
    try:
        yield
    except (UserError, Stopped):
        raise
    except MemoryError as error:
        raise CannotProject(
            f"{title} needs more memory for {n:,} points than there is: choose fewer."
        ) from error
    except Exception as error:
        if "onverge" in type(error).__name__ + str(error):
            advice = "did not settle on a map: choose another number of neighbours, or fewer points."
        else:
            advice = "found no map of these points: change its settings, or choose other points."
        raise CannotProject(f"{title} {advice}") from error


def _checked(title: str, positions: np.ndarray, points: Points, dimensions: int) -> np.ndarray:
    """(n, dimensions) float32, a map that shows something.

    Raises:
        CannotProject: It does not.
    """
    if positions.shape != (len(points), dimensions):
        raise CannotProject(f"{title} found no position for every point: choose more or other points.")
    with np.errstate(over="ignore"):
        positions = np.ascontiguousarray(positions, np.float32)
    if not np.isfinite(positions).all():
        raise CannotProject(f"{title} put points at infinity: change its settings, or scale the points.")
    spots, different = distinct_positions(positions), len(points.distinct)
    if spots < different and spots < max(SPOTS, SHARE * different):
        raise CannotProject(
            f"{title} drew {different:,} different points on {spots:,} {'spot' if spots == 1 else 'spots'}, "
            "which shows nothing: change its settings, leave out points far from all others, or choose "
            "another method."
        )
    return positions


def distinct_positions(positions: np.ndarray) -> int:
    """How many positions can be told apart, to a millionth of the map's width."""
    width = float(np.ptp(positions.astype(np.float64), axis=0).max())
    if not width > 0:
        return 1
    cells = np.round((positions - positions.min(0)).astype(np.float64) / (SAME_SPOT * width)).astype(np.int64)
    return len(np.unique(cells, axis=0))

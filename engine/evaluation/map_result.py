"""What a map run left behind, or has so far: points, panels, and how far each can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.vectors import vectors_id
from engine.errors import UserError
from engine.fields import checked
from engine.methods.latent_map_config import MapConfig, MapSettings
from engine.projections import projection_entry
from engine.projections.align import fit, procrustes
from engine.runs import layout
from engine.runs.reading import array_names, read_arrays, read_rows
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore

SHARED = {"index", "split", "label"}  # arrays of a map's points
SEEN, FILM = {"positions", "kept"}, "frames"  # of a panel: what every look at it needs, and what few need


@dataclass(frozen=True)
class PanelProgress:
    """How far one method's map is.

    Attributes:
        method: A name of PROJECTIONS.
        drawn: Whether it can be looked at.
        judged: Whether its figures are known.
        error: Why there will be none.
    """

    method: str
    drawn: bool = False
    judged: bool = False
    error: str | None = None


@dataclass(frozen=True)
class Panel:
    """One method's map.

    Attributes:
        method: A name of PROJECTIONS.
        title: The name a person reads.
        positions: (n, dimensions) float32 as the method laid them out; None where there is no map (yet).
        kept: (n,) how many of a point's true neighbours are its neighbours here too; None until it is judged.
        has_film: Whether the way there was kept too, for `read_film`: it is large, and seldom looked at.
        error: Why there is none.
        row: What the run told of it: seconds, quality, landmarks, notes, facts.
    """

    method: str
    title: str
    positions: np.ndarray | None = None
    kept: np.ndarray | None = None
    has_film: bool = False
    error: str | None = None
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def quality(self) -> dict[str, Any]:
        """Figures by name; empty while there are none."""
        return _quality(self.row)


@dataclass(frozen=True)
class LatentMap:
    """A map as far as it is made.

    Attributes:
        recipe: What was asked for.
        index: (n,) places of the points in the data set.
        split: (n,) codes of `engine.data.splits.SPLITS`.
        label: (n,) class indices, -1 for none.
        cluster: (n,) clusters in the original space, -1 for none.
        neighbours: (n, k) rows of the nearest points in the original space; k is 0 until they are found.
        distances: (n, k) how far they are.
        panels: In the order asked for.
        left_out: (m,) places of images that would be points, had they finite features.
    """

    recipe: Recipe
    index: np.ndarray
    split: np.ndarray
    label: np.ndarray
    cluster: np.ndarray
    neighbours: np.ndarray
    distances: np.ndarray
    panels: tuple[Panel, ...]
    left_out: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def settings(self) -> MapSettings:
        """The map's settings."""
        return checked(MapConfig, self.recipe.config)

    @property
    def lacking(self) -> str:
        """What to say of images that are left out; empty where none is."""
        count = len(self.left_out)
        if not count:
            return ""
        what = "vectors" if vectors_id(self.recipe.backbone or "") else "features"
        return (
            f"{count:,} of {count + len(self.index):,} images left out: their {what} hold values that are no "
            "finite numbers"
        )

    @property
    def done(self) -> tuple[Panel, ...]:
        """Panels that have a map."""
        return tuple(panel for panel in self.panels if panel.positions is not None)

    @property
    def progress(self) -> tuple[PanelProgress, ...]:
        """How far each panel is."""
        return tuple(
            PanelProgress(panel.method, panel.positions is not None, bool(panel.quality), panel.error)
            for panel in self.panels
        )

    def aligned(self) -> dict[str, np.ndarray]:
        """Positions by method, each moved, turned and scaled onto the first panel as well as can be."""
        found: dict[str, np.ndarray] = {}
        for panel in self.done:
            if panel.positions is not None:
                first = next(iter(found.values()), None)
                found[panel.method] = panel.positions if first is None else procrustes(first, panel.positions)
        return found


def read_map(run_id: str, store: RunStore | None = None) -> LatentMap | None:
    """The map of a run; None while there are no points yet.

    Raises:
        UserError: There is no such run, it is no map, or its points are damaged.
    """
    recipe, folder = _map_run(run_id, store or RunStore())
    points = read_arrays(layout.map_path(folder, layout.MAP_POINTS))
    if points is None:
        return None
    if not SHARED <= points.keys():
        raise UserError("The points of this map are damaged: draw it again.")
    none = {
        "index": np.zeros((len(points["index"]), 0), int),
        "distance": np.zeros((len(points["index"]), 0)),
    }
    near = read_arrays(layout.map_path(folder, layout.MAP_NEIGHBOURS)) or none
    clusters = read_arrays(layout.map_path(folder, layout.MAP_CLUSTERS))
    cluster = clusters["label"] if clusters else np.full(len(points["index"]), -1)
    told = _told(folder)
    names = checked(MapConfig, recipe.config).names
    panels = tuple(_panel(folder, name, told.get(name)) for name in names)
    return LatentMap(
        recipe,
        **{name: points[name] for name in SHARED},
        cluster=cluster,
        neighbours=near["index"],
        distances=near["distance"],
        panels=panels,
        left_out=np.ravel(points.get("left_out", np.zeros(0, np.int64))),
    )


def read_film(run_id: str, found: LatentMap, method: str, store: RunStore | None = None) -> np.ndarray:
    """How the points of a panel came to their places.

    Args:
        run_id: The map's run.
        found: The map, as `read_map` gives it.
        method: The panel's; its `has_film` is true.
        store: Where the run is.

    Returns:
        (f, n, dimensions) float32, all laid over the first panel as `LatentMap.aligned` lays this one, with
        which the film ends.

    Raises:
        UserError: There is no such film, or it is damaged.
    """
    panel = next((panel for panel in found.done if panel.method == method), None)
    _, folder = _map_run(run_id, store or RunStore())
    frames = (read_arrays(layout.map_path(folder, method), {FILM}) or {}).get(FILM)
    if panel is None or panel.positions is None or frames is None or not _is_film(frames, panel.positions):
        raise UserError("The film of this panel is not there or damaged: make the map again.")
    first = found.done[0]
    if panel is first or first.positions is None:
        return frames.astype(np.float32, copy=False)
    return fit(first.positions, panel.positions).of(frames)


def _is_film(frames: np.ndarray, positions: np.ndarray) -> bool:
    return (
        frames.ndim == 3
        and frames.shape[1:] == positions.shape
        and len(frames) > 0
        and frames.dtype.kind == "f"
        and bool(np.isfinite(frames).all())
    )


def map_progress(run_id: str, store: RunStore | None = None) -> tuple[PanelProgress, ...] | None:
    """How far each panel of a map is, from what the run tells alone: for looking often, no array is read.

    None while there are no points yet.

    Raises:
        UserError: There is no such run, or it is no map.
    """
    recipe, folder = _map_run(run_id, store or RunStore())
    if not layout.map_path(folder, layout.MAP_POINTS).exists():
        return None
    told = _told(folder)
    return tuple(_progress(folder, name, told.get(name)) for name in checked(MapConfig, recipe.config).names)


def _progress(folder: Path, name: str, row: dict[str, Any] | None) -> PanelProgress:
    if row is None:
        return PanelProgress(name)
    if row.get("error"):
        return PanelProgress(name, error=str(row["error"]))
    return PanelProgress(name, layout.map_path(folder, name).exists(), bool(_quality(row)))


def _quality(row: dict[str, Any]) -> dict[str, Any]:
    found = row.get("quality")
    return found if isinstance(found, dict) else {}


def _map_run(run_id: str, store: RunStore) -> tuple[Recipe, Path]:
    recipe = store.recipe(run_id)
    if recipe.method != "latent_map":
        raise UserError("This run is no map: choose one that the Latent maps page made.")
    return recipe, store.folder(run_id)


def _told(folder: Path) -> dict[str, dict[str, Any]]:
    rows, _, _ = read_rows(folder)
    return {str(row.get("method")): row for row in rows if row["kind"] == "map"}


def _panel(folder: Path, name: str, row: dict[str, Any] | None) -> Panel:
    title = projection_entry(name).title
    if row is None:
        return Panel(name, title)
    if row.get("error"):
        return Panel(name, title, error=str(row["error"]), row=row)
    path = layout.map_path(folder, name)
    arrays = read_arrays(path, SEEN)
    if arrays is None or "positions" not in arrays:
        return Panel(name, title, error="This panel's file is damaged: make the map again.", row=row)
    has_film = FILM in array_names(path)
    return Panel(name, title, arrays["positions"], arrays.get("kept"), has_film, None, row)

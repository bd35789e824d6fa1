"""Carry out a map: points from an encoder, one panel a method, each with how far it can be trusted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.data.dataset import Dataset, open_dataset
from engine.data.progress import Stop, never
from engine.data.progress import Stopped as ReadingStopped
from engine.data.vectors import vectors_id
from engine.errors import UserError
from engine.evaluation.encoding import Tell, encode
from engine.fields import checked
from engine.logs import told
from engine.methods.latent_map_config import MapConfig, MapSettings
from engine.models.encoder import PIXELS
from engine.projections import projection_entry
from engine.projections.grouping import density_clusters, gaussian_noise_like
from engine.projections.make import project
from engine.projections.points import LEAST, Points
from engine.projections.projection import CannotProject, Embedding, Watch
from engine.projections.projection import Stopped as ProjectionStopped
from engine.projections.quality import kept_neighbours, map_quality
from engine.runs import layout
from engine.runs.reading import read_rows
from engine.runs.recipe import Recipe
from engine.runs.writer import RunWriter, Stopped

NEIGHBOURS = 24  # kept with the points, for looking at them
WARM_POINTS = 60
FRAMES = 60  # of a method that moves points step by step
FRAME_BYTES = 48 * 2**20
NOTHING = "There are too few images: a map needs at least 5."


def carry_out(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    """Lay out what the recipe's encoder makes of the data set; panels that are there already stay.

    Raises:
        UserError: There is nothing to map, or no method could map it.
        Stopped: It was asked to stop; finished panels are kept.
    """
    try:
        return _Mapping(recipe, writer).run()
    except (ReadingStopped, ProjectionStopped):
        raise Stopped from None


def map_rows(dataset: Dataset, split: str, most: int, seed: int) -> np.ndarray:
    """Which images are mapped: all of a split, or so many drawn from every class alike.

    Args:
        dataset: Whose images.
        split: "train", "val", "test", or "all".
        most: How many at most.
        seed: Of the draw.

    Returns:
        (n,) ascending places in the data set.
    """
    rows = np.arange(len(dataset)) if split == "all" else np.asarray(dataset.indices(split))
    if len(rows) <= most:
        return rows
    random, labels = np.random.default_rng(seed), np.asarray(dataset.labels)[rows]
    order = random.permutation(len(rows))
    turn = np.empty(len(rows))  # an image's turn within its class, as a share: equal shares of every class
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = (np.arange(len(members)) + random.random()) / len(members)
    return np.sort(rows[np.argsort(turn, kind="stable")[:most]])


def usable_rows(features: np.ndarray, encoder: str) -> np.ndarray:
    """(n,) bool: which of (n, d) features are finite throughout; the others have no place on a map.

    Args:
        features: (n, d) of an encoder, or vectors that somebody brought.
        encoder: Its name.

    Raises:
        UserError: Too few are.
    """
    usable = np.isfinite(features).all(1)
    if int(usable.sum()) < LEAST:
        what, advice = "features", "these weights are broken, choose another encoder"
        if vectors_id(encoder):
            what, advice = "vectors", "bring other vectors"
        raise UserError(
            f"The {what} of {int((~usable).sum()):,} of {len(usable):,} images hold values that are no "
            f"finite numbers, and a map needs at least {LEAST} others: {advice}."
        )
    return usable


def points_of(features: np.ndarray, config: MapSettings, seed: int) -> Points:
    """The points that are mapped: the features, or noise of their size.

    Raises:
        UserError: They cannot be mapped.
    """
    points = Points(features, config.metric)
    return Points(gaussian_noise_like(points, seed), config.metric) if config.noise else points


def space_of(recipe: Recipe, index: np.ndarray, tell: Tell | None = None, stop: Stop = never) -> Points:
    """The original space of a map that was drawn, from the cache of features where it is still there.

    Args:
        recipe: The map's.
        index: (n,) places of its points in the data set.
        tell: Told how far it is where features are computed anew, which can take minutes.
        stop: Asked after each batch.

    Raises:
        UserError: The data set or the encoder is gone.
        engine.data.progress.Stopped: It was asked to stop.
    """
    config = checked(MapConfig, recipe.config)
    dataset, name = open_dataset(recipe.dataset), recipe.backbone or PIXELS
    found = encode(name, dataset, recipe.image_size, index, seed=recipe.seed, tell=tell, stop=stop)
    if found is None:
        raise ReadingStopped
    return points_of(found, config, recipe.seed)


class _Mapping:
    """State of one map being made."""

    def __init__(self, recipe: Recipe, writer: RunWriter) -> None:
        self.recipe, self.writer = recipe, writer
        self.started = time.monotonic()
        self.config: MapSettings = checked(MapConfig, recipe.config)
        self.dataset = open_dataset(recipe.dataset)
        if recipe.fingerprint and recipe.fingerprint != self.dataset.fingerprint:
            raise UserError("The data set changed since this map was asked for: make a new map from it.")
        self.encoder = recipe.backbone or PIXELS

    def run(self) -> dict[str, Any]:
        self.writer.metric({"kind": "start", "epoch": 0, "attempt": self.writer.attempt, "time": time.time()})
        rows = map_rows(self.dataset, self.config.split, self.config.points, self.recipe.seed)
        if len(rows) < 5:
            raise UserError(NOTHING)
        features = self._features(rows)
        usable = usable_rows(features, self.encoder)
        left_out = rows[~usable]
        if len(left_out):
            rows, features = rows[usable], features[usable]
        points = points_of(features, self.config, self.recipe.seed)
        del features  # the points have a copy
        self._keep_points(rows, left_out)
        found = {name: self._panel(name, points) for name in self.config.names}
        self._keep_neighbours(points)  # where no panel needed them
        self._keep_clusters(points)
        if all(row.get("error") for row in found.values()):
            raise UserError(f"No method could map these points. {next(iter(found.values()))['error']}"[:300])
        results = {
            "maps": found,
            "encoder": self.encoder,
            "points": len(rows),
            "left_out": len(left_out),
            "of": int(len(self.dataset) if self.config.split == "all" else self._in_split()),
            "width": points.width,
            "random_weights": self.encoder.startswith("random:"),
            "image_size": self.recipe.image_size,
            "seconds": time.monotonic() - self.started,
        }
        self.writer.results(results)
        return results

    def _in_split(self) -> int:
        return len(self.dataset.indices(self.config.split))

    def _features(self, rows: np.ndarray) -> np.ndarray:
        def tell(phase: str, done: int, total: int) -> None:
            self.writer.progress(phase=phase, step=done, steps=total)

        self.writer.progress(phase="reading images", note="")
        size, seed = self.recipe.image_size, self.recipe.seed
        stop = self.writer.stop_requested
        found = encode(self.encoder, self.dataset, size, rows, seed=seed, tell=tell, stop=stop)
        if found is None:
            raise Stopped
        return found

    def _keep_points(self, rows: np.ndarray, left_out: np.ndarray) -> None:
        """Which images all panels show, and which would have been among them."""
        self.labels = np.asarray(self.dataset.labels)[rows]
        self.writer.map_part(
            layout.MAP_POINTS,
            index=rows,
            split=np.asarray(self.dataset.split_codes)[rows],
            label=self.labels,
            left_out=left_out,
        )

    def _keep_neighbours(self, points: Points) -> None:
        """Neighbours in the original space; the first panel is on screen before they are looked for."""
        if points.known_neighbours:
            return
        self.writer.progress(phase="finding neighbours", step=0, steps=0)
        graph = points.graph(max(NEIGHBOURS, self.config.neighbours, *self._wanted()))
        self.writer.map_part(
            layout.MAP_NEIGHBOURS,
            index=graph.index[:, :NEIGHBOURS].astype(np.int32),
            distance=graph.distance[:, :NEIGHBOURS],
        )

    def _wanted(self) -> Iterator[int]:
        """How many neighbours the methods will ask for, so that they are looked for once."""
        for name in self.config.names:
            yield int(getattr(self.config, f"{name}_n_neighbors", 0))
            yield int(3 * getattr(self.config, f"{name}_perplexity", 0))

    def _keep_clusters(self, points: Points) -> None:
        """Clusters in the original space, last: no panel waits for them."""
        self.writer.progress(phase="finding clusters", step=0, steps=0)
        if self.writer.stop_requested():
            raise Stopped
        try:
            found = density_clusters(points, self.recipe.seed)
        except (MemoryError, ValueError, UserError) as error:
            # the maps are all there; a colour less is no failure
            self.writer.log(told(error))
            return
        self.writer.map_part(layout.MAP_CLUSTERS, label=found.labels.astype(np.int32))

    def _panel(self, name: str, points: Points) -> dict[str, Any]:
        """One method's map, judged and written; the row that tells of it."""
        known = self._known(name)
        if known is not None:
            self.writer.metric(known)
            return known
        title = projection_entry(name).title
        self.writer.progress(phase=f"mapping by {title}", step=0, steps=100, note="")
        if self.writer.stop_requested():
            raise Stopped
        if name != "pca":
            self._keep_neighbours(points)
            self.writer.progress(phase=f"mapping by {title}", step=0, steps=100)
        _warm(name, self.config.dimensions)
        begun, frames = time.monotonic(), _Frames(len(points) * self.config.dimensions)
        watch = Watch(
            progress=lambda share: self.writer.progress(step=round(100 * share), steps=100),
            frame=frames.add,
            stopped=self.writer.stop_requested,
        )
        row: dict[str, Any] = {"kind": "map", "method": name, "error": None}
        try:
            seed = self.recipe.seed + self.config.redraw
            made = project(name, points, self.config.of(name), self.config.dimensions, seed, watch)
        except UserError as error:  # of these points, or of its settings: the other methods go on
            row |= {"error": str(error), "seconds": time.monotonic() - begun}
        else:
            row |= {"seconds": time.monotonic() - begun, "landmarks": made.landmarks}
            row |= {"notes": list(made.notes), "facts": made.facts or {}}
            self.writer.map_part(name, positions=made.positions, **frames.arrays(made.positions))
            self.writer.metric(row)  # it can be looked at while it is being judged
            row |= {"quality": self._judged(name, points, made, frames)}
        self.writer.metric(row)
        return row

    def _judged(self, name: str, points: Points, made: Embedding, frames: _Frames) -> dict[str, Any]:
        """How far a panel can be trusted, of the whole and of every point."""
        self._keep_neighbours(points)
        self.writer.progress(phase=f"judging {projection_entry(name).title}", step=0, steps=0)
        k, seed = self.config.neighbours, self.recipe.seed
        quality = map_quality(points, made.positions, self.labels, k, seed)
        kept = kept_neighbours(points, made.positions, k, seed).astype(np.uint8)
        self.writer.map_part(name, positions=made.positions, kept=kept, **frames.arrays(made.positions))
        return quality.as_dict()

    def _known(self, name: str) -> dict[str, Any] | None:
        """What an earlier attempt at this run told of a panel it finished."""
        if not layout.map_path(self.writer.folder, name).exists():
            return None
        rows, _, _ = read_rows(self.writer.folder)
        mine = [row for row in rows if row["kind"] == "map" and row.get("method") == name]
        return mine[-1] if mine and (mine[-1].get("quality") or mine[-1].get("error")) else None


def _warm(name: str, dimensions: int) -> None:
    """Let a method load its libraries and compile on a few points, so that its time is that of the map."""
    few = Points(np.random.default_rng(0).standard_normal((WARM_POINTS, 8)))
    with contextlib.suppress(CannotProject):
        project(name, few, dimensions=dimensions)


class _Frames:
    """Positions on the way, thinned out so that they stay few."""

    def __init__(self, numbers: int) -> None:
        self.most = max(8, min(FRAMES, FRAME_BYTES // (4 * numbers)))
        self.every, self.seen = 1, 0
        self.kept: list[np.ndarray] = []

    def add(self, positions: np.ndarray) -> None:
        if self.seen % self.every == 0:
            self.kept.append(np.array(positions, np.float32))
        self.seen += 1
        if len(self.kept) > self.most:
            self.kept, self.every = self.kept[::2], 2 * self.every

    def arrays(self, last: np.ndarray) -> dict[str, np.ndarray]:
        """The frames, (f, n, dimensions), the map itself as the last; nothing where there are none."""
        if not self.kept:
            return {}
        ends = np.array_equal(self.kept[-1], last)
        return {"frames": np.stack(self.kept if ends else [*self.kept, last])}

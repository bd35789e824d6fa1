"""The same images in several spaces: maps of different encoders, cut down to the images they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import UserError
from engine.evaluation.map_result import LatentMap
from engine.projections.align import in_turn, procrustes
from engine.projections.points import LEAST


@dataclass(frozen=True)
class Spaces:
    """Maps of the same images by the same method.

    Attributes:
        index: (n,) places in the data set of the images that all maps share.
        label: (n,) class indices, -1 for none.
        positions: (n, dimensions) by map, laid onto each other as well as can be.
    """

    index: np.ndarray
    label: np.ndarray
    positions: dict[str, np.ndarray]


def shared_spaces(maps: Mapping[str, LatentMap], method: str, film: bool = False) -> Spaces:
    """Lay maps side by side, each onto the first, or one after another.

    Args:
        maps: Finished maps of one data set, by any name; the first stays as it is.
        method: The panel to take from each.
        film: Lay each onto the one before and give all one size, so that points can move from map to map.

    Raises:
        UserError: A map lacks the method, has other dimensions, or they share too few images.
    """
    found = {name: _positions(one, method) for name, one in maps.items()}
    if not found:
        raise UserError("Choose at least one map.")
    if len({positions.shape[1] for positions in found.values()}) > 1:
        raise UserError("Some of these maps are flat and some are not: choose maps of the same dimensions.")
    index: np.ndarray | None = None
    for one in maps.values():
        index = one.index if index is None else np.intersect1d(index, one.index)
    assert index is not None
    if len(index) < LEAST:
        raise UserError(
            f"These maps share {len(index)} images: draw them with the same seed, split and points, so that "
            "they show the same ones."
        )
    rows = {name: np.searchsorted(one.index, index) for name, one in maps.items()}
    mine = [positions[rows[name]] for name, positions in found.items()]
    placed = in_turn(mine) if film else [mine[0], *(procrustes(mine[0], other) for other in mine[1:])]
    first_map = next(iter(maps))
    label = maps[first_map].label[rows[first_map]]
    return Spaces(index, label, dict(zip(found, placed, strict=True)))


def _positions(one: LatentMap, method: str) -> np.ndarray:
    panel = next((panel for panel in one.done if panel.method == method), None)
    if panel is None or panel.positions is None:
        raise UserError(f"One of these maps has no panel by {method[:40]}: choose another method.")
    return panel.positions

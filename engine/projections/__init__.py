"""One file per way of drawing a map, and the registry that finds them by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.fields import checked, load

if TYPE_CHECKING:
    from engine.projections.projection import Projection, ProjectionConfig


@dataclass(frozen=True)
class ProjectionEntry:
    """Where a projection lives, and the words that belong beside its map; reading imports none of them.

    Attributes:
        title: The name a person reads.
        line: One sentence: how it lays the points out.
        seen: One sentence: what can be seen on its map.
        beware: One sentence: what must not be concluded from it.
        place: `module:class` of the projection.
        transforms: Whether new points can be placed on an old map.
        tutorial_seconds: What the tutorial measured, where it did.
    """

    title: str
    line: str
    seen: str
    beware: str
    place: str
    transforms: bool = False
    tutorial_seconds: float | None = None


PROJECTIONS: dict[str, ProjectionEntry] = {
    "pca": ProjectionEntry(
        title="PCA",
        line="The flat view along which the points vary most: a turn of the space, and a shadow.",
        seen="Large distances are real, as far as two axes can hold them.",
        beware="Points on one spot may lie far apart along the axes that were left out.",
        place="engine.projections.pca:PCA",
        transforms=True,
        tutorial_seconds=0.001,
    ),
}


def projection_entry(name: str) -> ProjectionEntry:
    """The registry's line for `name`.

    Raises:
        UserError: There is no such projection; the message lists those there are.
    """
    if name not in PROJECTIONS:
        raise UserError(f"There is no projection '{str(name)[:40]}'; choose among: {', '.join(PROJECTIONS)}.")
    return PROJECTIONS[name]


def projection_class(name: str) -> type[Projection]:
    """The projection itself; its heavy libraries load when it fits."""
    return load(projection_entry(name).place)


def parse_projection(name: str, values: Mapping[str, Any]) -> ProjectionConfig:
    """The one check of a projection's settings.

    Raises:
        UserError: Names the field, its value and what would be accepted.
    """
    return checked(projection_class(name).Config, values)

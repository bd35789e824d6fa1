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
        strip: The setting that decides the picture, and values that show how.
        chance: One sentence: what the seed decides, even of points that are all fitted; empty if nothing.
        film: What is seen while the points move, of a method that moves them step by step; else empty.
    """

    title: str
    line: str
    seen: str
    beware: str
    place: str
    transforms: bool = False
    tutorial_seconds: float | None = None
    strip: tuple[str, tuple[float, ...]] | None = None
    chance: str = ""
    film: str = ""


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
    "kernel_pca": ProjectionEntry(
        title="Kernel PCA",
        line="PCA of what a kernel makes of the points: near ones are alike, all far ones equally unlike.",
        seen="Groups and bends that no flat view shows, if the kernel is as wide as they are.",
        beware="The kernel's width decides the picture: distances between groups tell little beyond it.",
        place="engine.projections.kernel_pca:KernelPCA",
        chance="Above 500 points the seed decides which of them set the usual width of the kernel.",
        transforms=True,
        tutorial_seconds=0.013,
    ),
    "lle": ProjectionEntry(
        title="LLE",
        line="The flattest layout in which the same weights still rebuild every point from its neighbours.",
        seen="The order of points along a smooth sheet that is sampled evenly.",
        beware="Distances and density mean nothing, and groups that lie apart shrink to spots and spikes.",
        place="engine.projections.lle:LLE",
        strip=("n_neighbors", (5, 10, 20, 50)),
        transforms=True,
        tutorial_seconds=0.077,
    ),
    "isomap": ProjectionEntry(
        title="Isomap",
        line="Distances along the neighbour graph, laid out as flat as they go: it unrolls a bent sheet.",
        seen="Far apart on the map is far to go from point to point, not straight through the gaps.",
        beware="One link across a gap is a short cut that bends the whole map: try fewer neighbours too.",
        place="engine.projections.isomap:Isomap",
        strip=("n_neighbors", (5, 10, 20, 50)),
        transforms=True,
        tutorial_seconds=0.12,
    ),
    "tsne": ProjectionEntry(
        title="t-SNE",
        line="Near points stay near: each listens to about as many neighbours as the perplexity says.",
        seen="Which points are alike, and which groups they form.",
        beware="How far apart or how large groups are means little, and few points form groups by chance.",
        place="engine.projections.tsne:TSNE",
        chance="The seed shakes the points a little before they move; a random start is all its doing.",
        strip=("perplexity", (5, 15, 30, 60, 100)),
        film="Groups form early and drift apart while the loss falls; where a group ends up says little, and "
        "its size says nothing.",
        transforms=True,
        tutorial_seconds=2.7,
    ),
    "umap": ProjectionEntry(
        title="UMAP",
        line="A graph of nearest neighbours, drawn so that linked points attract and all others push apart.",
        seen="Groups and the bridges between them, more compact than t-SNE draws them.",
        beware="Distances between groups, and their density, owe more to the settings than to the points.",
        place="engine.projections.umap:UMAP",
        chance="The seed decides which points push each other apart, and shakes them before they move.",
        strip=("n_neighbors", (5, 15, 30, 60, 100)),
        film="Linked points pull each other in and push the rest away; which groups end up side by side is "
        "mostly settled by the map it begins with.",
        transforms=True,
    ),
    "mds": ProjectionEntry(
        title="MDS",
        line="The map whose distances differ least from those between the points.",
        seen="Large distances, a little truer than on PCA's view of the same points.",
        beware="Small distances are the least certain: points that touch need not be neighbours.",
        place="engine.projections.mds:MDS",
        film="It begins at the principal axes, and each step brings the distances nearer to the true ones; "
        "a point that moves far was badly placed on PCA's view.",
        transforms=True,
    ),
    "laplacian_eigenmaps": ProjectionEntry(
        title="Laplacian eigenmaps",
        line="The slowest waves on the neighbour graph as axes, so that linked points lie close together.",
        seen="Which points hang together, and the thin bridges between groups.",
        beware="Groups are drawn tighter and further apart than they are; distances mean little.",
        place="engine.projections.laplacian_eigenmaps:LaplacianEigenmaps",
        strip=("n_neighbors", (5, 10, 20, 50)),
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

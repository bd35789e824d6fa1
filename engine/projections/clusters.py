"""Is this cluster real: does a selection stand apart in its own space, and do other maps show it too.

A group is told from a cut through a crowd as local graph clustering does, by the links that leave it against
those across its own middle (Z. A. Zhu, S. Lattanzi & V. Mirrokni 2013, A Local Algorithm for Finding
Well-Connected Clusters, https://arxiv.org/abs/1304.8132); the silhouette is P. J. Rousseeuw's of 1987,
Silhouettes, J. Comput. Appl. Math. 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from engine.errors import UserError
from engine.projections.align import checked_map
from engine.projections.points import Points
from engine.projections.projection import Watch
from engine.projections.ranks import CELLS, drawn_neighbours, nearest_rows, slices

K = 10
LEAST_MEMBERS = 5  # fewer show no group, and fewer others no rest
MOST_ASKED = 2000  # members, and points that a silhouette is taken among
CLOSED = 0.3  # a border crossed this little, beside a cut through the middle, is a real one
OPEN = 0.7  # one crossed this much is no border
LEAST_CUT = 0.05  # even a cut between two groups counts as crossed so much
POWER_STEPS = 20
MEMBERS = 250  # that are asked between two looks at whether to stop
ON_MAPS, IN_SPACE = 0.3, 0.8  # shares of the work that are done after the maps, and after the original space
NOBODY = Watch()
TOGETHER = 0.6  # of the way from chance to all: a map keeps a selection together

Verdict = Literal["real", "unclear", "only on this map"]


@dataclass(frozen=True)
class ClusterReport:
    """What speaks for and against a selection being a group of its own.

    Attributes:
        members: Points in the selection.
        asked: Different members that were asked, a sample where there are many.
        k: Neighbours of a member.
        silhouette: Of the selection against the rest in the points' own space, -1 to 1.
        silhouette_on_map: The same on the map.
        company: Share of a member's true neighbours that are members.
        company_on_map: Share of its neighbours on the map.
        company_elsewhere: The same on each other map.
        chance: What a random selection of this size would get.
        border: Share of true neighbours outside, over the share across a cut through the selection's middle:
            0 for an island, about 1 for a piece of a crowd.
        kept_on: Other maps that keep the selection together.
        verdict: In one word or two.
        sentence: In one sentence.
    """

    members: int
    asked: int
    k: int
    silhouette: float
    silhouette_on_map: float
    company: float
    company_on_map: float
    company_elsewhere: tuple[float, ...]
    chance: float
    border: float
    kept_on: int
    verdict: Verdict
    sentence: str

    def as_dict(self) -> dict[str, object]:
        """Numbers, lists and words for JSON."""
        return {**asdict(self), "company_elsewhere": list(self.company_elsewhere)}


@dataclass(frozen=True)
class Kept:
    """Which of several maps keep a selection together.

    Attributes:
        company: Share of a member's neighbours that are members, on each map.
        chance: What a random selection of this size would get.
        together: Whether each map keeps it: its share is `TOGETHER` of the way from chance to all.
    """

    company: tuple[float, ...]
    chance: float
    together: tuple[bool, ...]


def kept_together(
    points: Points,
    selection: np.ndarray,
    maps: Sequence[np.ndarray],
    k: int = K,
    seed: int = 0,
    watch: Watch = NOBODY,
) -> Kept:
    """Ask maps whether a selection lies together on them; exact copies count once.

    Args:
        points: n of them, in their own space.
        selection: (s,) different rows, or (n,) bool.
        maps: (n, 2 or 3) each: the same points by other methods or seeds.
        k: Neighbours of a member; clamped to the other members.
        seed: Of the members that are asked, where there are many.
        watch: Told how far it is, and asked whether to stop.

    Raises:
        UserError: Too few different points inside or outside, or a map is not of these points.
        engine.projections.projection.Stopped: `watch` said so.
    """
    watch.check(0)
    n, rows = len(points), points.distinct
    drawn = [checked_map(positions, n)[rows] for positions in maps]
    inside = _enough(selected(selection, n)[rows], "different points")
    shares = []
    for asked, positions in enumerate(drawn):
        watch.check(asked / len(drawn))
        shares.append(company(positions, inside, k, seed))
    chance = (int(inside.sum()) - 1) / (len(rows) - 1)
    return Kept(tuple(shares), chance, tuple((share - chance) / (1 - chance) >= TOGETHER for share in shares))


def is_it_real(
    points: Points,
    positions: np.ndarray,
    selection: np.ndarray,
    others: Sequence[np.ndarray] = (),
    k: int = K,
    seed: int = 0,
    watch: Watch = NOBODY,
) -> ClusterReport:
    """Judge a selection that looks like a cluster on a map.

    Exact copies count once: among copies of itself every point has company, which would say nothing.

    Args:
        points: n of them, in their own space.
        positions: (n, 2 or 3) the map it was selected on.
        selection: (s,) different rows, or (n,) bool.
        others: Maps of the same points by other methods or seeds.
        k: Neighbours of a member; clamped to the other members.
        seed: Of the members that are asked, where there are many.
        watch: Told how far it is, and asked whether to stop.

    Raises:
        UserError: Too few different points inside or outside, or a map is not of these points.
        engine.projections.projection.Stopped: `watch` said so.
    """
    maps = Watch(lambda share: watch.progress(ON_MAPS * share), stopped=watch.stopped)
    kept = kept_together(points, selection, (positions, *others), k, seed, maps)
    inside, rows = selected(selection, len(points)), points.distinct
    count, x, inside, here = int(inside.sum()), points.x[rows], inside[rows], np.asarray(positions)[rows]
    members = int(inside.sum())
    k = max(1, min(k, members - 1))
    true = _true_company(x, inside, k, seed, watch)
    crossed = _crossed(true, _across_the_middle(x[inside], k, seed))
    watch.check(IN_SPACE)
    on_map, *elsewhere = kept.company
    shown, also = kept.together[0], sum(kept.together[1:])
    verdict = judge(crossed, shown, also, len(others))
    sentence = _in_words(verdict, true, crossed, shown, also, len(others))
    return ClusterReport(
        count, min(members, MOST_ASKED), k, silhouette(x, inside, seed), silhouette(here, inside, seed), true,
        on_map, tuple(elsewhere), kept.chance, crossed, also, verdict, sentence,
    )  # fmt: skip


def selected(selection: np.ndarray, n: int) -> np.ndarray:
    """(n,) bool, of rows or of bools.

    Raises:
        UserError: Rows that there are not, or too few points inside or outside.
    """
    selection = np.asarray(selection)
    if selection.dtype == bool and selection.shape == (n,):
        inside = selection
    elif selection.ndim == 1 and (not selection.size or np.issubdtype(selection.dtype, np.integer)):
        if selection.size and not (0 <= selection.min() and selection.max() < n):
            raise UserError(f"The selection names points outside the {n:,} of this map: select again.")
        inside = np.zeros(n, bool)
        inside[selection.astype(np.int64)] = True
    else:
        raise UserError("The selection is no list of this map's points: select again.")
    return _enough(inside, "points")


def _enough(inside: np.ndarray, what: str) -> np.ndarray:
    count = int(inside.sum())
    if count < LEAST_MEMBERS or len(inside) - count < LEAST_MEMBERS:
        raise UserError(
            f"Select at least {LEAST_MEMBERS} {what} and leave as many out; here are {count:,} of "
            f"{len(inside):,}."
        )
    return inside


def company(positions: np.ndarray, selection: np.ndarray, k: int = K, seed: int = 0) -> float:
    """Share of a member's k nearest points on a map that are members, on average over the members.

    A random selection would get (s - 1) / (n - 1).

    Args:
        positions: (n, 2 or 3).
        selection: (s,) rows, or (n,) bool.
        k: Clamped to the other members, so that 1 can be reached.
        seed: Of the order of points on the same spot, and of the members that are asked where there are many.
    """
    inside = selected(selection, len(positions))
    members = np.flatnonzero(inside)
    near = drawn_neighbours(positions, max(1, min(k, len(members) - 1)), seed)
    return float(inside[near[_some(members, MOST_ASKED, seed)]].mean())


def _some(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def border(x: np.ndarray, inside: np.ndarray, k: int = K, seed: int = 0) -> float:
    """Links that leave a group, as a multiple of those across a cut through its middle.

    0 for an island; about 1 for a piece of a crowd, however it was cut out, and more for a thin or scattered
    one. Both are shares of links to nearest neighbours, so that scale, density and dimension fall out.

    Args:
        x: (n, d) different points.
        inside: (n,) bool, at least two of them inside.
        k: Neighbours; clamped to the other members.
        seed: Of the members that are asked, where there are many.
    """
    k = max(1, min(k, int(inside.sum()) - 1))
    return _crossed(_true_company(x, inside, k, seed), _across_the_middle(x[inside], k, seed))


def _crossed(true: float, across: float) -> float:
    """The border, of the share of neighbours inside and of those across a cut through the middle."""
    return (1 - true) / max(across, LEAST_CUT)


def _true_company(x: np.ndarray, inside: np.ndarray, k: int, seed: int, watch: Watch = NOBODY) -> float:
    """Share of the members' neighbours in the original space that are members, a part of them at a time."""
    members, found = _some(np.flatnonzero(inside), MOST_ASKED, seed), []
    for part in slices(len(members), MEMBERS):
        watch.check(ON_MAPS + (IN_SPACE - ON_MAPS) * part.start / len(members))
        found.append(inside[nearest_rows(x, members[part], k)].sum())
    return float(sum(found) / (k * len(members)))


def _across_the_middle(x: np.ndarray, k: int, seed: int) -> float:
    """Share of neighbours on the other side where members are cut in halves across their longest axis."""
    asked = _some(np.arange(len(x)), MOST_ASKED, seed)
    centred = x[asked] - x[asked].mean(0, dtype=np.float64)
    axis = np.random.default_rng(seed).standard_normal(x.shape[1])
    for _ in range(POWER_STEPS):  # any long axis will do
        axis = centred.T @ (centred @ axis)
        axis /= np.linalg.norm(axis) or 1
    along = np.concatenate([x[part] @ axis for part in slices(len(x), max(1, CELLS // x.shape[1]))])
    upper = along > np.median(along)
    near = nearest_rows(x, asked, min(k, len(x) - 1))
    return float((upper[near] != upper[asked][:, None]).mean())


def silhouette(z: np.ndarray, selection: np.ndarray, seed: int = 0) -> float:
    """Mean silhouette of a selection's members, the rest being the other cluster.

    (b - a) / max(a, b), with a the mean distance to the other members and b to the rest. In many dimensions
    all distances resemble each other, and even a group that stands clearly apart gets a small one.

    Args:
        z: (n, d) points in their own space or on a map.
        selection: (s,) rows, or (n,) bool.
        seed: Of the sample taken on each side where there are many.
    """
    inside = selected(selection, len(z))
    members = _some(np.flatnonzero(inside), MOST_ASKED // 2, seed)
    rest = _some(np.flatnonzero(~inside), MOST_ASKED // 2, seed)
    within = _mean_distances(z, members, members) * len(members) / (len(members) - 1)  # not to itself
    apart = _mean_distances(z, members, rest)
    longer = np.maximum(within, apart)
    return float(np.divide(apart - within, longer, out=np.zeros(len(members)), where=longer > 0).mean())


def _mean_distances(z: np.ndarray, rows: np.ndarray, to: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    found = np.empty(len(rows))
    goal = z[to].astype(np.float64)
    for part in slices(len(rows), max(1, CELLS // max(len(to), z.shape[1]))):
        found[part] = cdist(z[rows[part]].astype(np.float64), goal).mean(1)
    return found


def judge(border: float, on_map: bool, kept_on: int, maps: int) -> Verdict:
    """The verdict on a selection.

    Real if its border is closed in the points' own space and any map shows it, for a flat map may hide what
    is there; only on this map if this one alone, or with few others, keeps together what has no border; else
    unclear.

    Args:
        border: As in `ClusterReport`.
        on_map: Whether this map keeps it together.
        kept_on: How many other maps do.
        maps: How many there are.
    """
    if border <= CLOSED and (on_map or kept_on):
        return "real"
    if border >= OPEN and on_map and kept_on <= maps / 2:
        return "only on this map"
    return "unclear"


def _in_words(verdict: Verdict, true: float, border: float, on_map: bool, kept_on: int, maps: int) -> str:
    share = f"{100 * true:.0f} % of its members' true neighbours are members"
    cut = "no more than a cut through a crowd leaves"
    shown = (
        ""
        if not maps
        else f"; {kept_on or 'none'} of {maps} other maps keep{'s' if kept_on < 2 else ''} it together"
    )
    if maps == 1:
        shown = (
            "; the other map keeps it together too"
            if kept_on
            else "; the other map does not keep it together"
        )
    if verdict == "real":
        return f"Real: {share}{shown}."
    if verdict == "only on this map":
        return f"Only on this map: {share}, {cut}{shown}."
    if border <= CLOSED:
        return f"Unclear: {share}, but no map keeps it together."
    if border >= OPEN:
        return f"Unclear: {share}, {cut}{shown if on_map else ', nor does this map keep it together'}."
    return f"Unclear: {share}, so its border is neither open nor closed{shown}."

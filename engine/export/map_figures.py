"""What every picture of a map shows, whatever it is drawn with: panels, figures, groups with their looks."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from engine.data.dataset import Dataset, open_dataset
from engine.data.splits import SPLITS
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, Panel
from engine.projections import projection_entry

# Ten colours that stay apart under colour-vision deficiency, the ones of the app's own map: M. A. Petroff,
# 2021, "Accessible Color Sequences for Data Visualization", https://arxiv.org/abs/2107.02270
COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
NOBODY = "#c3c5cf"  # of a point in no group
NO_GROUP = "no {}"
# Corners within the unit circle, one shape more each time the colours begin anew; none is a circle
SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    (
        *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
        *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    ),
)
FIGURES = {
    "trustworthiness": ("trust", "Are neighbours on the map true ones? 1 is best, about 0.5 is chance."),
    "continuity": ("continuity", "Are true neighbours neighbours here? 1 is best, about 0.5 is chance."),
    "hit": ("hit", "Share of the nearest points on the map that are of the same class."),
    "shepard": ("Shepard", "Rank correlation of distances here with the true ones: 1 keeps their order."),
}
LIBRARIES = ("numpy", "scikit-learn", "openTSNE", "umap-learn")
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


@dataclass(frozen=True)
class Group:
    """Points of one look.

    Attributes:
        name: Plain text on one line.
        count: Points in it.
        colour: "#rrggbb".
        shape: A place in SHAPES.
    """

    name: str
    count: int
    colour: str
    shape: int


@dataclass(frozen=True)
class Grouping:
    """One way of colouring the points.

    Attributes:
        name: "class", "cluster" or "split".
        groups: Those that have points, in the order of their codes; points in none come last.
        of: (n,) each point's place in `groups`.
    """

    name: str
    groups: tuple[Group, ...]
    of: np.ndarray


def plain(text: object, limit: int = 80) -> str:
    """Text from outside on one line of at most `limit` characters, without what no file format can hold."""
    kept = "".join(
        " " if c in BIDI or c in "\ufffe\uffff" or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c
        for c in str(text)[: 8 * limit]
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


def data_of(found: LatentMap) -> Dataset | None:
    """The data set that was mapped; None if it is gone, or another by now."""
    try:
        dataset = open_dataset(found.recipe.dataset)
    except UserError:
        return None
    known = found.recipe.fingerprint
    return dataset if not known or known == dataset.fingerprint else None


def groupings(found: LatentMap, dataset: Dataset | None) -> list[Grouping]:
    """Ways of colouring the points, the most telling first; never empty."""
    classes = list(dataset.classes) if dataset else []
    top = int(found.label.max(initial=-1)) + 1
    classes += [f"class {i}" for i in range(len(classes), top)]  # the set is gone: codes are all there is
    clusters = [f"cluster {i + 1}" for i in range(int(found.cluster.max(initial=-1)) + 1)]
    ways = [("class", found.label, classes), ("cluster", found.cluster, clusters)]
    return [_grouping(*way) for way in ways if way[2]] + [_grouping("split", found.split, SPLITS)]


def _grouping(name: str, codes: np.ndarray, names: Sequence[str]) -> Grouping:
    codes = np.where((codes >= 0) & (codes < len(names)), codes, len(names)).astype(np.int64)
    counts = np.bincount(codes, minlength=len(names) + 1)
    there = np.flatnonzero(counts)
    groups = tuple(_look(int(code), names, name, int(counts[code])) for code in there)
    return Grouping(name, groups, np.searchsorted(there, codes))


def _look(code: int, names: Sequence[str], what: str, count: int) -> Group:
    if code == len(names):
        return Group(NO_GROUP.format(what), count, NOBODY, 0)
    shape = code // len(COLOURS) % len(SHAPES)
    return Group(plain(names[code]), count, COLOURS[code % len(COLOURS)], shape)


def told_panels(found: LatentMap) -> list[Panel]:
    """Panels that have a map, or a reason why they have none."""
    return [panel for panel in found.panels if panel.positions is not None or panel.error]


def figures(panel: Panel) -> list[tuple[str, str, str]]:
    """(name, value, what it means) of all that is known of a panel, as on the app's own map."""
    quality, told = panel.quality, []
    for key, (name, words) in FIGURES.items():
        value = quality.get(key)
        if isinstance(value, (int, float)):
            width = quality.get(f"{key}_half_width") or 0
            about = f" ± {width:.2f}" if width >= 0.005 else ""
            told.append((name, f"{value:.2f}{about}", f"{words} By {quality.get('k')} neighbours."))
    if panel.row.get("landmarks"):
        told.append(
            ("landmarks", f"{panel.row['landmarks']:,}", "Fitted; the others were placed among them.")
        )
    return told


def captions(panel: Panel) -> tuple[str, str, list[str]]:
    """What is seen on a panel, what must not be concluded from it, and the method's own notes."""
    entry = projection_entry(panel.method)
    return entry.seen, entry.beware, [plain(note, 300) for note in panel.row.get("notes", [])]


def headline(found: LatentMap, dataset: Dataset | None) -> str:
    """One line that says what was mapped: data set, encoder, how many points of how many."""
    n, split = len(found.index), found.settings.split
    all_of = n
    if dataset:
        all_of = len(dataset) if split == "all" else len(dataset.indices(split))
    name = plain(dataset.name, 60) if dataset else found.recipe.dataset
    images = "images" if split == "all" else f"{split} images"
    noise = "Noise of the size of " if found.settings.noise else ""
    count = len(found.left_out)
    lacking = f" · {count:,} left out: no finite numbers" if count else ""
    return f"{noise}{found.recipe.backbone or 'pixels'} · {n:,} of {all_of:,} {images} of {name}{lacking}"


def versions() -> dict[str, str]:
    """The versions of this program and of the libraries that lay maps out, as installed now."""
    found = {}
    for name in ("representation-lab", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from its folder, or left out
            continue
    return found


def mixed_order(n: int) -> np.ndarray:
    """(n,) rows in an order that hides no group behind another; the same for the same n."""
    return np.random.default_rng(n).permutation(n)

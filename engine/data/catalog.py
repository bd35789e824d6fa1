"""Data sets known by name: those drawn here, and those downloaded when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine import access
from engine.data import progress as reporting
from engine.data.dataset import Dataset, open_dataset
from engine.data.index import INFO
from engine.data.progress import Report, Stop
from engine.errors import UserError
from engine.settings import settings


@dataclass(frozen=True)
class CatalogEntry:
    """One set of the catalog.

    Attributes:
        name: Its name, which is also its id once it is built.
        title: For people.
        description: One or two sentences.
        classes: How many.
        images: How many.
        size: Pixels, as a word.
        download_bytes: What the download weighs; None if there is none.
        source: Where it comes from.
        licence: What is known of its terms.
        build: Makes it, given a report and a stop.
    """

    name: str
    title: str
    description: str
    classes: int
    images: int
    size: str
    download_bytes: int | None
    source: str
    licence: str
    build: Callable[[CatalogEntry, Report, Stop], Dataset]

    @property
    def needs_network(self) -> bool:
        return self.download_bytes is not None


def _shapes(size: int, style: str) -> Callable[[CatalogEntry, Report, Stop], Dataset]:
    def build(entry: CatalogEntry, report: Report, stop: Stop) -> Dataset:
        from engine.data.drawn_sets import build_shapes

        return build_shapes(entry.name, entry.title, size, style, report, stop)

    return build


def _digits(entry: CatalogEntry, report: Report, stop: Stop) -> Dataset:
    from engine.data.drawn_sets import build_digits

    return build_digits(entry.name, entry.title, report, stop)


def _ants_bees(entry: CatalogEntry, report: Report, stop: Stop) -> Dataset:
    from engine.data.downloads import build_ants_bees

    return build_ants_bees(entry.name, entry.title, report, stop)


def _torchvision(entry: CatalogEntry, report: Report, stop: Stop) -> Dataset:
    from engine.data.downloads import build_from_torchvision

    return build_from_torchvision(entry.name, entry.title, report, stop)


ENTRIES = (
    CatalogEntry(
        "shapes",
        "Shapes",
        "Ten drawn shapes; colour, place, size, turn, texture, light and noise vary, and are known.",
        10,
        8000,
        "32 × 32",
        None,
        "drawn by this app",
        "free to use",
        _shapes(32, "drawn"),
    ),
    CatalogEntry(
        "shapes-64",
        "Shapes, larger",
        "The drawn shapes at twice the size.",
        10,
        8000,
        "64 × 64",
        None,
        "drawn by this app",
        "free to use",
        _shapes(64, "drawn"),
    ),
    CatalogEntry(
        "shapes-photo",
        "Shapes, photo-like",
        "The same ten shapes lit, shadowed and blurred like photographs: another domain, the same classes.",
        10,
        8000,
        "32 × 32",
        None,
        "drawn by this app",
        "free to use",
        _shapes(32, "photo"),
    ),
    CatalogEntry(
        "digits",
        "Digits",
        "Small handwritten digits, enlarged from 8 to 32 pixels.",
        10,
        1797,
        "32 × 32",
        None,
        "scikit-learn (UCI)",
        "CC BY 4.0",
        _digits,
    ),
    CatalogEntry(
        "ants-bees",
        "Ants and bees",
        "Photographs of two insects; the set of PyTorch's transfer-learning tutorial.",
        2,
        396,
        "around 500 × 375",
        47_286_322,
        "download.pytorch.org",
        "from ImageNet; for teaching and research",
        _ants_bees,
    ),
    CatalogEntry(
        "mnist",
        "MNIST",
        "Handwritten digits, the oldest of the classics.",
        10,
        70_000,
        "28 × 28",
        11_594_722,
        "torchvision's mirror of yann.lecun.com",
        "CC BY-SA 3.0",
        _torchvision,
    ),
    CatalogEntry(
        "fashion-mnist",
        "Fashion-MNIST",
        "Pieces of clothing in grey; MNIST's harder twin.",
        10,
        70_000,
        "28 × 28",
        30_878_645,
        "Zalando Research",
        "MIT",
        _torchvision,
    ),
    CatalogEntry(
        "cifar10",
        "CIFAR-10",
        "Small colour photographs of animals and vehicles.",
        10,
        60_000,
        "32 × 32",
        170_498_071,
        "cs.toronto.edu",
        "for research",
        _torchvision,
    ),
    CatalogEntry(
        "stl10",
        "STL-10",
        "Larger photographs of ten classes, few of them labelled.",
        10,
        13_000,
        "96 × 96",
        2_640_397_119,
        "ai.stanford.edu",
        "from ImageNet; for teaching and research",
        _torchvision,
    ),
    CatalogEntry(
        "flowers102",
        "Flowers-102",
        "Photographs of 102 flowers, some of them hard to tell apart.",
        102,
        8189,
        "around 500 × 667",
        344_862_509,
        "robots.ox.ac.uk",
        "for research",
        _torchvision,
    ),
)

CATALOG: dict[str, CatalogEntry] = {entry.name: entry for entry in ENTRIES}


def find_catalog_set(name: str) -> str | None:
    """The id of a catalog set if it is here already, else None."""
    return name if name in CATALOG and (settings().datasets / name / INFO).exists() else None


def build_catalog_set(name: str, progress: Report | None = None, stop: Stop | None = None) -> Dataset:
    """The catalog set of this name; drawn or downloaded if it is not here yet.

    Args:
        name: A key of CATALOG.
        progress: Told how far it is.
        stop: Asked now and then whether to stop.

    Raises:
        UserError: No such set, no network, or a full disk.
        Stopped: `stop` said so.
    """
    if name not in CATALOG:
        raise UserError(f"There is no set '{name[:40]}' in the catalog; it has {', '.join(CATALOG)}.")
    if find_catalog_set(name):
        return open_dataset(name)
    entry = CATALOG[name]
    with access.acting_as(access.THE_OPERATOR):  # a set of the catalog belongs to everybody
        return entry.build(entry, progress or reporting.silent, stop or reporting.never)

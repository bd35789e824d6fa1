"""A map run as the latent map's pack shows it: panels with their figures and words, and what colours mean."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engine.data.dataset import Dataset
from engine.data.splits import SPLITS
from engine.evaluation.map_result import LatentMap, Panel, PanelProgress
from engine.export.map_figures import FIGURES
from engine.projections import projection_entry
from engine.runs import layout
from engine.runs.store import RunStore
from pages.components import map_pack as pack
from pages.components.sprites import pictures_of

MAX_CLASSES = 300
LONGEST = 90  # characters of a note that stands under a panel


def map_bytes(run: str, found: LatentMap, dataset: Dataset, shown: Sequence[str]) -> bytes:
    """The pack of the panels named in `shown`, at most six."""
    positions = found.aligned()
    working = _working(run)
    panels = [
        _panel(panel, positions.get(panel.method), working, found)
        for panel in found.panels
        if panel.method in shown
    ][: pack.MOST_PANELS]
    names = dataset.names
    captions = [names[int(place)] for place in found.index]
    pictures = pictures_of(dataset, found.index)
    labels = label_field(found, dataset)
    colours = colour_fields(found, dataset, labels)
    return pack.pack(panels, colours, captions, pictures, len(found.index), labels)


def map_version(run: str, panels: Sequence[PanelProgress], shown: Sequence[str]) -> str:
    """Changes with what the panels show; the address of the pack ends in it."""
    ready = all(panel.drawn or panel.error for panel in panels)
    store = RunStore()
    doing = "" if ready else store.progress(run).get("phase")
    clusters = layout.map_path(store.folder(run), layout.MAP_CLUSTERS).exists()  # a colour that comes last
    told = repr((pack.VERSION, run, list(shown), panels, doing, clusters))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _working(run: str) -> str:
    """What the run is doing, or nothing if it does nothing any more."""
    store = RunStore()
    if store.status(run).state != "running":
        return ""
    return str(store.progress(run).get("phase") or "starting")


def _panel(panel: Panel, positions: np.ndarray | None, working: str, found: LatentMap) -> pack.Panel:
    entry = projection_entry(panel.method)
    if positions is None:
        mine = working == f"mapping by {panel.title}"
        state = "failed" if panel.error else "working" if mine else "waiting"
        sentence = panel.error or ("Working on it …" if mine else "Waits for its turn.")
        return pack.Panel(panel.title, None, state, sentence)  # type: ignore[arg-type]
    lines = [entry.seen, entry.beware, *panel.row.get("notes", [])]
    return pack.Panel(panel.title, positions, "done", "", lines, list(figures(panel, found)))


def figures(panel: Panel, found: LatentMap) -> Iterator[tuple[str, str, str]]:
    """(name, value, help) of what is known of a panel."""
    k = found.settings.neighbours
    quality = panel.quality
    for name, (title, words) in FIGURES.items():
        value = quality.get(name)
        if isinstance(value, (int, float)):
            width = quality.get(f"{name}_half_width") or 0
            sampled = f" ± {width:.2f}" if width >= 0.005 else ""
            yield title, f"{value:.2f}{sampled}", f"{words} By {quality.get('k', k)} neighbours."
    seconds = panel.row.get("seconds")
    if isinstance(seconds, (int, float)):
        theirs = projection_entry(panel.method).tutorial_seconds
        scale = f" The tutorial measured {theirs:g} s, on fewer points and another machine." if theirs else ""
        yield "time", f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s", f"To lay it out.{scale}"
    if panel.row.get("landmarks"):
        yield "landmarks", f"{panel.row['landmarks']:,}", "Fitted; the other points were placed among them."


def label_field(found: LatentMap, dataset: Dataset) -> pack.ColourField | None:
    """Each point's class, for reading; None where no image has one."""
    return known_classes("class", found.label, list(dataset.classes)) if dataset.is_labelled else None


def colour_fields(
    found: LatentMap, dataset: Dataset, labels: pack.ColourField | None
) -> list[pack.ColourField]:
    """Everything the points can be coloured by; class first where there are classes, and not too many."""
    fields = [labels] if labels is not None and len(dataset.classes) <= MAX_CLASSES else []
    fields += list(_said(found, list(dataset.classes)))
    fields.append(known_classes("split", found.split, list(SPLITS)))
    top = int(found.cluster.max(initial=-1)) + 1
    if top > 0:
        fields.append(known_classes("cluster", found.cluster, [f"cluster {i + 1}" for i in range(top)]))
    fields += list(_factors(found, dataset))
    for panel in found.done:
        if panel.kept is not None:
            name = f"trust in {panel.title}"
            share = panel.kept.astype(np.float32)
            unit = f"of {panel.quality.get('k', found.settings.neighbours)} neighbours kept"
            fields.append(pack.ColourField(name, "number", share, unit=unit))
    return fields


def known_classes(name: str, codes: np.ndarray, names: list[str]) -> pack.ColourField:
    """A colour field of classes; -1 is none."""
    values = np.where(codes >= 0, codes, pack.NO_CLASS).astype(np.uint16)
    return pack.ColourField(name, "class", values, names)


def _factors(found: LatentMap, dataset: Dataset) -> Iterator[pack.ColourField]:
    for name, values in dataset.factors.items():
        values = np.asarray(values)[found.index]
        title = name.replace("_", " ")
        if values.dtype.kind in "fi" and len(np.unique(values)) > 12:
            yield pack.ColourField(title, "number", values.astype(np.float32))
        elif title != "shape":  # that is the class
            names, codes = np.unique(values.astype(str), return_inverse=True)
            yield known_classes(title, codes, names.tolist())


def _said(found: LatentMap, classes: list[str]) -> Iterator[pack.ColourField]:
    """What the classifier whose encoder this is says of the images, and whether it is right."""
    kind, _, run = (found.recipe.backbone or "").partition(":")
    arrays: dict[str, Any] | None = RunStore().predictions(run) if kind == "run" else None
    if arrays is None or "probabilities" not in arrays or not len(arrays.get("index", ())):
        return
    if RunStore().recipe(run).dataset != found.recipe.dataset:
        return
    answers = np.full(int(max(arrays["index"].max(), found.index.max())) + 1, -1)
    answers[arrays["index"]] = arrays["probabilities"].argmax(1)
    said = answers[found.index]
    yield known_classes("prediction", said, classes)
    right = np.where((said < 0) | (found.label < 0), -1, (said != found.label).astype(int))
    yield known_classes("correct", right, ["right", "wrong"])

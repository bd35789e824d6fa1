"""The data card of a report: what the images are, where they come from, how they are split."""

from __future__ import annotations

import numpy as np

from engine.data.dataset import Dataset
from engine.data.splits import SPLITS
from engine.export.map_thumbnails import spread
from engine.export.report_parts import facts, images, section, table, text
from engine.runs.recipe import Recipe

SHOWN = 24  # images
MOST_ROWS = 60  # classes in the table
TITLES = {"train": "training", "val": "validation", "test": "test"}


def data_sections(recipe: Recipe, dataset: Dataset | None) -> str:
    """Data card and split; one sentence where the data set is not here."""
    if dataset is None:
        words = "The data set is not here any more, or has other content by now"
        return section("Data", f"<p>{words}: it was {text(recipe.dataset)}.</p>")
    return section("Data", _card(dataset), _samples(dataset)) + section("Split", _split(dataset))


def _card(dataset: Dataset) -> str:
    low, high = dataset.sizes.min(axis=0).tolist(), dataset.sizes.max(axis=0).tolist()
    same = low == high
    size = f"{low[0]} × {low[1]} px" if same else f"{low[0]} × {low[1]} to {high[0]} × {high[1]} px"
    skipped = int(dataset.report.get("skipped_count") or 0)
    pairs: list[tuple[str, object]] = [
        ("Name", dataset.name),
        ("Images", f"{len(dataset):,}"),
        ("Classes", f"{len(dataset.classes):,}" if dataset.classes else "none: the images carry no labels"),
        ("Size", size),
        ("Source", dataset.info.get("source", "")),
        ("Left out when it was added", f"{skipped:,} files"),
    ]
    notes = [("Note", note) for note in dataset.report.get("notes", [])]
    known = [("Known factors", ", ".join(dataset.factors))] if dataset.factors else []
    return facts([*pairs, *known, *notes])


def _samples(dataset: Dataset) -> str:
    """Some images, the same share of every class."""
    chosen = spread(np.asarray(dataset.labels), SHOWN)
    chosen = chosen[np.argsort(dataset.labels[chosen], kind="stable")]
    labels = dataset.labels[chosen].tolist()
    captions = [dataset.classes[label] if label >= 0 else "" for label in labels]
    return f"<p>{len(chosen):,} of {len(dataset):,} images:</p>{images(dataset, chosen, captions)}"


def _split(dataset: Dataset) -> str:
    splits = [name for name in SPLITS if len(dataset.indices(name))]
    counts = dataset.counts()
    rows = [
        (name, *(f"{counts.get(split, {}).get(name, 0):,}" for split in splits))
        for name in dataset.classes[:MOST_ROWS]
    ]
    rows.append(("all", *(f"{len(dataset.indices(split)):,}" for split in splits)))
    more = len(dataset.classes) - MOST_ROWS
    rest = f"<p>{MOST_ROWS} of {len(dataset.classes):,} classes are listed.</p>" if more > 0 else ""
    note = f"<p>{text(dataset.split_note, 300)}</p>" if dataset.split_note else ""
    return table(("class", *(TITLES[split] for split in splits)), rows) + rest + note

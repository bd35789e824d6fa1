"""What a finished self-supervised run shows: its figures, and the parts in which it can be looked at."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.errors import UserError
from engine.runs.summary import RunSummary
from pages.components.learned_neighbours import neighbours_part
from pages.components.learned_probes import factors_part, probes_part
from pages.components.network import layer_table
from pages.components.recipe_card import recipe_tab
from pages.components.store import run_store
from pages.components.text import md

SPLIT_TITLES = {"val": "validation", "test": "test", "train": "training"}


def learned_results(summary: RunSummary) -> None:
    """Draw everything that is known about a self-supervised run that has finished."""
    found = run_store().results(summary.id)
    if not found or not found.get("study"):
        return
    _headline(summary, found)
    for note in found.get("notes", []):
        st.caption(f":material/info: {md(note)}")
    _parts(summary, found)


@st.fragment
def _parts(summary: RunSummary, found: dict[str, Any]) -> None:
    parts = {"What it learned": probes_part, "Neighbours": neighbours_part}
    if found["study"].get("factors"):
        parts["What does it know?"] = factors_part
    parts |= {"Network": _network, "Recipe and downloads": recipe_tab}
    key = f"learned.part.{summary.id}"
    part = st.pills(
        "Part", list(parts), default=next(iter(parts)), required=True, key=key, label_visibility="collapsed"
    )
    try:
        parts.get(str(part), probes_part)(summary, found)
    except UserError as error:
        st.warning(md(str(error)), icon=":material/error:")


def _headline(summary: RunSummary, found: dict[str, Any]) -> None:
    rows = {row["space"]: row for row in found["study"]["rows"]}
    split = SPLIT_TITLES.get(found["study"]["split"], "")
    cards = [
        _accuracy(f"{title} of h", rows["feature"][probe], split)
        for probe, title in (("knn", "Nearest neighbours"), ("linear", "Linear probe"))
        if rows["feature"].get(probe)
    ]
    cards += [*_baseline(rows), *_health(summary.id, found)]
    for column, card in zip(st.columns(len(cards)), cards, strict=True):
        column.metric(**card, delta_color="off", delta_arrow="off", border=True, height="stretch")


def _accuracy(title: str, found: dict[str, Any], split: str) -> dict[str, Any]:
    words = f"On {found['n']:,} {split} images that training did not see, with its 95 % interval (Wilson). "
    if "k" in found:
        words += f"The {found['k']} nearest training images vote, weighted by exp(cosine / T), T = "
        words += f"{found['temperature']:g}."
    else:
        words += "A linear layer on frozen features, trained with all training labels."
    return {
        "label": title,
        "value": f"{found['accuracy']:.1%}",
        "delta": f"{found['low']:.1%} – {found['high']:.1%}",
        "delta_description": f"n = {found['n']:,}",
        "help": words,
    }


def _baseline(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The better of what needs no training, by its neighbours; nothing where there are no labels."""
    known = [rows[name] for name in ("pixels", "untrained") if rows.get(name, {}).get("knn")]
    if not known:
        return []
    best = max(known, key=lambda row: float(row["knn"]["accuracy"]))
    return [
        {
            "label": "Without training",
            "value": f"{best['knn']['accuracy']:.1%}",
            "delta": f"neighbours of {best['title'][0].lower()}{best['title'][1:]}",
            "help": "The better of raw pixels and the same network before training: what training without "
            "labels has taught lies above it.",
        }
    ]


def _health(run: str, found: dict[str, Any]) -> list[dict[str, Any]]:
    """How the embeddings of held-out images spread after the last epoch."""
    epochs = run_store().curve(run)["epochs"]
    last = epochs[-1] if epochs else {}
    if last.get("val_z_std") is None:
        return []
    return [
        {
            "label": "Spread of z",
            "value": f"{last['val_z_std']:.2f}",
            "delta": f"effective rank {last.get('val_effective_rank', 0):.0f} of {found['embedding']}",
            "help": "Standard deviation of held-out embeddings z, times √d: 1 is evenly spread, 0 "
            "is collapsed. The effective rank says in how many directions they spread; either alone can be "
            "fooled. Computed by engine.evaluation.health.",
        }
    ]


def _network(summary: RunSummary, found: dict[str, Any]) -> None:
    if found.get("layers"):
        layer_table(found["layers"])

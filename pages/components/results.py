"""What a finished classification found: the numbers with their uncertainty, and where they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from engine.evaluation.luck import best_of
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.mistakes import classes_table, confusion, mistakes
from pages.components.network import layer_table, learns_chart
from pages.components.recipe_card import recipe_tab
from pages.components.store import run_store
from pages.components.text import md

SPLIT_TITLES = {"val": "Validation", "test": "Test", "train": "Training, re-scored"}
MIN_EPOCHS_FOR_LUCK = 3
MAX_N_FOR_LUCK = 20_000


def results(summary: RunSummary) -> None:
    """Draw everything that is known about a run that has finished its evaluation."""
    found = run_store().results(summary.id)
    if not found or not found.get("splits"):
        return
    _headline(found)
    names = ["Overview", "Confusion", "Mistakes", "Classes", "Network", "Recipe and downloads"]
    overview_tab, confusion_tab, mistakes_tab, classes_tab, network_tab, recipe = st.tabs(names)
    with overview_tab:
        _overview(summary, found)
    with confusion_tab:
        confusion(summary.id, found)
    with mistakes_tab:
        mistakes(summary.id)
    with classes_tab:
        classes_table(found)
    with network_tab:
        _network(found)
    with recipe:
        recipe_tab(summary, found)


def suffix(found: dict[str, Any] | None) -> str:
    """What every chart of a run from random weights says in its title."""
    return "from random weights" if found and found.get("random_weights") else ""


def titled(text: str, found: dict[str, Any] | None) -> str:
    return f"{text} ({suffix(found)})" if suffix(found) else text


def _headline(found: dict[str, Any]) -> None:
    splits = found.get("splits", {})
    cards = [(name, splits[name]) for name in ("val", "test", "train") if name in splits]
    columns = st.columns(len(cards) + 1)
    for column, (name, split) in zip(columns, cards, strict=False):
        low, high = split["interval"]
        column.metric(
            f"{SPLIT_TITLES[name]} accuracy",
            f"{split['accuracy']:.1%}",
            f"{low:.1%} – {high:.1%}",
            delta_color="off",
            delta_arrow="off",
            delta_description=f"n = {split['n']:,}",
            border=True,
            height="stretch",
            help=_split_help(name, split),
        )
    if found.get("majority") is not None:
        columns[-1].metric(
            "Always the commonest class",
            f"{found['majority']:.1%}",
            "baseline",
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help="The accuracy of answering the commonest class every time, without looking. Below it, "
            "nothing useful has been learned.",
        )


def _split_help(name: str, split: dict[str, Any]) -> str:
    text = (
        f"{split['correct']:,} of {split['n']:,} images right. The range is Wilson's 95 % interval: with so "
    )
    text += "many images, a network of this true accuracy would mostly be measured inside it. "
    if name == "train":
        text += "The training images, seen once more as validation images are: no augmentation, no dropout."
    return text + " Computed by engine.evaluation.metrics."


def _overview(summary: RunSummary, found: dict[str, Any]) -> None:
    splits = found["splits"]
    st.markdown(_kept_sentence(found))
    for note in found.get("notes", []):
        st.caption(f":material/info: {md(note)}")
    rows = [
        {
            "label": SPLIT_TITLES[name],
            "accuracy": splits[name]["accuracy"],
            "low": splits[name]["interval"][0],
            "high": splits[name]["interval"][1],
            "n": splits[name]["n"],
        }
        for name in ("val", "test", "train")
        if name in splits
    ]
    title = titled("Accuracy with its 95 % interval", found)
    charts.draw(charts.intervals_figure(rows, found.get("majority"), title), f"intervals-{summary.id}", title)
    epochs = run_store().curve(summary.id)["epochs"]
    _noise(summary.id, splits.get("val"), epochs, found)
    _gap(splits, epochs, found)


def _kept_sentence(found: dict[str, Any]) -> str:
    splits = found["splits"]
    n = splits.get(found.get("chosen_on"), {}).get("n", 0)
    text = f"**Epoch {found['kept_epoch']} was kept**: {md(found.get('rule', 'the best on validation'))}. "
    if not found.get("chosen_on"):
        return text
    if "test" in splits:
        return text + (
            f"It was chosen on the {n:,} validation images, so their number flatters a little; the "
            f"{splits['test']['n']:,} test images took no part in it: **report the test accuracy**."
        )
    return text + (
        f"It was chosen on the same {n:,} images that it is reported on, and the largest of several numbers "
        "is partly luck: read it as slightly too high. A data set with a test split gives an unbiased number."
    )


def _noise(
    run: str, split: dict[str, Any] | None, epochs: list[dict[str, Any]], found: dict[str, Any]
) -> None:
    if not split or not split["n"]:
        return
    n, (low, high) = split["n"], split["interval"]
    measured = [row["val_accuracy"] for row in epochs if row.get("val_accuracy") is not None]
    with st.container(border=True):
        st.markdown(f"##### How much of this is noise? One image is {100 / n:.2g} points")
        st.markdown(
            f"With n = {n:,} the true accuracy may lie anywhere from {low:.1%} to {high:.1%}, that is "
            f"±{(high - low) * n / 2:.0f} images. Two runs whose numbers lie closer than that have not been "
            "told apart by this set."
        )
        if len(measured) < MIN_EPOCHS_FOR_LUCK or n > MAX_N_FOR_LUCK:
            return
        typical = float(np.median(measured))
        chances = best_of(n, typical, len(measured))
        seen = chances > 1e-4
        shares = np.arange(n + 1)[seen] / n
        expected = float(chances @ np.arange(n + 1)) / n
        figure = charts.luck_figure(n, max(measured), shares, chances[seen], len(measured))
        figure.update_layout(title_text=titled(figure.layout.title.text, found))
        charts.draw(figure, f"luck-{run}", "Chance of each best accuracy by luck alone")
        st.caption(
            f"The middle one of the {len(measured)} epochs has {typical:.1%}. If every epoch truly had that, "
            f"the best of {len(measured)} independent measurements would show about {expected:.1%}; this "
            f"run's best is {max(measured):.1%}. Epochs are measured on the same images, so the real effect "
            "is smaller than drawn. Computed by engine.evaluation.luck."
        )


def _gap(splits: dict[str, Any], epochs: list[dict[str, Any]], found: dict[str, Any]) -> None:
    kept = next((row for row in epochs if row["epoch"] == found["kept_epoch"]), None)
    if not kept or "train" not in splits or kept.get("train_accuracy") is None or "val" not in splits:
        return
    while_learning, again, val = (
        kept["train_accuracy"],
        splits["train"]["accuracy"],
        splits["val"]["accuracy"],
    )
    with st.container(border=True):
        st.markdown("##### Why training can look worse than validation")
        columns = st.columns(3)
        columns[0].metric("Training, while learning", f"{while_learning:.1%}")
        columns[1].metric(
            "Training, re-scored", f"{again:.1%}", f"{100 * (again - while_learning):+.1f} points"
        )
        columns[2].metric("Validation", f"{val:.1%}", f"{100 * (val - again):+.1f} points", delta_color="off")
        st.caption(
            f"The training curve of epoch {kept['epoch']} counts answers given *during* the epoch: by a "
            "network that was still changing, on augmented images, with dropout on where the mode has it. "
            "Re-scored means the kept network, standing still, on the same images seen as validation images "
            "are. Only the last step, re-scored to validation, tells about new images."
        )


def _network(found: dict[str, Any]) -> None:
    if found.get("learns"):
        learns_chart(found["learns"], found.get("mode", ""), "results", suffix(found))
    if found.get("layers"):
        layer_table(found["layers"])

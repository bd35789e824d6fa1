"""Accuracy by depth: asking for a probe of every block, watching it, and reading what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.models.backbones import backbone_info
from engine.models.encoder import encoder_arch
from engine.runs.summary import RunSummary
from pages.components import charts, store
from pages.components.compose import Composer, start_button
from pages.components.recent import recent_runs
from pages.components.recipe_card import recipe_card
from pages.components.run_view import how_it_ended, run_head
from pages.components.take_home import take_home
from pages.components.text import md, one_line
from pages.components.try_charts import depth_figure
from pages.components.try_source import SPLITS

METHOD = "depth_probe"
POLL_SECONDS = 0.7
READERS = {"linear": "a linear model", "knn": "the vote of the nearest training images"}


def depth_form(dataset: Dataset, composer: Composer, encoder: str, title: str, size: int, seed: int) -> None:
    """What to ask, and Start; the latest probes below."""
    if len(dataset.classes) < 2:
        st.info(
            f"{md(dataset.name)} has {'one class' if dataset.classes else 'no labels'}: there is nothing to "
            "read. Choose another data set in the sidebar.",
            icon=":material/label_off:",
        )
        return
    st.caption(
        "After every block, from the image to the features: how well can the classes be read from what there "
        "is by then? In a trained network that usually grows with depth, in an untrained one hardly."
    )
    values = composer.form.draw()
    recipe = composer.recipe(dataset, values, encoder, size, seed)
    with st.container(border=True, key="start"):
        st.markdown(f"**{md(title)}**, every block, on images of **{md(dataset.name)}**")
        start_button(recipe, composer, f"By depth · {title} · {dataset.name}", "Probe every block")
    recent_runs("try")


def show_depth(run: str, again: Callable[[str], None]) -> None:
    """A probe by depth, while it is made and afterwards.

    Args:
        run: Id of a run of it.
        again: Called with the id when the user wants to run it again with changes.
    """
    summary, status = store.run_store().get(run), store.run_store().status(run)
    run_head(summary, status, again)
    how_it_ended(status)
    rows = rows_of(run)
    if status.state in store.ACTIVE:
        _watch(run, status.state, sum(map(len, rows.values())))
    found = store.run_store().results(run)
    left, right = st.columns([1, 2.7], gap="medium")
    with left:
        try:
            recipe_card(store.run_store().recipe(run))
        except UserError as error:
            st.warning(md(str(error)))
    with right:
        if rows["own"]:
            _draw(summary, rows, found)
    if status.state in store.FINAL:
        take_home(summary)


def rows_of(run: str) -> dict[str, list[dict[str, Any]]]:
    """What the run's last attempt has told so far, of the encoder and of its untrained twin."""
    found: dict[str, list[dict[str, Any]]] = {"own": [], "twin": []}
    for row in store.run_store().rows(run)[0]:
        if row["kind"] == "start":
            found = {"own": [], "twin": []}
        elif row["kind"] == "depth" and row.get("of") in found:
            found[row["of"]].append(row)
    return found


def _watch(run: str, state: str, known: int) -> None:
    """The progress; the page runs again when a block is done."""

    def look() -> None:
        try:
            status, progress = store.run_store().status(run), store.run_store().progress(run)
            told = sum(map(len, rows_of(run).values()))
        except UserError as error:  # deleted meanwhile; no page around a fragment would catch it
            st.error(md(str(error)), icon=":material/error:")
            return
        if status.state != state or told != known:
            st.rerun()
        if status.state == "queued":
            st.progress(0.0, text=f"Waiting in the queue: {store.waiting_words(run, status.queue_place)}")
            return
        steps = progress.get("steps") or 0
        share = min(1.0, (progress.get("step") or 0) / steps) if steps else 0.0
        st.progress(share, text=f"{md(str(progress.get('phase') or 'starting')).capitalize()} …")

    st.fragment(look, run_every=POLL_SECONDS)()


def _draw(summary: RunSummary, rows: dict[str, list[dict[str, Any]]], found: dict[str, Any] | None) -> None:
    recipe = store.run_store().recipe(summary.id)
    try:
        name = backbone_info(encoder_arch(recipe.backbone or "")).title
    except UserError:
        name = "the encoder"
    random = (recipe.backbone or "").startswith("random:")
    titles = {"own": f"{name}, random weights" if random else name, "twin": "the same with random weights"}
    n = rows["own"][0]["n"]
    title = f"Accuracy by block, {n:,} images"  # a phone has room for no more
    if random:
        title += " (random weights)"
    shown = {which: mine for which, mine in rows.items() if mine}
    figure = depth_figure(shown, titles, found["majority"] if found else None, title)
    charts.draw(figure, f"depth-{summary.id}", title)
    if found:
        _words(found)
    with st.expander("The numbers", type="compact"):
        st.dataframe(table(shown, titles), hide_index=True)


def _words(found: dict[str, Any]) -> None:
    best = max(found["depth"], key=lambda row: row["accuracy"])
    st.markdown(f"Best after **{md(best['block'])}**: {best['accuracy']:.1%}.")
    st.caption(
        f"Read by {READERS[found['probe']]} from {found['learned']:,} of {found['learned_of']:,} training "
        f"images; {found['asked']:,} of {found['asked_of']:,} {SPLITS[found['split']]} images judge. Bars "
        f"are 95 % intervals. Maps are averaged to {found['places']} × {found['places']} places, the image "
        "to 16 × 16 pixels; the features are what the encoder gives at its end. engine.evaluation.depth_probe"
    )


def table(rows: dict[str, list[dict[str, Any]]], titles: dict[str, str]) -> pd.DataFrame:
    """The blocks for reading."""
    lines = []
    for which, mine in rows.items():
        for row in mine:
            places = f"{row['height']} × {row['side']}" if row.get("height") else "–"
            lines.append(
                {
                    "encoder": one_line(titles[which], 60),
                    "after": row["block"],
                    "channels": row.get("channels"),
                    "places": places,
                    "numbers read": row["width"],
                    "accuracy": f"{row['accuracy']:.1%} ({row['low']:.1%} – {row['high']:.1%})",
                }
            )
    return pd.DataFrame(lines)

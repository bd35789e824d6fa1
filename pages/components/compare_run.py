"""A comparison on the page: rows as they are measured, the advice, and every way to look at the figures."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.evaluation.comparison_result import SPLIT_WORDS, Comparison, read_comparison
from engine.runs.summary import RunSummary
from pages.components import charts, store
from pages.components.compare_charts import bars_figure, cost_figure, few_figure
from pages.components.compare_published import published_part
from pages.components.compare_recipe import recipe_part
from pages.components.compare_table import comparison_table
from pages.components.run_view import how_it_ended, run_head
from pages.components.take_home import take_home
from pages.components.text import count_text, md

POLL_SECONDS = 0.7
Part = Callable[[RunSummary, Comparison], None]


def show_comparison(run: str, again: Callable[[str], None] | None = None) -> None:
    """Draw a comparison with everything one can do with it.

    Args:
        run: Id of a run that exists.
        again: Called with the id when the user wants to make it again with changes.
    """
    summary, status = store.run_store().get(run), store.run_store().status(run)
    run_head(summary, status, again)
    how_it_ended(status)
    found = read_comparison(run, store.run_store())
    if status.state in store.ACTIVE:
        watch(run, found)
    if found is None:
        return
    _caption(found)
    if status.state not in store.ACTIVE and found.measured:
        _advice(found)
    _problems(found)
    if found.measured:
        _parts(summary, found)
    if status.state in store.FINAL:
        take_home(summary)


def watch(run: str, found: Comparison | None) -> None:
    """The progress of a comparison that is being made; the page runs again when a row is ready.

    Args:
        run: Its id.
        found: The comparison as this page run knows it.
    """

    def state(known: Comparison | None) -> tuple[str, int]:
        ready = 0 if known is None else sum(bool(row.row) for row in known.rows)
        return store.run_store().status(run).state, ready

    seen = state(found)

    def look() -> None:
        if state(read_comparison(run, store.run_store())) != seen:
            st.rerun()
        status = store.run_store().status(run)
        if status.state == "queued":
            st.progress(0.0, text=f"Waiting in the queue: {store.waiting_words(run, status.queue_place)}")
            return
        progress = store.run_store().progress(run)
        steps = progress.get("steps") or 0
        share = min(1.0, (progress.get("step") or 0) / steps) if steps else 0.0
        st.progress(share, text=f"{md(str(progress.get('phase') or 'starting').capitalize())} …")

    st.fragment(look, run_every=POLL_SECONDS)()


def _caption(found: Comparison) -> None:
    setup, split = found.setup, SPLIT_WORDS.get(str(found.setup.get("split")), "")
    st.caption(
        f"Judged by {setup.get('n', 0):,} of {count_text(setup.get('of', 0), f'{split} image')}; the probes "
        f"learn from {setup.get('train_n', 0):,} of {setup.get('train_of', 0):,} training images, drawn with "
        f"seed {found.recipe.seed}. Timed on {md(setup.get('device', 'this machine'))}."
    )
    notes = [str(note) for note in setup.get("notes", [])]
    if setup.get("asked_for") != setup.get("split"):
        notes.append(
            f"There are no {SPLIT_WORDS.get(str(setup.get('asked_for')), '')} images: {split} ones judge."
        )
    for note in notes:
        st.caption(f":material/info: {md(note, 400)}")


def _advice(found: Comparison) -> None:
    """The one sentence that the intervals allow."""
    words = found.advice() if found.settings.few_labels else found.best()
    quiet = words.startswith("No advice")
    with st.container(border=True, key="compare-advice"):
        icon = "balance" if quiet else "lightbulb"
        st.markdown(f"#### :material/{icon}: {md(words, 500)}")
        st.caption(
            "Said only where 95 % intervals do not overlap. Computed by engine.evaluation.advice.",
        )


def _problems(found: Comparison) -> None:
    for row in found.rows:
        if row.error:
            st.warning(f"**{md(row.title)}** was not measured: {md(row.error, 400)}", icon=":material/error:")


def _parts(summary: RunSummary, found: Comparison) -> None:
    parts: dict[str, Part] = {"Accuracy": accuracy_part}
    if any(row.few for row in found.measured):
        parts["Few labels"] = few_part
    parts |= {"Cost": cost_part, "All figures": figures_part, "Published": published_part}
    parts["Recipe and downloads"] = recipe_part
    key = f"compare.part.{summary.id}"
    part = st.pills(
        "Part", list(parts), default=next(iter(parts)), required=True, key=key, label_visibility="collapsed"
    )
    parts.get(str(part), accuracy_part)(summary, found)


def accuracy_part(summary: RunSummary, found: Comparison) -> None:
    """Bars with intervals, and what a reader should know before believing them."""
    title = f"How well classes can be read, {found.n:,} images"
    charts.draw(bars_figure(found, title), f"compare-bars-{summary.id}", title)
    words = (
        "Bars are shares of judging images answered correctly, lines at their ends 95 % intervals (Wilson). "
        "Pale bars learned nothing beforehand. Where intervals overlap, two encoders are not told apart."
    )
    if found.ceiling:
        words += (
            f" The second dotted line is the ceiling: {md(found.ceiling['name'])}, which was trained on "
            f"these labels, judged by {found.ceiling['n']:,} images."
        )
        if found.ceiling["split"] == "val":
            words += " Fine-tuned figures chose their epoch on these very images, which flatters them."
    st.caption(words)
    for row in found.measured:
        for note in row.notes(found.n):
            colour = "orange" if row.met_many(found.n) else "gray"
            st.caption(f":{colour}[:material/info: **{md(row.title)}** {md(note, 400)}]")


def few_part(summary: RunSummary, found: Comparison) -> None:
    """The curves over labels a class."""
    rows = [row for row in found.measured if row.few]
    title = f"Linear probe with few labels, {found.n:,} images"
    charts.draw(few_figure(rows, title), f"compare-few-{summary.id}", title)
    st.caption(
        f"Each dot is one of {found.settings.draws} draws of the labels, the same images for every encoder; "
        "the line is their mean, the band its 95 % interval: it holds the chance of the draw (Student's t) "
        "and of the judging images (Wilson). Computed by engine.evaluation.few_labels."
    )


def cost_part(summary: RunSummary, found: Comparison) -> None:
    """Accuracy against the time of an image, and which encoder that speaks for."""
    st.markdown(f"##### {md(found.best(), 500)}")
    title = f"Accuracy against cost, {found.n:,} images"
    charts.draw(cost_figure(found.measured, title), f"compare-cost-{summary.id}", title)
    st.caption(
        "Up and to the left is better. Times are of this machine, in 32 bits, at the size each encoder "
        "reads: the median of a few batches, so they differ a little from one comparison to the next."
    )


def figures_part(summary: RunSummary, found: Comparison) -> None:
    """The table of everything."""
    comparison_table(found)
    st.caption(
        "Point at a column's name for what it means. Silhouette, spread, rank and uniformity are of at most "
        "2,000 judging images (engine.evaluation.structure)."
    )

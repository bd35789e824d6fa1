"""A map on the page: the linked panels, as they get ready, and everything that can be asked of them."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, read_map
from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.map_neighbours import neighbours_part
from pages.components.map_new import new_part
from pages.components.map_noise import noise_part
from pages.components.map_recipe import recipe_part
from pages.components.map_replay import replay_part
from pages.components.map_selection import selection_part
from pages.components.map_stage import draw_panels, seen_of, watch_map
from pages.components.map_strip import strip_part
from pages.components.map_trust import trust_part
from pages.components.map_view import selected_rows, view_key
from pages.components.run_view import how_it_ended, run_head
from pages.components.take_home import take_home
from pages.components.text import md

Part = Callable[[RunSummary, LatentMap, Dataset], None]
NOISE = (
    "Gaussian noise in place of the images' features, as many points and as spread out: groups that show "
    "here are no finding"
)


def title_of(run: str | None) -> str:
    """The title of a map's page; of noise it says so."""
    try:
        noise = run is not None and store.run_store().recipe(run).config.get("noise") is True
    except UserError:
        noise = False
    return "Latent maps of noise" if noise else "Latent maps"


def show_map(run: str, again: Callable[[str], None] | None = None) -> None:
    """Draw a map run with everything one can do with it.

    Args:
        run: Id of a run that exists.
        again: Called with the id when the user wants to draw it again with changes.
    """
    seen = seen_of(run)
    summary, status = store.run_store().get(run), store.run_store().status(run)
    run_head(summary, status, again)
    how_it_ended(status)
    found = read_map(run, store.run_store())
    if status.state in store.ACTIVE:
        watch_map(run, seen)
    if found is None:
        return
    try:
        dataset = open_dataset(summary.dataset)
    except UserError as error:
        st.warning(md(str(error)), icon=":material/folder_off:")
        return
    _caption(found, dataset)
    draw_panels(run, found, asks=True)
    if found.done:
        _parts(summary, found, dataset)
    if status.state in store.FINAL:
        take_home(summary)


def _caption(found: LatentMap, dataset: Dataset) -> None:
    split = found.settings.split
    there = len(dataset) if split == "all" else len(dataset.indices(split))
    words = f"{len(found.index):,} of {there:,} images"
    if len(found.index) + len(found.left_out) < there:
        words += f", drawn from every class alike with seed {found.recipe.seed}"
    if found.lacking:
        words += f" · :orange[:material/warning: {found.lacking}]"
    if found.settings.noise:
        words += f" · :orange[:material/grain: {NOISE}]"
    source = found.recipe.backbone or "pixels"
    if source.startswith("random:"):
        words += " · :orange[:material/casino: from random weights: nothing has been learned]"
    st.caption(words)


def _parts(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
    rows = selected_rows(view_key(summary.id))

    def selection(summary: RunSummary, found: LatentMap, dataset: Dataset) -> None:
        selection_part(summary, found, dataset, rows)

    parts: dict[str, Part] = {
        "How far to trust them": trust_part,
        "Point and neighbours": neighbours_part,
        "Selection": selection,
    }
    if any(panel.has_film for panel in found.done):
        parts["Replay"] = replay_part
    parts["Film strip"] = strip_part
    if not found.settings.noise:
        parts["New images"] = new_part
        parts["Noise"] = noise_part
    parts["Recipe and downloads"] = recipe_part
    key = f"maps.part.{summary.id}"
    part = st.pills(
        "Part", list(parts), default=next(iter(parts)), required=True, key=key, label_visibility="collapsed"
    )
    try:
        parts.get(str(part), trust_part)(summary, found, dataset)
    except UserError as error:
        st.warning(md(str(error)), icon=":material/error:")

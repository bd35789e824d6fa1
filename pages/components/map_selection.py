"""What can be done with points that were drawn around: look, ask if they belong together, keep, take away."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from engine.data.dataset import Dataset, derive
from engine.data.splits import SPLITS
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap
from engine.evaluation.selections import list_selections, remove_selection, save_selection
from engine.runs import quotas
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.summary import RunSummary
from pages.components import store
from pages.components.data_imports import toast_later
from pages.components.map_cluster import cluster_part
from pages.components.map_routes import rows_address
from pages.components.map_stage import select_again
from pages.components.picker import remember
from pages.components.text import count_text, md, one_line


def selection_part(summary: RunSummary, found: LatentMap, dataset: Dataset, rows: list[int]) -> None:
    """The selection's make-up and the actions, beside the selections that were kept."""
    rows = [row for row in rows if row < len(found.index)]
    left, right = st.columns([2.2, 1], gap="large")
    with left:
        if rows:
            _make_up(found, dataset, rows)
            _actions(summary, found, dataset, rows)
            cluster_part(summary, found, rows)
        else:
            st.info(
                "Draw around some points on any map (lasso or box), or click a name in the legend: the same "
                "points light up on all maps, and here you can ask about them.",
                icon=":material/gesture:",
            )
    with right:
        _kept(summary, len(found.index), rows)


def _make_up(found: LatentMap, dataset: Dataset, rows: list[int]) -> None:
    """How the selection is made up, against the whole map."""
    chosen = np.array(rows)
    st.markdown(f"##### {len(rows):,} of {len(found.index):,} points")
    parts = [("class", found.label, list(dataset.classes)), ("split", found.split, list(SPLITS))]
    lines = []
    for what, codes, names in parts:
        here, there = (np.bincount(c[c >= 0], minlength=len(names)) for c in (codes[chosen], codes))
        for code in np.argsort(-here, kind="stable")[:8]:
            if here[code]:
                lines.append(
                    {
                        "what": what,
                        "name": one_line(names[code], 60),
                        "selected": int(here[code]),
                        "of all": int(there[code]),
                        "share of the selection": float(here[code] / len(rows)),
                    }
                )
    share = st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent")
    st.dataframe(
        pd.DataFrame(lines), hide_index=True, column_config={"share of the selection": share}, width="stretch"
    )


def _actions(summary: RunSummary, found: LatentMap, dataset: Dataset, rows: list[int]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        asked, base = rows_address(summary.id, rows), f"/lab/runs/{summary.id}/map"
        st.link_button("Table (CSV)", f"{base}.csv?{asked}", icon=":material/download:")
        st.link_button("Table (Parquet)", f"{base}.parquet?{asked}", icon=":material/download:")
        st.link_button("Images (zip)", f"{base}.zip?{asked}", icon=":material/folder_zip:")
        with st.popover("New data set", icon=":material/filter_alt:"):
            _derive(summary, found, dataset, rows)


def _derive(summary: RunSummary, found: LatentMap, dataset: Dataset, rows: list[int]) -> None:
    """A set of the selected images alone, or of all others."""
    images = found.index[np.array(rows)]
    keep = st.segmented_control(
        "Images", ["keep", "exclude"], default="keep", required=True, key=f"maps.derive.{summary.id}",
        format_func=lambda kind: {"keep": "Only the selected", "exclude": "All others"}[kind],
    )  # fmt: skip
    chosen = images if keep == "keep" else np.setdiff1d(np.arange(len(dataset)), images)
    words = "selection" if keep == "keep" else "without selection"
    name = st.text_input("Name", f"{dataset.name} {words}"[:120], max_chars=120, key=f"maps.name.{keep}")
    st.caption(f"{count_text(len(chosen), 'image')}; the set itself stays as it is.")
    with st.container(horizontal=True):
        make = st.button("Make it", type="primary", disabled=not len(chosen), key="maps.derive.go")
        draw = st.button(
            "Make it and map it", disabled=not len(chosen), key="maps.derive.map",
            help="The same methods and settings, on these images alone: what the others hid may show.",
        )  # fmt: skip
    if not (make or draw):
        return
    try:
        with quotas.expecting(sets=1):
            new = derive(dataset, chosen, name)
        run = _map_of(new, found.recipe, f"{summary.name} · {words}") if draw else None
    except UserError as error:
        st.error(md(str(error)))
        return
    toast_later(f"{new.name} is ready.")
    remember(new.id)
    if run is not None:
        st.query_params["run"] = run
    st.rerun()


def _map_of(dataset: Dataset, recipe: Recipe, name: str) -> str:
    """The same map of another set, started."""
    fields = {**recipe.model_dump(), "dataset": dataset.id, "fingerprint": dataset.fingerprint}
    return store.start(check_recipe(make_recipe(fields)), name)[0]


def _kept(summary: RunSummary, n: int, rows: list[int]) -> None:
    """Selections of a map of `n` points under their names."""
    st.markdown("##### Kept selections")
    mine = store.run_store().may_change(summary.id)
    if mine:
        _keep_form(summary.id, rows)
    saved = list_selections(summary.id, store.run_store())
    if not saved:
        st.caption("None yet." if mine else "None; only the owner of this map and a teacher can keep some.")
    for number, (name, members) in enumerate(saved.items()):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"{name} · {len(members):,}", width="stretch")
            if st.button(
                "Select",
                key=f"maps.select.{number}",
                help="Select it again, in place of what is selected now",
                type="tertiary",
            ):
                select_again(summary.id, [row for row in members if row < n])
                st.rerun()
            if st.button(
                "",
                icon=":material/visibility:",
                key=f"maps.show.{number}",
                help="Light it up",
                type="tertiary",
            ):
                st.session_state[f"maps.lit.{summary.id}"] = members
                st.rerun()
            if mine and st.button(
                "", icon=":material/delete:", key=f"maps.forget.{number}", help="Forget it", type="tertiary"
            ):
                remove_selection(summary.id, name, store.run_store())
                st.rerun()


def _keep_form(run: str, rows: list[int]) -> None:
    with st.form(f"maps.keep.{run}", border=False, clear_on_submit=True):
        name = st.text_input(
            "Name", max_chars=80, placeholder="Such as: odd ones", disabled=not rows, key="maps.keep.name"
        )
        if st.form_submit_button("Keep this selection", icon=":material/bookmark_add:", disabled=not rows):
            store.attempt(lambda: _save(run, name, rows))


def _save(run: str, name: str, rows: list[int]) -> None:
    save_selection(run, name, rows, store.run_store())

"""Packing runs for another installation: which ones, how large that will be, and the zip once it is made."""

from __future__ import annotations

import streamlit as st

from engine.errors import UserError
from engine.export import making, packing
from engine.export.making import UNDER_WAY
from engine.export.run_zip import needed_sets, packed_bytes
from engine.runs.summary import RunSummary
from engine.settings import settings
from pages.components import store
from pages.components.take_home import EVERY, making_share, making_words
from pages.components.text import count_text, md, size_text

TICKED, ALL = "ticked", "all"
DATA_HELP = (
    "Their images travel as they are, pixel by pixel, so that the fingerprint stays the same; what the files "
    "say of place, camera and author stays at home. Vectors and added weights do not go along."
)


def pack_part(runs: list[RunSummary], picked: list[RunSummary]) -> None:
    """A fold for packing the ticked runs or all finished ones.

    Args:
        runs: All that there are.
        picked: Those that are ticked.
    """
    groups = {TICKED: _finished(picked), ALL: _finished(runs)}
    words = {TICKED: f"Ticked ({len(groups[TICKED]):,})", ALL: f"All finished ({len(groups[ALL]):,})"}
    offered = [name for name in groups if groups[name]]
    if not offered:
        return
    fold = st.expander("Pack runs", icon=":material/inventory_2:", key="runs.pack.fold", on_change="rerun")
    if not fold.open:
        return
    with fold:
        st.caption("One zip for another installation: its Runs page, or `workspace import`, takes it in.")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            which = st.segmented_control(
                "Which runs", offered, format_func=lambda name: words[name], default=offered[0],
                required=True, key=f"runs.pack.which.{len(offered)}",
            )  # fmt: skip
            with_data = st.toggle("With the data sets they need", key="runs.pack.data", help=DATA_HELP)
        chosen = [run.id for run in groups[which or offered[0]]]
        try:
            _size(chosen, with_data)
            key = packing.key_of(chosen, with_data)
        except UserError as error:  # a run was deleted a moment ago
            st.caption(md(str(error)))
            return
        under_way = making.status_of(key).state in UNDER_WAY
        st.fragment(_zip, run_every=EVERY if under_way else None)(chosen, with_data, key, under_way)


def _finished(runs: list[RunSummary]) -> list[RunSummary]:
    return [run for run in runs if run.state in store.FINAL and not run.damaged]


def _size(chosen: list[str], with_data: bool) -> None:
    """How large the zip will be, and what is in it."""
    size, sets = packed_bytes(chosen, with_data), needed_sets(chosen)
    there, alone = count_text(len(sets), "data set"), len(chosen) == 1
    need = f"without the {'data set' if len(sets) == 1 else there} {'it needs' if alone else 'they need'}"
    parts = [count_text(len(chosen), "run"), there if with_data else need]
    st.text(f"About {size_text(size)}: {', '.join(parts if sets else parts[:1])}.")
    limit, most = settings().max_upload_bytes, settings().max_unpacked_bytes
    if size > most:
        st.caption(
            f":orange[:material/warning: An installation takes in {size_text(most)} at most, unless whoever "
            "runs it has raised REPLAB_MAX_UNPACKED_BYTES: pack fewer runs.]"
        )
    elif size > limit:
        st.caption(
            f":material/info: A Runs page takes in zips up to {size_text(limit)}, unless whoever runs it has "
            "raised that; the command line takes larger ones: `python -m engine workspace import FILE`."
        )


def _zip(chosen: list[str], with_data: bool, key: str, watched: bool) -> None:
    """Make it, watch it, stop it, download it."""
    status = making.status_of(key)
    if (status.state in UNDER_WAY) != watched:
        st.rerun()
    if status.state == "done":
        label = f"Download · {size_text(status.bytes)}"
        st.link_button(label, f"/lab/packs/{key}", icon=":material/download:")
        return
    if status.state in UNDER_WAY:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(making_share(status), text=making_words(status), width="stretch")
            st.button(
                "Stop", icon=":material/stop_circle:", key="runs.pack.stop", on_click=making.end, args=(key,)
            )
        return
    st.button(
        "Pack" if status.state == "absent" else "Pack again", icon=":material/build:", key="runs.pack.make",
        on_click=store.attempt, args=(lambda: packing.start(chosen, with_data),),
    )  # fmt: skip
    if status.error:
        st.caption(f":red[:material/error: {md(status.error, 300)}]")
    elif status.state == "stopped":
        st.caption("Stopped; nothing was kept.")

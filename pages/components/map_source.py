"""Choosing what a map is of: raw pixels, any encoder, or vectors that somebody brought."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset
from engine.data.vectors import VectorsInfo, add_vectors, list_vectors, remove_vectors, vectors_id
from engine.data.vectors_alone import add_vectors_alone
from engine.errors import UserError
from engine.evaluation.encoding import PIXELS_SIDE
from engine.models.codes import usual_side
from engine.models.encoder import PIXELS
from engine.runs import quotas
from pages.components import store
from pages.components.backbone import choose_backbone, choose_weights, remember_backbone
from pages.components.compose import SEED, Composer
from pages.components.forms import initial, initial_index, put
from pages.components.picker import remember
from pages.components.text import count_text, md, one_line
from pages.components.upload import upload
from pages.components.upload_routes import VECTORS, discard_upload, find_upload

KEY = "maps.source"
SOURCES = {"pixels": "Raw pixels", "encoder": "An encoder", "vectors": "My vectors"}
CHOSEN = "maps.vectors"


def remember_encoder(encoder: str) -> None:
    """Choose an encoder, vectors or pixels, where they are still here."""
    vectors = vectors_id(encoder)
    put(KEY, "pixels" if encoder == PIXELS else "vectors" if vectors else "encoder")
    if vectors:
        st.session_state[f"{CHOSEN}.kept"] = vectors
    elif encoder != PIXELS:
        remember_backbone(encoder)


def choose_encoder(dataset: Dataset, composer: Composer) -> tuple[str | None, str, int, int]:
    """The encoder's name in a recipe (None while it is not here), its title, image size and seed."""
    source = st.segmented_control(
        "What to map",
        list(SOURCES),
        format_func=lambda source: SOURCES[source],
        key=KEY,
        required=True,
        width="stretch",
        help="Raw pixels are the baseline: what can be seen without any network.",
        **initial(KEY, st.session_state.get(f"{KEY}.kept", "pixels"), "default"),
    )
    st.session_state[f"{KEY}.kept"] = source
    side = min(PIXELS_SIDE, usual_side(dataset.sizes))
    if source == "pixels":
        size, seed = composer.size_and_seed(side, 8, lambda side: None)
        return PIXELS, "Raw pixels", size, seed
    if source == "vectors":
        found = _choose_vectors(dataset)
        seed = _seed(composer)  # there is no image to read, so no size to ask for
        return (found.encoder, found.name, side, seed) if found else (None, "My vectors", side, seed)
    backbone = choose_backbone(int(np.median(dataset.sizes.max(axis=1))))
    encoder = choose_weights(backbone)
    info = backbone.info
    size, seed = composer.size_and_seed(backbone.image_size, info.min_size, info.check_size)
    return encoder, backbone.title, size, seed


def _seed(composer: Composer) -> int:
    key = composer.form.key("seed")
    begin = initial(key, composer.form.memory.get(key, SEED.default))
    value = st.number_input(
        SEED.title, 0, int(SEED.high or 0), step=1, format="%d", key=key, help=SEED.help, **begin
    )
    composer.form.memory[key] = value
    return int(value)


def _choose_vectors(dataset: Dataset) -> VectorsInfo | None:
    """Vectors that were added for this data set, and a place to add others."""
    mine = {info.id: info for info in list_vectors(dataset.id)}
    if not mine:
        st.caption(
            f"A .npy, .npz or .parquet file with one row of numbers for each of the "
            f"{count_text(len(dataset), 'image')}, in their order, or with their names in a column 'file'."
        )
        _add(dataset)
        return None
    options, kept = list(mine), st.session_state.get(f"{CHOSEN}.kept")
    key = f"{CHOSEN}.of.{dataset.id}"
    if st.session_state.get(key, options[0]) not in mine:  # they were removed
        del st.session_state[key]
    chosen = st.selectbox(
        "Vectors",
        options,
        format_func=lambda vectors: one_line(mine[vectors].name, 80),
        key=key,
        **initial_index(key, kept if kept in mine else options[0], options),
    )
    st.session_state[f"{CHOSEN}.kept"] = chosen
    info = mine[chosen]
    how = "matched by file name" if info.by_name else "in the order of the images"
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"{info.rows:,} rows of {count_text(info.width, 'number')}, {how}."
        if info.lacking:
            words += f" {info.lacking:,} of them hold values that are no finite numbers: maps leave them out."
        st.caption(words, width="stretch")
        st.button(
            "Remove", icon=":material/delete:", type="tertiary", on_click=_remove, args=(info.id,),
            key=f"{CHOSEN}.remove", help="Maps that were drawn of them stay.",
        )  # fmt: skip
    with st.expander("Add another file", icon=":material/upload:"):
        _add(dataset)
    return info


def _remove(vectors: str) -> None:
    store.attempt(lambda: remove_vectors(vectors))


def _add(dataset: Dataset) -> None:
    if st.session_state.pop(f"{CHOSEN}.added", False):  # the next file is asked about anew
        put(f"{CHOSEN}.alone", False)
        put(f"{CHOSEN}.array", "")
    alone = st.toggle(
        "They have no images",
        key=f"{CHOSEN}.alone",
        help="The file becomes a data set of its own; each picture shows the numbers of a row as shades.",
    )
    array = st.text_input(
        "Array", key=f"{CHOSEN}.array", max_chars=100, placeholder="only where an .npz holds several"
    )
    path = upload(f"{CHOSEN}.upload.{dataset.id}", VECTORS, "Drop a file of vectors here")
    if path is None:
        return
    upload_id = path.name.partition(".")[0]
    found = find_upload(upload_id)
    try:
        with st.spinner("Checking the file…"):
            new = _added(path, dataset, found[1] if found else None, array.strip() or None, alone)
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    finally:
        discard_upload(upload_id)
    st.session_state[f"{CHOSEN}.kept"], st.session_state[f"{CHOSEN}.added"] = new, True
    st.session_state.pop(f"{CHOSEN}.of.{dataset.id}", None)
    st.rerun()


def _added(path: Path, dataset: Dataset, name: str | None, array: str | None, alone: bool) -> str:
    """The id of the vectors in a file; those without images choose their own data set."""
    with quotas.expecting(sets=int(alone)):  # the file itself counts already, as an upload
        if not alone:
            return add_vectors(path, dataset.id, name, array)
        own, new = add_vectors_alone(path, name, array)
    remember(own)
    return new

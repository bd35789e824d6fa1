"""What a finished autoencoder shows: its figures, and the parts in which it can be looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.errors import UserError
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.code_between import arithmetic, interpolation, sampling
from pages.components.code_outliers import outliers
from pages.components.code_picture import own_picture
from pages.components.code_rebuilt import by_class, reconstructions
from pages.components.code_sweep import sweep
from pages.components.code_walk import walk
from pages.components.network import layer_table
from pages.components.recipe_card import recipe_tab
from pages.components.store import run_store
from pages.components.text import md

SPLIT_TITLES = {"val": "Validation", "test": "Test", "train": "Training"}
Part = Callable[[RunSummary, dict[str, Any]], None]


def code_results(summary: RunSummary) -> None:
    """Draw everything that is known about an autoencoder that has finished."""
    found = run_store().results(summary.id)
    if not found or not found.get("splits"):
        return
    _headline(found)
    for warning in found.get("warnings", []):
        st.warning(md(warning, limit=400), icon=":material/report:")
    for note in found.get("notes", []):
        st.caption(f":material/info: {md(note)}")
    _parts(summary, found)


@st.fragment
def _parts(summary: RunSummary, found: dict[str, Any]) -> None:
    parts = parts_of(found)
    key = f"code.part.{summary.id}"
    part = st.pills(
        "Part", list(parts), default=next(iter(parts)), required=True, key=key, label_visibility="collapsed"
    )
    try:
        parts.get(str(part), reconstructions)(summary, found)
    except UserError as error:
        st.warning(md(str(error)), icon=":material/error:")


def parts_of(found: dict[str, Any]) -> dict[str, Part]:
    """What there is to look at, by the word on its button; some kinds have no picture for a code alone."""
    parts: dict[str, Part] = {"Rebuilt images": reconstructions}
    if found.get("classes"):
        parts["Error by class"] = by_class
    if found.get("pca"):
        parts["Code size"] = sweep
    if found.get("decodes"):
        parts |= {"Walk": walk, "Between two images": interpolation}
        if len(found.get("classes", [])) > 1:
            parts["Arithmetic"] = arithmetic
        parts["New images"] = sampling
    parts |= {
        "Your picture": own_picture,
        "Outliers": outliers,
        "Network": _network,
        "Recipe and downloads": _recipe,
    }
    return parts


def _headline(found: dict[str, Any]) -> None:
    splits = found["splits"]
    name = "test" if "test" in splits else "val" if "val" in splits else "train"
    split, latent, inputs = splits[name], found["latent"], found["inputs"]
    columns = st.columns(4)
    floor = split.get("loss_floor")
    columns[0].metric(
        f"{SPLIT_TITLES[name]} loss",
        f"{split['loss']:.4g}",
        f"{split['loss'] - floor:.3g} above its floor of {floor:.3g}" if floor is not None else None,
        delta_color="off",
        delta_arrow="off",
        delta_description=f"n = {split['n']:,}",
        border=True,
        height="stretch",
        help=_loss_help(found, floor),
    )
    mean = found.get("mean_image")
    columns[1].metric(
        "Squared error a pixel",
        f"{split['squared_error']:.4g}",
        f"{split['squared_error'] / mean:.0%} of the mean image's" if mean else None,
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help="Mean squared difference of pixels from 0 to 1, where the loss counts. Answering the mean "
        "training "
        "image every time scores 100 %. Computed by engine.evaluation.reconstruction.",
    )
    columns[2].metric(
        "Code",
        f"{latent:,} numbers",
        f"of {inputs:,} an image",
        delta_color="off",
        delta_arrow="off",
        border=True,
        height="stretch",
        help=_code_help(found),
    )
    columns[3].metric(*_last_card(found), delta_color="off", delta_arrow="off", border=True, height="stretch")


def _last_card(found: dict[str, Any]) -> tuple[str, str, str]:
    """PCA at the same size, numbers in use, or the parameters: what tells most about this kind."""
    if found.get("active") is not None:
        return "Numbers in use", f"{found['active']} of {found['latent']}", "vary from image to image"
    pca = found.get("pca", {}).get(str(found["latent"]))
    if pca:
        ours = found["splits"].get("val", {}).get("squared_error")
        if ours is not None:
            return "PCA with as many numbers", f"{pca:.4g}", f"validation: {ours / pca:.2f}× that"
    total = sum(found["parameters"].values())
    return "Parameters", charts.parameters_text(total), "encoder and decoder"


def _loss_help(found: dict[str, Any], floor: float | None) -> str:
    if floor is not None:
        return (
            "Binary cross-entropy a pixel. Grey pixels keep even a perfect prediction above zero: the "
            "floor is "
            "the mean entropy of the pixels themselves, so read the distance to it, not to 0."
            + (" Beta times the divergence of the codes is added." if "active" in found else "")
        )
    return "Mean over pixels of the squared error, where it counts; 0 is perfect."


def _code_help(found: dict[str, Any]) -> str:
    parameters = found["parameters"]
    return (
        f"{charts.parameters_text(parameters['encoder'])} parameters make the code, "
        f"{charts.parameters_text(parameters['decoder'])} turn it into a picture."
    )


def _network(summary: RunSummary, found: dict[str, Any]) -> None:
    if found.get("layers"):
        layer_table(found["layers"])


def _recipe(summary: RunSummary, found: dict[str, Any]) -> None:
    recipe_tab(summary, found)

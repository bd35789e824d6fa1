"""A recipe in words: the card beside a run, and the tab with recipe, environment and downloads."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from engine.data.dataset import summarise
from engine.data.vectors import vectors_id, vectors_info
from engine.errors import UserError
from engine.export.code import command_line
from engine.methods import config_class, method_entry
from engine.models.backbones import backbone_info
from engine.models.encoder import PIXELS, encoder_arch
from engine.models.weights import weights_info
from engine.runs.recipe import Recipe
from engine.runs.summary import RunSummary
from pages.components.forms import Setting, settings_of
from pages.components.store import run_store
from pages.components.text import md, size_text

WEIGHT_WORDS = {
    "random": "random",
    "torchvision": "pretrained (ImageNet)",
    "file": "from a file",
    "run": "of a run",
}
PROTECTED = 200  # letters of a value that are shown


def dataset_name(dataset: str) -> str:
    """The name of a data set; its id once it has been deleted."""
    try:
        found = summarise(dataset)
    except UserError:
        return dataset
    return found.name if found else f"{dataset} (deleted)"


def facts(recipe: Recipe) -> list[tuple[str, str]]:
    """The recipe as (name, value) pairs of plain text, the few that matter first."""
    pairs = [("Data", dataset_name(recipe.dataset))]
    if recipe.backbone:
        pairs += backbone_facts(recipe.backbone)
    try:
        settings = settings_of(config_class(recipe.method))
    except UserError:
        settings = []
    known = {setting.name: setting for setting in settings}
    few = [setting.name for setting in settings if not setting.more and setting.name in recipe.config]
    few.sort(key=lambda field_name: field_name != "mode")
    rest = [field_name for field_name in recipe.config if field_name not in few]
    told = [
        (known[key].title if key in known else key.capitalize(), _words(known.get(key), recipe.config[key]))
        for key in few + rest
    ]
    size = "each its own" if recipe.config.get("sizes") == "own" else f"{recipe.image_size} px"
    size_and_seed = [("Image size", size), ("Seed", str(recipe.seed))]
    return pairs + told[:4] + size_and_seed + told[4:]


def backbone_facts(encoder: str) -> list[tuple[str, str]]:
    """Architecture and origin of an encoder name; the id alone where the file or run has been deleted."""
    if encoder == PIXELS:
        return [("Encoder", "Raw pixels")]
    if vectors := vectors_id(encoder):
        return [("Encoder", _vectors_name(vectors))]
    kind, _, value = encoder.partition(":")
    origin = WEIGHT_WORDS.get(kind, kind)
    try:
        arch = encoder_arch(encoder)
        if kind == "run":
            origin = f"of the run {run_store().get(value).name}"
        elif kind == "file":
            origin = f"from the file {weights_info(value).name}"
    except UserError:
        return [
            ("Backbone", value),
            ("Weights", f"{origin} (deleted)" if kind in ("run", "file") else origin),
        ]
    return [("Backbone", backbone_info(arch).title), ("Weights", origin)]


def _vectors_name(vectors: str) -> str:
    try:
        return f"none: the vectors {vectors_info(vectors).name}"
    except UserError:
        return "none: vectors that were deleted"


def _words(setting: Setting | None, value: Any) -> str:
    if setting and str(value) in setting.labels:
        return str(setting.labels[str(value)])
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)[:200]


def recipe_card(recipe: Recipe, few: int = 9) -> None:
    """The recipe as a narrow card; settings beyond the first `few` are folded away."""
    try:
        title = method_entry(recipe.method).title
    except UserError:
        title = recipe.method
    pairs = facts(recipe)
    with st.container(border=True, key="recipe-card"):
        st.markdown(f"##### {md(title)}")
        _table(pairs[:few])
        if len(pairs) > few:
            with st.expander(f"{len(pairs) - few} more settings", type="compact"):
                _table(pairs[few:])


def recipe_tab(summary: RunSummary, found: dict[str, Any]) -> None:
    """Everything needed to repeat or take away this run."""
    recipe = run_store().recipe(summary.id)
    with st.container(horizontal=True):
        base = f"/lab/runs/{summary.id}"
        if run_store().encoder_path(summary.id).is_file():
            st.link_button("Weights (safetensors)", f"{base}/encoder.safetensors", icon=":material/download:")
        if run_store().decoder_path(summary.id).is_file():
            st.link_button("Decoder (safetensors)", f"{base}/decoder.safetensors", icon=":material/download:")
        st.link_button("Predictions (CSV)", f"{base}/predictions.csv", icon=":material/download:")
        st.download_button(
            "Recipe (JSON)", recipe.to_json(), f"recipe-{summary.id}.json", "application/json",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### Recipe")
        _table(facts(recipe))
    with right:
        st.markdown("##### Environment")
        environment = run_store().environment(summary.id)
        _table([(key.replace("_", " "), _flat(value)) for key, value in environment.items()])
        used = run_store().size(summary.id)
        st.caption(f"Run {summary.id} uses {size_text(used)} on disk.")
    st.markdown("##### The same from the command line")
    st.code(command_line(recipe, summary.id), language="bash")


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(pairs: list[tuple[str, str]]) -> None:
    frame = pd.DataFrame(
        [(f":gray[{md(name)}]", md(value)) for name, value in pairs], columns=["setting", "value"]
    )
    st.table(frame, border="horizontal", hide_index=True, hide_header=True)

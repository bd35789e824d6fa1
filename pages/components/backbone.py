"""Choosing a backbone and where its weights come from."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from engine.errors import UserError
from engine.models.backbones import BACKBONES, BackboneInfo
from engine.models.encoder import encoder_arch
from engine.models.pretrained import ensure_pretrained, weights_available
from engine.models.weights import add_weights, list_weights
from pages.components.charts import parameters_text
from pages.components.forms import initial, initial_index, put
from pages.components.text import md
from pages.components.trained import TrainedEncoder, trained_encoder, trained_encoders
from pages.components.upload import upload
from pages.components.upload_routes import WEIGHTS, discard_upload, find_upload

SMALL_IMAGES = 64  # up to this many pixels the small networks are recommended
SOURCES = {"pretrained": "Pretrained", "file": "My file", "random": "Random"}
"""Where weights may come from, in words."""


@dataclass
class Download:
    """A download of pretrained weights that goes on whoever looks."""

    done: int = 0
    total: int | None = None
    error: str | None = None
    finished: bool = False
    cancelled: bool = False

    def note(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total


@dataclass(frozen=True)
class Backbone:
    """What was chosen: an architecture, and the run whose encoder it is, if it is one's."""

    info: BackboneInfo
    trained: TrainedEncoder | None = None

    @property
    def image_size(self) -> int:
        """The side to offer first."""
        return self.trained.image_size if self.trained else self.info.default_size

    @property
    def title(self) -> str:
        """What it is called, as plain text."""
        return self.trained.label if self.trained else self.info.title


@st.cache_resource(max_entries=1)
def downloads() -> dict[str, Download]:
    return {}


def choose_backbone(longest: int) -> Backbone:
    """The backbone select; small networks come first where the images are small, finished runs last.

    Args:
        longest: The longer side of a typical image of the data set, in pixels.
    """
    small = longest <= SMALL_IMAGES
    front = sorted((b for b in BACKBONES.values() if b.front or b.small), key=lambda b: b.small != small)
    everything = st.session_state.get("backbone.all", False)
    trained = trained_encoders(None) if everything else trained_encoders()
    options = [b.arch for b in front] + list(trained)
    if everything:
        options += [b.arch for b in BACKBONES.values() if b not in front]
    remembered = st.session_state.get("backbone.chosen")
    if remembered is not None and remembered not in options:
        if found := trained_encoder(remembered):
            trained[remembered] = found
        if found or remembered in BACKBONES:
            options.append(remembered)
    usual = remembered if remembered in options else _recommended(front, small)
    if st.session_state.get("backbone.arch", usual) not in options:  # its run was deleted
        put("backbone.arch", usual)
    chosen = st.selectbox(
        "Backbone",
        options,
        format_func=lambda name: _label(name, trained),
        key="backbone.arch",
        help="The network that turns an image into features: an architecture, or what a finished run of "
        "yours has learned. Type to search.",
        **initial_index("backbone.arch", usual, options),
    )
    st.session_state["backbone.chosen"] = chosen
    backbone = (
        Backbone(trained[chosen].info, trained[chosen]) if chosen in trained else Backbone(BACKBONES[chosen])
    )
    info = backbone.info
    line = backbone.trained.line if backbone.trained else md(info.line)
    st.caption(f"{line} {_cost(info)}" + (_too_large(info) if small and not info.small else ""))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.toggle(
            "All models",
            key="backbone.all",
            help="Every classification model of torchvision, and every finished run.",
        )
        with st.popover("Compare", icon=":material/table_rows:", type="tertiary"):
            _compare([name for name in options if name in BACKBONES])
    return backbone


def remember_backbone(encoder: str) -> None:
    """Choose the backbone and weights of an encoder name, where they are still here."""
    kind, _, value = encoder.partition(":")
    try:
        arch = encoder_arch(encoder)
    except UserError as error:
        st.toast(md(str(error)), icon=":material/error:", duration="long")
        return
    chosen = encoder if kind == "run" else arch
    st.session_state["backbone.chosen"] = chosen
    put("backbone.arch", chosen)
    if kind == "file":
        st.session_state[f"weights.file.{arch}"] = value
    if kind != "run":
        put(f"weights.{arch}", {"torchvision": "pretrained"}.get(kind, kind))


def _label(name: str, trained: dict[str, TrainedEncoder]) -> str:
    if name in trained:
        return trained[name].label
    return f"{BACKBONES[name].title} · {parameters_text(BACKBONES[name].parameters)}"


def _recommended(front: list[BackboneInfo], small: bool) -> str:
    for arch in ("cnn-small",) if small else ("resnet18",):
        if arch in BACKBONES:
            return arch
    return front[0].arch


def _too_large(info: BackboneInfo) -> str:
    return (
        f"  \n:orange[:material/info: These images are small; {md(info.title)} enlarges them, which is slow.]"
    )


def _cost(info: BackboneInfo) -> str:
    size = f"{info.default_size} px"
    if info.milliseconds is not None:
        return f"{info.milliseconds:,.0f} ms an image of {size} on two cores."
    return f"{info.gflops:g} billion multiply-adds for an image of {size}."


def _compare(options: list[str]) -> None:
    rows = [
        {
            "Backbone": BACKBONES[arch].title,
            "Family": BACKBONES[arch].family,
            "Parameters": BACKBONES[arch].parameters,
            "Features": BACKBONES[arch].width,
            "ms an image": BACKBONES[arch].milliseconds,
            "Size (px)": BACKBONES[arch].default_size,
        }
        for arch in options
    ]
    columns = {"Parameters": st.column_config.NumberColumn(format="compact")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns, width=640)
    st.caption(
        "Time of one forward pass at the size it was made for, measured on two cores; empty: not measured."
    )


def choose_weights(backbone: Backbone) -> str | None:
    """The encoder name that the chosen weights give, or None while they are not here."""
    if backbone.trained:
        return backbone.trained.encoder
    info = backbone.info
    sources = ["pretrained", "file", "random"] if info.weights_file else ["file", "random"]
    here = bool(info.weights_file) and weights_available(info.arch)
    key = f"weights.{info.arch}"
    usual = st.session_state.get(f"{key}.chosen", "pretrained" if here else "random")
    source = st.segmented_control(
        "Weights",
        sources,
        format_func=lambda source: SOURCES[source],
        key=key,
        width="stretch",
        required=True,
        **initial(key, usual, "default"),
    )
    st.session_state[f"{key}.chosen"] = source
    if source == "random":
        st.caption("Nothing has been learned yet: every chart of this run will say so.")
        return f"random:{info.arch}"
    if source == "file":
        return _own_file(info)
    if here:
        st.caption(":material/check_circle: ImageNet weights, on this machine.")
        return f"torchvision:{info.arch}"
    _offer_download(info)
    return None


def _offer_download(info: BackboneInfo) -> None:
    running = downloads().get(info.arch)
    if running and not running.finished:
        st.fragment(_progress, run_every=0.5)(info.arch)
        return
    if running and running.error:
        st.warning(md(running.error), icon=":material/cloud_off:")
    else:
        st.warning(
            f"The pretrained weights of {md(info.title)} are not on this machine. Download them, choose a "
            "file of yours, or start from random weights.",
            icon=":material/cloud_download:",
        )
    if st.button(f"Download ({info.weights_mb} MB)", icon=":material/download:"):
        start_download(info.arch)
        st.rerun()


def start_download(arch: str) -> None:
    state = downloads()[arch] = Download()

    def work() -> None:
        try:
            ensure_pretrained(arch, state.note, lambda: state.cancelled)
        except UserError as error:
            state.error = str(error)
        except Exception:  # nothing a download can throw may leave the page waiting for ever
            state.error = (
                "The download failed: check the network, choose a file of yours, or use random weights."
            )
        state.finished = True

    threading.Thread(target=work, daemon=True, name=f"download-{arch}").start()


def _progress(arch: str) -> None:
    state = downloads().get(arch)
    if state is None or state.finished:
        st.rerun()
    share = state.done / state.total if state.total else 0.0
    words = f"Downloading: {state.done / 1e6:.1f} MB" if state.done else "Looking for a way to the network…"
    st.progress(min(1.0, share), text=words)
    if st.button("Cancel", icon=":material/close:", key="weights.cancel"):
        state.cancelled = True
        downloads().pop(arch, None)  # its thread notices by itself, however long the network keeps it waiting
        st.rerun()


def _own_file(info: BackboneInfo) -> str | None:
    mine = [entry for entry in list_weights() if entry.arch == info.arch]
    if mine:
        names = {entry.id: entry.name for entry in mine}
        chosen = st.selectbox(
            "Weights file",
            list(names),
            format_func=lambda weights: names[weights],
            key=f"weights.file.{info.arch}",
        )
        with st.expander("Add another file", icon=":material/upload:"):
            _upload(info)
        return f"file:{chosen}"
    st.caption(
        f"A .safetensors or .pth file with the weights of {md(info.title)}; it is checked tensor by tensor."
    )
    _upload(info)
    return None


def _upload(info: BackboneInfo) -> None:
    path = upload(key=f"weights.upload.{info.arch}", extensions=WEIGHTS)
    if path is None:
        return
    upload_id = path.name.partition(".")[0]
    found = find_upload(upload_id)
    try:
        with st.spinner("Checking the file…"):
            weights = add_weights(path, info.arch, found[1] if found else None)
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    finally:
        discard_upload(upload_id)
    st.session_state[f"weights.file.{info.arch}"] = weights
    st.rerun()

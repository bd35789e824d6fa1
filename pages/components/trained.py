"""What finished runs have learned, offered as backbones of the next ones."""

from __future__ import annotations

from dataclasses import dataclass

from engine.data.dataset import list_datasets
from engine.errors import UserError
from engine.methods import METHODS
from engine.models.backbones import BackboneInfo, backbone_info
from engine.runs.store import RunStore
from engine.runs.summary import RunSummary
from pages.components.store import run_store
from pages.components.text import md

FEW = 12  # runs offered before somebody asks for everything


@dataclass(frozen=True)
class TrainedEncoder:
    """The encoder that a finished run has left.

    Attributes:
        encoder: Its name in a recipe, "run:<id>".
        info: The architecture.
        image_size: Side of the images it learned from.
        label: The run's name, method and data set, as plain text.
        line: One sentence of Markdown about what it is.
    """

    encoder: str
    info: BackboneInfo
    image_size: int
    label: str
    line: str


def trained_encoders(limit: int | None = FEW) -> dict[str, TrainedEncoder]:
    """Encoders of finished runs by their name in a recipe, newest run first."""
    store = run_store()
    found: dict[str, TrainedEncoder] = {}
    names = {summary.id: summary.name for summary in list_datasets()}
    for run in store.list():
        if len(found) == limit:
            break
        encoder = _encoder(store, run, names)
        if encoder:
            found[encoder.encoder] = encoder
    return found


def trained_encoder(name: str | None) -> TrainedEncoder | None:
    """The encoder called "run:<id>", or None where that run has left none."""
    kind, _, run = (name or "").partition(":")
    if kind != "run":
        return None
    store = run_store()
    try:
        summary = store.get(run)
    except UserError:
        return None
    return _encoder(store, summary, {found.id: found.name for found in list_datasets()})


def _encoder(store: RunStore, run: RunSummary, names: dict[str, str]) -> TrainedEncoder | None:
    if run.state != "done":
        return None
    try:
        noted = store.encoder_info(run.id)
        info = backbone_info(str(noted.get("arch")))
        if not store.encoder_path(run.id).is_file():
            return None
    except UserError:  # deleted while we looked
        return None
    method = METHODS[run.method].title if run.method in METHODS else run.method
    data = names.get(run.dataset, "a deleted data set")
    size = noted.get("image_size")
    size = size if isinstance(size, int) else info.default_size
    return TrainedEncoder(
        encoder=f"run:{run.id}",
        info=info,
        image_size=size,
        label=f"{run.name} · {method} · {data}",
        line=f"A {md(info.title)} that a run of yours has trained on images of {md(data)} at {size} px.",
    )

"""Every encoder that could be measured now: what finished runs left, and weights on this machine."""

from __future__ import annotations

from engine.data.dataset import Dataset
from engine.data.vectors import list_vectors
from engine.errors import UserError
from engine.methods import METHODS, TRAINABLE
from engine.models.backbones import BACKBONES, backbone_info
from engine.models.pretrained import weights_available
from engine.models.weights import list_weights
from engine.runs.layout import DONE
from engine.runs.store import RunStore
from engine.runs.summary import RunSummary


def at_hand(store: RunStore | None = None) -> dict[str, str]:
    """What people call encoders, by name: pretrained backbones, added weights, runs with the newest first."""
    found = {
        f"torchvision:{info.arch}": f"{info.title}, pretrained"
        for info in BACKBONES.values()
        if info.weights_file and weights_available(info.arch)
    }
    for weights in list_weights():
        found[f"file:{weights.id}"] = f"{backbone_info(weights.arch).title}, {weights.name}"
    return found | {f"run:{run.id}": run_title(run) for run in trained_runs(store or RunStore())}


def trained_runs(store: RunStore) -> list[RunSummary]:
    """Finished runs that have left an encoder, newest first."""
    return [
        run for run in store.list() if run.state == DONE and run.method in TRAINABLE and _kept(run, store)
    ]


def run_title(run: RunSummary) -> str:
    """A run's name, and the method where the name does not say it."""
    method = METHODS[run.method].title if run.method in METHODS else run.method
    return run.name if method.casefold() in run.name.casefold() else f"{run.name} · {method}"


def vectors_at_hand(dataset: Dataset) -> dict[str, str]:
    """Vectors that were added for a data set, which stand where an encoder's name does."""
    return {info.encoder: info.name for info in list_vectors(dataset.id)}


def _kept(run: RunSummary, store: RunStore) -> bool:
    try:
        return bool(store.encoder_info(run.id).get("arch")) and store.encoder_path(run.id).is_file()
    except UserError:  # deleted while we looked
        return False

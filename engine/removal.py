"""Deleting a data set with all that was made of its images, wherever that lies.

What stays is what runs keep of their own: curves, results, weights, where points of maps lie, the names of
images, and the small pictures that autoencoders and self-supervised methods show of a few images while they
learn; a run's deletion takes them. A set that was made of this one keeps its own images.
"""

from __future__ import annotations

from engine import access
from engine.access import CHANGE
from engine.data.dataset import card, list_datasets, remove_dataset
from engine.evaluation.known_features import features_folder
from engine.export import making
from engine.files import remove_tree
from engine.methods import METHODS
from engine.runs.store import RunStore
from engine.runs.summary import RunSummary

PICTURED = ("autoencoders", "self-supervised")  # pages of the methods whose runs keep pictures


def keeps_pictures(run: RunSummary) -> bool:
    """Whether a run keeps small pictures of some images of its data set."""
    entry = METHODS.get(run.method)
    return entry is not None and entry.page in PICTURED


def remove_data(dataset_id: str) -> None:
    """Delete a data set, its decoded pixels, vectors, features, and the files that were made of its runs.

    Raises:
        UserError: There is none, it is somebody else's, or a run uses it.
    """
    store = RunStore()
    known = card(dataset_id)
    used = store.in_use(dataset_id)
    if known and known.ownership.private and not used:
        access.require(CHANGE, known.ownership, "data set")
        _hide_runs(dataset_id)
    remove_dataset(dataset_id, in_use=used)
    with access.acting_as(access.THE_OPERATOR):
        runs = {run.id for run in store.list() if run.dataset == dataset_id}
        left = {str(other.info.get("fingerprint")) for other in list_datasets()}
    making.forget(runs)
    fingerprint = str(known.info.get("fingerprint")) if known else ""
    if fingerprint and fingerprint not in left:
        remove_tree(features_folder(fingerprint))


def _hide_runs(dataset_id: str) -> None:
    """Let the runs of a private set, hidden with it so far, be private of their own."""
    store = RunStore()
    with access.acting_as(access.THE_OPERATOR):
        for run in store.list():
            if run.dataset == dataset_id:
                store.set_private(run.id, True)


def remove_run(run_id: str) -> None:
    """Delete a run and the files that were made of it.

    Raises:
        UserError: It is queued or running, or somebody else's.
    """
    RunStore().remove(run_id)
    making.forget({run_id})

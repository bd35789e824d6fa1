"""The store: makes, lists, reads and removes run folders; a folder is the truth, there is no database."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import access
from engine.access import CHANGE, READ, Ownership
from engine.errors import UserError
from engine.files import check_id, inside, new_id, remove_tree, tree_bytes, write_bytes, write_json
from engine.lock import release, try_lock
from engine.runs import layout, outcome, quotas, reading, tickets
from engine.runs.recipe import Recipe
from engine.runs.summary import (
    RunSummary,
    Status,
    hidden_with_data,
    is_mine,
    make_status,
    ownership_of,
    summarize,
)
from engine.runs.writer import RunWriter
from engine.settings import settings

if TYPE_CHECKING:
    import numpy as np

MAX_NAME = 240
RUN_NAME = re.compile(r"\brun:([a-z0-9][a-z0-9-]{0,63})")
# RunStore has a method called list, so the type is named up here
Summaries = list[RunSummary]
Rows = list[dict[str, Any]]
Epochs = list[int]


class RunHandle(NamedTuple):
    """A run that was just made."""

    id: str
    folder: Path


class RunStore:
    """All runs of a workspace; cheap to make, safe to use from many threads and processes at once."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or settings().runs

    # making

    def create(self, recipe: Recipe, name: str | None = None) -> RunHandle:
        """A new run, queued; it appears whole or not at all. Hand its id to an executor.

        Raises:
            UserError: The name is too long, the disk is nearly full, the recipe names what is not here, or it
                would be more than one person may have.
        """
        with quotas.room(runs=1):
            return self._make(recipe, name)

    def _make(self, recipe: Recipe, name: str | None) -> RunHandle:
        name = clean_name(name)
        self._check_names(recipe)
        check_space(self.root)
        run_id = new_id()
        folder = inside(self.root, run_id)
        hidden = self.root / f".new-{run_id}"
        now = time.time()
        try:
            hidden.mkdir(parents=True)
            write_bytes(hidden / layout.RECIPE, recipe.to_json().encode())
            if name:
                write_json(hidden / layout.NAME, {"name": name})
            status = {"state": layout.QUEUED, "created": now, "attempt": 0, "digest": recipe.digest()}
            status["owner"] = access.mine()["owner"]
            write_json(hidden / layout.STATUS, status)
            os.replace(hidden, folder)
        except OSError as error:
            remove_tree(hidden)
            raise UserError(outcome.why_not_written(error)) from error
        return RunHandle(run_id, folder)

    def create_once(self, recipe: Recipe, name: str | None = None) -> tuple[str, bool]:
        """(id, created): one's own run of this recipe that is queued or running already, or else a new one.

        However many tabs and processes ask at once, one run is made.
        """
        with layout.store_lock(self.root):
            digest = recipe.digest()
            for run in self.list():
                if run.digest == digest and run.state in layout.ACTIVE and is_mine(run):
                    return run.id, False
            quotas.require_room(runs=1)
            return self._make(recipe, name).id, True

    def find(self, digest: str, states: frozenset[str] = layout.STATES) -> str | None:
        """One's own newest run whose recipe has this digest, or None."""
        runs = (run for run in self.list() if run.digest == digest and run.state in states)
        return next((run.id for run in runs if is_mine(run)), None)

    # looking

    def list(self) -> Summaries:
        """Every run that who is acting may see, newest first."""
        person = access.me()
        try:
            ids = [entry.name for entry in os.scandir(self.root) if entry.name[:1] != "."]
        except OSError:
            return []
        places = tickets.places(self.root)
        root = os.fspath(self.root)
        runs = [run for run_id in ids if (run := summarize(root, run_id, places)) is not None]
        if person.role not in (access.OPERATOR, access.TEACHER):
            runs = [run for run in runs if access.may(READ, hidden_with_data(run), person)]
        return sorted(runs, key=lambda run: (run.created, run.id), reverse=True)

    def in_use(self, dataset_id: str) -> bool:
        """Whether anybody's queued or running run learns from this data set."""
        with access.acting_as(access.THE_OPERATOR):
            return any(run.dataset == dataset_id and run.state in layout.ACTIVE for run in self.list())

    def get(self, run_id: str) -> RunSummary:
        """One run; its state is the true one.

        Raises:
            UserError: There is none with this id.
        """
        self.folder(run_id)
        run = summarize(os.fspath(self.root), run_id, tickets.places(self.root))
        if run is None:
            raise UserError(f"There is no run {run_id}: it may have been deleted.")
        return run

    def folder(self, run_id: str) -> Path:
        """The folder of a run that exists and that who is acting may see.

        Raises:
            UserError: The id is not one, or there is no such run.
        """
        folder = inside(self.root, check_id(run_id, "run id"))
        if not folder.is_dir() or not self._may(READ, run_id):
            raise UserError(f"There is no run {run_id}: it may have been deleted.")
        return folder

    def own_folder(self, run_id: str) -> Path:
        """The same of a run that who is acting may change.

        Raises:
            UserError: There is no such run, or it is somebody else's.
        """
        folder = self.folder(run_id)
        if not self._may(CHANGE, run_id):
            access.require(CHANGE, self.ownership(run_id), "run")
        return folder

    def ownership(self, run_id: str) -> Ownership:
        """Whose the run is."""
        return ownership_of(os.fspath(self.root), check_id(run_id, "run id"))

    def may_change(self, run_id: str) -> bool:
        """Whether who is acting may rename, stop, resume or delete the run."""
        return self._may(CHANGE, run_id)

    def _may(self, action: str, run_id: str) -> bool:
        person = access.me()
        if person.role in (access.OPERATOR, access.TEACHER):
            return True
        return access.may(action, self.ownership(run_id), person)

    def _check_names(self, recipe: Recipe) -> None:
        """Refuse a recipe whose data set or runs are hidden from who is acting.

        Raises:
            UserError: One of them is; it is said to be absent.
        """
        if access.me().role in (access.OPERATOR, access.TEACHER):
            return
        from engine.data.dataset import card

        found = card(recipe.dataset)
        if found and not access.may(READ, found.ownership):
            raise UserError(f"There is no data set '{recipe.dataset}': choose one from the list.")
        for run_id in set(RUN_NAME.findall(recipe.to_json())):
            if (self.root / run_id).is_dir():
                self.folder(run_id)

    def recipe(self, run_id: str) -> Recipe:
        """What the run carries out.

        Raises:
            UserError: The recipe is damaged.
        """
        path = self.folder(run_id) / layout.RECIPE
        try:
            return Recipe.from_json(path.read_bytes())
        except UserError:
            raise UserError(
                "The recipe of this run is damaged, so it cannot be repeated or resumed."
            ) from None
        except OSError:
            raise UserError("The recipe of this run is gone, so it cannot be repeated or resumed.") from None

    def status(self, run_id: str) -> Status:
        """All that is known about where the run stands; its state is the true one."""
        return make_status(self.folder(run_id), tickets.places(self.root).get(run_id))

    def progress(self, run_id: str) -> dict[str, Any]:
        """What the worker said last about phase, epoch, step and time left; empty before it said anything."""
        return layout.load_json(self.folder(run_id) / layout.PROGRESS)[0]

    def rows(self, run_id: str, since: int = 0) -> tuple[Rows, int]:
        """(metric rows after byte `since`, offset to ask for next); at most about 4 MB of them."""
        rows, offset, _ = reading.read_rows(self.folder(run_id), since)
        return rows, offset

    def curve(self, run_id: str) -> dict[str, Any]:
        """{"steps", "epochs"}: rows in order, the last attempt wins; "damaged" counts unreadable lines."""
        return reading.read_curve(self.folder(run_id))

    def log_tail(self, run_id: str, lines: int = 200) -> str:
        """The last lines of the run's log: for the operator, since it may hold tracebacks and paths."""
        return reading.read_log(self.folder(run_id), lines)

    def frames(self, run_id: str) -> Epochs:
        """The epochs after which the run kept what it saw."""
        return reading.list_frames(self.folder(run_id))

    def frame(self, run_id: str, epoch: int) -> dict[str, np.ndarray]:
        """What the run saw after an epoch; empty if there is none or it is damaged."""
        return reading.read_arrays(reading.frame_path(self.folder(run_id), epoch)) or {}

    def results(self, run_id: str) -> dict[str, Any] | None:
        """results.json, or None while there is none (or it is damaged: see `damaged`)."""
        return layout.load_json(self.folder(run_id) / layout.RESULTS)[0] or None

    def environment(self, run_id: str) -> dict[str, Any]:
        """Device, versions and the rest of what the worker noted about where it ran."""
        return layout.load_json(self.folder(run_id) / layout.ENVIRONMENT)[0]

    def predictions(self, run_id: str) -> dict[str, np.ndarray] | None:
        """The arrays of predictions.npz, or None while there are none."""
        return reading.read_arrays(self.folder(run_id) / layout.PREDICTIONS)

    def predictions_path(self, run_id: str) -> Path:
        """Where the arrays lie, for those who keep them in mind until the file changes."""
        return self.folder(run_id) / layout.PREDICTIONS

    def damaged(self, run_id: str) -> str | None:
        """One sentence that names the run's unreadable files, or None; what is readable is still given."""
        folder = self.folder(run_id)
        small = (layout.RECIPE, layout.STATUS, layout.NAME, layout.PROGRESS, layout.RESULTS)
        bad = [name for name in small if layout.load_json(folder / name)[1]]
        if reading.read_curve(folder)["damaged"]:
            bad.append(layout.METRICS)
        if (folder / layout.PREDICTIONS).exists() and self.predictions(run_id) is None:
            bad.append(layout.PREDICTIONS)
        return (
            f"Some of this run's files are damaged ({', '.join(bad)}): what is readable is shown."
            if bad
            else None
        )

    def writer(self, run_id: str) -> RunWriter:
        """The writing side, for a worker in this process."""
        return RunWriter(self.folder(run_id))

    def encoder_path(self, run_id: str) -> Path:
        """Where the run keeps its encoder's weights; the file is there once the run has made it."""
        return self.folder(run_id) / layout.ENCODER

    def decoder_path(self, run_id: str) -> Path:
        """Where an autoencoder's run keeps its decoder's weights."""
        return self.folder(run_id) / layout.DECODER

    def encoder_info(self, run_id: str) -> dict[str, Any]:
        """What the encoder of this run is (architecture, width, image size …); empty if there is none.

        Raises:
            UserError: There is no run with this id.
        """
        folder = self.root / check_id(run_id, "run id")
        info = layout.load_json(folder / layout.ENCODER_INFO)[0]
        if not self._may(READ, run_id):
            raise UserError(f"There is no run {run_id}: it may have been deleted.")
        if not info and not folder.is_dir():  # asked of every run: looking first would cost twice as much
            raise UserError(f"There is no run {run_id}: it may have been deleted.")
        return info

    def size(self, run_id: str) -> int:
        """Disk used by the run, now."""
        return tree_bytes(self.folder(run_id))

    # changing

    def rename(self, run_id: str, name: str) -> None:
        """Give the run a name of up to 240 letters; an empty one takes the name away.

        Raises:
            UserError: The name is too long, or the run is somebody else's.
        """
        self._say(run_id, name=clean_name(name))

    def set_private(self, run_id: str, private: bool) -> None:
        """Hide the run from all but its owner and teachers, or show it again.

        Raises:
            UserError: The run is somebody else's.
        """
        self._say(run_id, private=private)

    def _say(self, run_id: str, **fields: Any) -> None:
        path = self.own_folder(run_id) / layout.NAME
        with outcome.written():
            write_json(path, {**layout.load_json(path)[0], **fields})

    def request_stop(self, run_id: str, force: bool = False) -> None:
        """Ask the run to end; fine if it has. `force` asks its runner to kill the worker at once.

        Raises:
            UserError: There is no such run, or it is somebody else's.
        """
        folder = self.own_folder(run_id)
        if layout.true_status(folder)["state"] in layout.ACTIVE:
            with outcome.written():
                (folder / layout.STOP).touch()
                if force:
                    (folder / layout.FORCE).touch()
            return
        with _held(folder) as mine:
            state = layout.read_status(folder)["state"]
            if mine and state in layout.ACTIVE:  # its runner is dead: there is nobody to tell
                tickets.drop_ticket(self.root, run_id)
                layout.write_status(
                    folder, state=layout.STOPPED, error="Stopped by you.", finished=time.time()
                )

    def remove(self, run_id: str) -> None:
        """Delete the run with everything it made.

        Raises:
            UserError: It is queued or running, or somebody else's.
        """
        with layout.store_lock(self.root):
            folder = self.own_folder(run_id)
            active = layout.true_status(folder)["state"] in layout.ACTIVE
            writing = try_lock(folder / layout.WRITER_LOCK, wait=0.0 if active else 3.0)
            if writing is not None:
                release(writing)
            if active or writing is None:
                raise UserError("This run is still queued or running: stop it first, then delete it.")
            remove_tree(folder)
            tickets.drop_ticket(self.root, run_id)


def check_space(root: Path) -> None:
    """Refuse to begin what a nearly full disk would cut off.

    Raises:
        UserError: Less than `REPLAB_MIN_FREE_BYTES` are free.
    """
    while not root.exists() and root != root.parent:
        root = root.parent
    with contextlib.suppress(OSError):
        free, floor = shutil.disk_usage(root).free, settings().min_free_bytes
        if free < floor:
            raise UserError(
                f"Only {free / 1e9:.1f} GB of disk are free and {floor / 1e9:.1f} GB are kept in reserve:"
                " delete runs or data sets that are no longer needed, then try again."
            )


def clean_name(name: str | None) -> str:
    """A name as it is kept: one line of at most 240 letters, otherwise exactly what was typed.

    Raises:
        UserError: It is longer.
    """
    text = " ".join(re.sub(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]", " ", name or "").split())
    if len(text) > MAX_NAME:
        raise UserError(f"A name has at most {MAX_NAME} letters; this one has {len(text)}.")
    return text


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold the run's own lock for a moment, so that no runner can be alive; gives whether it is held."""
    lock = try_lock(folder / layout.LOCK, wait=0.2)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            release(lock)

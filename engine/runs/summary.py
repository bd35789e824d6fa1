"""One run in a few fields: read once and remembered, so that a thousand runs are listed in an instant."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine import access
from engine.access import Ownership
from engine.errors import UserError
from engine.files import tree_bytes
from engine.runs import layout
from engine.runs.recipe import recipe_digest

Stamp = tuple[int, int, int] | None  # inode, time of change, size


@dataclass(frozen=True)
class RunSummary:
    """What a list shows of a run. Times are seconds since 1970; `bytes` is None while the run is active."""

    id: str
    name: str
    state: str
    method: str
    backbone: str | None
    dataset: str
    created: float
    started: float | None = None
    finished: float | None = None
    epoch: int = 0  # finished epochs
    epochs: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)  # {"last": epoch row, "best": kept epoch's row}
    error: str | None = None
    queue_place: int | None = None
    bytes: int | None = None
    image_size: int = 0
    seed: int = 0
    attempt: int = 0
    digest: str = ""
    damaged: bool = False
    owner: str = ""  # a person's id; empty for the server's
    private: bool = False

    @property
    def ownership(self) -> Ownership:
        return Ownership(self.owner, self.private)

    @property
    def seconds(self) -> float | None:
        """From start to end; None before the end, or if the clock was set back in between."""
        if not self.started or not self.finished or self.finished < self.started:
            return None
        return self.finished - self.started


@dataclass(frozen=True)
class Status:
    """Where a run stands; `state` is derived from its runner's lock, so it is true."""

    state: str
    error: str | None
    created: float
    submitted: float | None
    started: float | None
    finished: float | None
    attempt: int
    pid: int | None  # the worker's
    runner: int | None
    host: str | None
    device: str | None
    queue_place: int | None
    kept_epoch: int | None
    stopping: bool
    damaged: bool


def make_status(folder: Path, queue_place: int | None) -> Status:
    """The status of a run folder, whatever condition its files are in."""
    status = layout.true_status(folder)
    best = layout.load_json(folder / layout.PROGRESS)[0].get("best")
    device = layout.load_json(folder / layout.ENVIRONMENT)[0].get("device")
    state = status["state"]
    return Status(
        state=state,
        error=_text(status.get("error")) if state not in layout.ACTIVE else None,
        created=layout.number(status.get("created")),
        submitted=layout.number(status.get("submitted")) or None,
        started=layout.number(status.get("started")) or None,
        finished=layout.number(status.get("finished")) or None if state not in layout.ACTIVE else None,
        attempt=int(layout.number(status.get("attempt"))),
        pid=int(layout.number(status.get("pid"))) or None if state == layout.RUNNING else None,
        runner=int(layout.number(status.get("runner"))) or None if state in layout.ACTIVE else None,
        host=_text(status.get("host")),
        device=_text(device),
        queue_place=queue_place if state == layout.QUEUED else None,
        kept_epoch=int(layout.number(best.get("epoch"))) or None if isinstance(best, dict) else None,
        stopping=state in layout.ACTIVE and (folder / layout.STOP).exists(),
        damaged=bool(status.get("damaged")),
    )


def summarize(root: str, run_id: str, places: Mapping[str, int]) -> RunSummary | None:
    """The summary of one run, or None if the folder is not one."""
    path = f"{root}{os.sep}{run_id}"
    run = _remembered(path, run_id)
    if run is None or run.state not in layout.ACTIVE:
        return run
    status = layout.true_status(Path(path))
    if status["state"] in layout.ACTIVE:
        place = places.get(run_id) if status["state"] == layout.QUEUED else None
        return replace(run, state=status["state"], queue_place=place, error=None)
    if not status.get("lost"):  # it ended between the two looks
        return summarize(root, run_id, places)
    return replace(run, state=status["state"], error=status["error"], bytes=tree_bytes(Path(path)))


_CACHE: dict[str, tuple[tuple[Stamp, ...], RunSummary]] = {}  # run folder -> files' stamps, what they said
MAX_CACHED = 20_000


def _remembered(path: str, run_id: str) -> RunSummary | None:
    """The summary as the files say, read again when one of them was replaced."""
    known = _CACHE.get(path)
    status, name = _stamp(f"{path}{os.sep}{layout.STATUS}"), _stamp(f"{path}{os.sep}{layout.NAME}")
    if known and known[0][:2] == (status, name) and known[1].state not in layout.ACTIVE:
        return known[1]  # a run at rest reports no progress
    stamps = status, name, _stamp(f"{path}{os.sep}{layout.PROGRESS}")
    if known and known[0] == stamps:
        return known[1]
    if status is None and _stamp(f"{path}{os.sep}{layout.RECIPE}") is None:
        return None
    if len(_CACHE) >= MAX_CACHED:
        _CACHE.clear()
    run = _read(path, run_id)
    _CACHE[path] = stamps, run
    return run


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: str, run_id: str) -> RunSummary:
    folder = Path(path)
    recipe, bad_recipe = layout.load_json(f"{path}{os.sep}{layout.RECIPE}")
    progress, bad_progress = layout.load_json(f"{path}{os.sep}{layout.PROGRESS}")
    status = layout.read_status(folder)
    about, bad_about = layout.load_json(f"{path}{os.sep}{layout.NAME}")
    name = _text(about.get("name"))
    method, dataset = _text(recipe.get("method")) or "unknown", _text(recipe.get("dataset")) or "unknown"
    backbone = _text(recipe.get("backbone"))
    metrics = {key: progress[key] for key in ("last", "best") if isinstance(progress.get(key), dict)}
    final = status["state"] not in layout.ACTIVE
    config = recipe.get("config") if isinstance(recipe.get("config"), dict) else {}
    epochs = layout.number(progress.get("epochs")) or layout.number(config.get("epochs"))  # type: ignore[union-attr]
    return RunSummary(
        id=run_id,
        name=name or default_name(method, backbone, data_name(dataset)),
        state=status["state"],
        method=method,
        backbone=backbone,
        dataset=dataset,
        created=layout.number(status.get("created")) or _changed(f"{path}{os.sep}{layout.RECIPE}"),
        started=layout.number(status.get("started")) or None,
        finished=layout.number(status.get("finished")) or None if final else None,
        epoch=int(layout.number(metrics.get("last", {}).get("epoch"))),
        epochs=int(epochs),
        metrics=metrics,
        error=_text(status.get("error")) if final else None,
        bytes=int(layout.number(status.get("bytes"))) or tree_bytes(folder) if final else None,
        image_size=int(layout.number(recipe.get("image_size"))),
        seed=int(layout.number(recipe.get("seed"))),
        attempt=int(layout.number(status.get("attempt"))),
        digest=_text(status.get("digest")) or recipe_digest(recipe),
        damaged=bad_recipe or bad_progress or bool(status.get("damaged")) or not recipe,
        owner=_text(status.get("owner")) or "",
        private=bad_about or about.get("private", False) is not False,
    )


def default_name(method: str, backbone: str | None, dataset: str) -> str:
    """What a run is called until somebody names it."""
    return " · ".join(part for part in (method, (backbone or "").rpartition(":")[2], dataset) if part)


def data_name(dataset: str) -> str:
    """What people call a data set; its id where there is none (any more)."""
    from engine.data.dataset import card  # who may not see the set does not see its runs either

    try:
        found = card(dataset)
    except UserError:
        return dataset
    return found.name if found else dataset


def is_mine(run: RunSummary) -> bool:
    """Whether the run is that of who is acting; to whoever has the machine, all are."""
    person = access.me()
    return person.role == access.OPERATOR or run.owner == person.id


def ownership_of(root: str, run_id: str) -> Ownership:
    """Whose a run is: its own mark, and hidden with its data set."""
    run = _remembered(f"{root}{os.sep}{run_id}", run_id)
    return hidden_with_data(run) if run else Ownership("", private=True)


def hidden_with_data(run: RunSummary) -> Ownership:
    """The run's ownership; private too where its data set is, for a run shows its images."""
    from engine.data.dataset import card, is_here

    try:
        found = card(run.dataset)
        hidden = found.ownership.private if found else is_here(run.dataset)  # there, and not to be read
    except UserError:
        hidden = False
    return Ownership(run.owner, run.private or hidden)


def _changed(path: str) -> float:
    stamp = _stamp(path)
    return stamp[1] / 1e9 if stamp else 0.0


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None

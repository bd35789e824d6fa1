"""Runs as one zip for another installation: the files of each, named and hashed in a manifest.

No checkpoint goes along, since reading one can run code. A data set is named by its fingerprint; its images
go along where that is asked for.
"""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from engine.data.dataset import Dataset, DatasetSummary, open_dataset, summarise
from engine.data.progress import Progress, Report, Stop, never, silent, tell_or_stop
from engine.errors import UserError
from engine.export.set_zip import write_member, write_set
from engine.projections import PROJECTIONS
from engine.runs import layout
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.runs.summary import data_name

FORMAT = "representation-lab runs"
RUNS_ALONE, WITH_DATA = 1, 2  # versions; a program that knows the first only refuses the second
MANIFEST = "manifest.json"
BLOCK = 1024 * 1024
JSON_FILES = (
    layout.RECIPE,
    layout.STATUS,
    layout.NAME,
    layout.PROGRESS,
    layout.RESULTS,
    layout.ENVIRONMENT,
    layout.ENCODER_INFO,
    layout.SELECTIONS,
)
TENSOR_FILES = (layout.ENCODER, layout.DECODER, layout.BEST)
FRAME = re.compile(r"[0-9]{5}\.npz")
MAP_PARTS = (layout.MAP_POINTS, layout.MAP_NEIGHBOURS, layout.MAP_CLUSTERS, *PROJECTIONS)
NEEDED = (layout.RECIPE, layout.STATUS)
# what status.json says of the machine and its people, which is nobody else's business
PRIVATE = ("host", "pid", "runner", "submitted", "owner", "lost")


def is_run_file(name: str) -> bool:
    """Whether a file of this name, such as "frames/00003.npz", can be part of a run that is handed on."""
    if name in (*JSON_FILES, *TENSOR_FILES, layout.METRICS, layout.PREDICTIONS):
        return True
    folder, _, file = name.partition("/")
    if folder == layout.FRAMES:
        return bool(FRAME.fullmatch(file))
    return folder == layout.MAPS and file.removesuffix(".npz") in MAP_PARTS and file.endswith(".npz")


def run_files(folder: Path) -> list[str]:
    """Names of a run's files that are handed on, in order."""
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in there if is_run_file(name))


def write_run_zip(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write one run as a zip.

    Raises:
        UserError: There is no such run, it is not finished, or its recipe is damaged.
    """
    write_runs_zip([run_id], path, report)


def write_runs_zip(
    run_ids: Sequence[str],
    path: Path,
    report: Report | None = None,
    *,
    with_data: bool = False,
    stop: Stop = never,
) -> None:
    """Write several finished runs as one zip.

    Args:
        run_ids: Which.
        path: The file.
        report: Told how far it is, in MB, then in images.
        with_data: Pack the data sets that they learned from too, where those are still here.
        stop: Asked now and then.

    Raises:
        UserError: One of them is not finished, its recipe is damaged, or an image cannot be packed.
        Stopped: `stop` said so.
    """
    store, done, report = RunStore(), 0, report or silent
    named = {run_id: run_files(store.folder(run_id)) for run_id in run_ids}
    total = sum((store.folder(run_id) / name).stat().st_size for run_id in named for name in named[run_id])
    entries = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for run_id in run_ids:
            entry = _entry(run_id, store)
            for name in named[run_id]:
                tell_or_stop(report, stop, Progress("packing", done // 10**6, total // 10**6, "MB"))
                blocks = _blocks(store.folder(run_id) / name, name)
                entry["files"][name] = write_member(archive, f"runs/{run_id}/{name}", blocks)
                done += entry["files"][name]["bytes"]
            entries.append(entry)
        manifest: dict[str, Any] = {"format": FORMAT, "version": RUNS_ALONE, "written": time.time()}
        manifest["runs"] = entries
        if with_data:
            sets = [write_set(archive, dataset, report, stop) for dataset in sets_of(run_ids)]
            manifest |= {"version": WITH_DATA, "data": sets} if sets else {}
        data = json.dumps(manifest, indent=1, allow_nan=False).encode()
        archive.writestr(MANIFEST, data, zipfile.ZIP_DEFLATED)


def sets_of(run_ids: Sequence[str]) -> list[Dataset]:
    """The data sets that runs learned from, open for reading, as `needed_sets` has them."""
    return [open_dataset(one.id) for one in needed_sets(run_ids)]


def needed_sets(run_ids: Sequence[str]) -> list[DatasetSummary]:
    """The data sets that runs learned from, each once; those that are gone or have changed are left out."""
    store = RunStore()
    found: dict[str, DatasetSummary] = {}
    for run_id in run_ids:
        facts = _facts_of(store.folder(run_id))
        there = found.get(facts.dataset) or (summarise(facts.dataset) if facts.dataset else None)
        if there is not None and facts.fingerprint in ("", there.info.get("fingerprint")):
            found[there.id] = there
    return list(found.values())


def packed_bytes(run_ids: Sequence[str], with_data: bool = False) -> int:
    """About how large the zip of finished runs will be."""
    store = RunStore()
    runs = sum(_facts_of(store.folder(run_id)).bytes for run_id in run_ids)
    return runs + (sum(one.bytes for one in needed_sets(run_ids)) if with_data else 0)


@dataclass(frozen=True)
class _Facts:
    """What is asked of many runs at once: bytes that are handed on, and what it learned from."""

    bytes: int
    dataset: str
    fingerprint: str


def _facts_of(folder: Path) -> _Facts:
    found = (folder / layout.STATUS).stat()
    return _read_facts(folder, (found.st_ino, found.st_mtime_ns))


@lru_cache(maxsize=4096)
def _read_facts(folder: Path, stamp: tuple[int, int]) -> _Facts:
    """A finished run's stay what they are while its status is not written anew."""
    size = sum((folder / name).stat().st_size for name in run_files(folder))
    try:
        recipe = Recipe.from_json((folder / layout.RECIPE).read_bytes())
    except (UserError, OSError):
        return _Facts(size, "", "")
    return _Facts(size, recipe.dataset, recipe.fingerprint)


def finished_runs(store: RunStore) -> list[str]:
    """Every run that can be handed on, oldest first."""
    return [run.id for run in reversed(store.list()) if run.state in layout.FINAL and not run.damaged]


def _entry(run_id: str, store: RunStore) -> dict[str, Any]:
    run, recipe = store.get(run_id), store.recipe(run_id)
    if run.state not in layout.FINAL:
        raise UserError(f"The run {run_id} is not finished: wait for it, or stop it first.")
    there = summarise(recipe.dataset)
    return {
        "id": run_id,
        "name": run.name,
        "method": recipe.method,
        "state": run.state,
        "digest": recipe.digest(),
        "data": {
            "id": recipe.dataset,
            "name": data_name(recipe.dataset),
            "fingerprint": recipe.fingerprint,
            "images": there.n if there else None,
        },
        "files": {},
    }


def _blocks(path: Path, name: str) -> Iterator[bytes]:
    if name == layout.STATUS:
        # the true one: a run whose runner was killed still says that it runs until somebody looks after it
        kept = {key: value for key, value in layout.true_status(path.parent).items() if key not in PRIVATE}
        yield json.dumps(kept, allow_nan=False).encode()
        return
    with open(path, "rb") as file:
        yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block

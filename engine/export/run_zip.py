"""Runs as one zip for another installation: the files of each, named and hashed in a manifest.

No checkpoint goes along, since reading one can run code, and no image: a data set is named by its
fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from engine.data.dataset import summarise
from engine.data.progress import Progress, Report, silent
from engine.errors import UserError
from engine.projections import PROJECTIONS
from engine.runs import layout
from engine.runs.store import RunStore
from engine.runs.summary import data_name

FORMAT, VERSION = "representation-lab runs", 1
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
# what status.json says of the machine, which is nobody else's business
PRIVATE = ("host", "pid", "runner", "submitted")


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


def write_runs_zip(run_ids: Sequence[str], path: Path, report: Report | None = None) -> None:
    """Write several finished runs as one zip.

    Args:
        run_ids: Which.
        path: The file.
        report: Told how far it is, in MB.

    Raises:
        UserError: One of them is not finished, or its recipe is damaged.
    """
    store, done = RunStore(), 0
    named = {run_id: run_files(store.folder(run_id)) for run_id in run_ids}
    total = sum((store.folder(run_id) / name).stat().st_size for run_id in named for name in named[run_id])
    entries = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for run_id in run_ids:
            entry = _entry(run_id, store)
            for name in named[run_id]:
                (report or silent)(Progress("packing", done // 10**6, total // 10**6, "MB"))
                entry["files"][name] = _add(archive, run_id, name, store)
                done += entry["files"][name]["bytes"]
            entries.append(entry)
        manifest = {"format": FORMAT, "version": VERSION, "written": time.time(), "runs": entries}
        data = json.dumps(manifest, indent=1, allow_nan=False).encode()
        archive.writestr(MANIFEST, data, zipfile.ZIP_DEFLATED)


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


def _add(archive: zipfile.ZipFile, run_id: str, name: str, store: RunStore) -> dict[str, Any]:
    """Put one file of a run into the zip; gives its size and hash."""
    path = store.folder(run_id) / name
    packed = zipfile.ZIP_DEFLATED if name.endswith((".json", ".jsonl")) else zipfile.ZIP_STORED
    info = zipfile.ZipInfo(f"runs/{run_id}/{name}")
    info.compress_type, info.external_attr = packed, 0o644 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as target:
        for block in _blocks(path, name):
            digest.update(block)
            size += len(block)
            target.write(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _blocks(path: Path, name: str) -> Iterator[bytes]:
    if name == layout.STATUS:
        kept = {key: value for key, value in layout.read_status(path.parent).items() if key not in PRIVATE}
        yield json.dumps(kept, allow_nan=False).encode()
        return
    with open(path, "rb") as file:
        yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block

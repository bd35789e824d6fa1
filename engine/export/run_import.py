"""Taking in runs that another installation packed: checked, hashed, and there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import files
from engine.data.dataset import DatasetSummary, list_datasets
from engine.data.progress import Progress, Report, Stop, Stopped, never, silent, tell_or_stop
from engine.data.source import BLOCK, DAMAGED, short_name
from engine.data.zip_source import ZIP_METHODS, ZipSource
from engine.errors import UserError
from engine.export.run_checks import check_run, parse_manifest
from engine.export.run_zip import FORMAT, MANIFEST, NEEDED, VERSION, is_run_file
from engine.lock import release, try_lock
from engine.runs import layout
from engine.runs.recipe import MAX_BYTES as MAX_RECIPE
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore, check_space
from engine.settings import settings

LOCK = "lock"  # a folder in tmp that holds a locked one is not swept
MAX_MANIFEST = 16 * 1024**2
MAX_METRICS = 256 * 1024**2
MOST_RUNS = 5000
NOT_OURS = "This zip holds no runs of this program: choose one that its Take home or `export` has written."


@dataclass(frozen=True)
class Imported:
    """One run that was taken in.

    Attributes:
        id: What it is called here.
        was: What it was called where it came from.
        name: Its name.
        data: The name of its data set.
        missing: One sentence if the data set is not here.
    """

    id: str
    was: str
    name: str
    data: str
    missing: str | None


@dataclass(frozen=True)
class _Packed:
    """One run of the manifest."""

    id: str
    data: dict[str, Any]
    files: dict[str, tuple[int, str]]  # name -> bytes, sha256


def import_runs(path: Path, report: Report | None = None, stop: Stop = never) -> list[Imported]:
    """Take in every run of a zip.

    A run whose id is taken gets a fresh one. A data set here with the same fingerprint becomes the run's,
    whatever its id.

    Args:
        path: The zip; it may come from anybody.
        report: Told how far it is.
        stop: Asked between two blocks of a file and between two runs.

    Returns:
        The runs, in the zip's order.

    Raises:
        UserError: It is not such a zip, or a file in it is not as it should be; nothing is left of it.
        Stopped: It was asked to stop; nothing is left of it either.
    """
    store, report = RunStore(), report or silent
    check_space(store.root)
    if not path.is_file():
        raise UserError("There is no such zip: check its name.")
    room = files.inside(settings().tmp, files.new_id())
    room.mkdir(parents=True)
    with ExitStack() as after:
        after.callback(files.remove_tree, room)
        lock = try_lock(room / LOCK)
        if lock is not None:
            after.callback(release, lock)
        try:
            packed = _unpack(path, room, report, stop)
            here, recipes = {one.id: one for one in list_datasets()}, []
            for number, run in enumerate(packed):
                tell_or_stop(report, stop, Progress("checking", number, len(packed), "runs"))
                recipes.append(check_run(room / run.id, _same_data(run, here)))
            tell_or_stop(report, stop, Progress("taking in", 0, len(packed), "runs"))
            return _move_in(room, packed, recipes, store, here)
        except zipfile.BadZipFile:
            raise UserError(DAMAGED) from None
        except OSError as error:
            full = error.errno in (28, 122)
            what = "The disk is full" if full else "This zip cannot be read, or the workspace not written to"
            raise UserError(f"{what}; nothing was taken in.") from None


def _unpack(path: Path, room: Path, report: Report, stop: Stop) -> list[_Packed]:
    """Write every file of every run below `room`, as large and with the hash that the manifest says."""
    if not zipfile.is_zipfile(path):
        raise UserError(NOT_OURS)
    source = ZipSource(path)
    with source.file:
        left = settings().max_unpacked_bytes
        members = {info.filename: info for info in source.members}
        if MANIFEST not in members:
            raise UserError(NOT_OURS)
        if len(members) < len(source.members):
            raise UserError("This zip names a file twice: pack the runs again.")
        packed = _manifest(_small(source, members.pop(MANIFEST), MAX_MANIFEST))
        wanted = {f"runs/{run.id}/{name}": (run, name) for run in packed for name in run.files}
        for name in members:
            if name not in wanted:
                raise UserError(f"This zip holds '{short_name(name)}', which is no file of a run in it.")
        for done, (member, (run, name)) in enumerate(wanted.items()):
            if member not in members:
                raise UserError(f"This zip lacks '{short_name(name)}', which its manifest names.")
            tell_or_stop(report, stop, Progress("unpacking", done, len(wanted), "files"))
            target = files.inside(room, run.id, *name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= run.files[name][0]
            if left < 0:
                most = settings().max_unpacked_bytes / 1e9
                raise UserError(f"This zip unpacks to more than {most:.3g} GB, the limit: pack fewer runs.")
            _write(source.archive, members[member], target, run.files[name], stop)
    return packed


def _manifest(data: bytes) -> list[_Packed]:
    """The runs that a manifest names, all of it checked."""
    found = parse_manifest(data)
    if found.get("format") != FORMAT:
        raise UserError(NOT_OURS)
    if found.get("version") != VERSION:
        raise UserError("This zip was written by a newer version of this program: bring this one up to date.")
    runs = found.get("runs")
    if not isinstance(runs, list) or not 0 < len(runs) <= MOST_RUNS:
        raise UserError("The manifest of this zip names no runs: pack them again.")
    packed = [_packed(run) for run in runs]
    if len({run.id for run in packed}) < len(packed):
        raise UserError("The manifest of this zip names a run twice: pack the runs again.")
    return packed


def _packed(run: Any) -> _Packed:
    named = run.get("files") if isinstance(run, dict) else None
    if not isinstance(named, dict):
        raise UserError("The manifest of this zip is damaged: pack the run again.")
    run_id = files.check_id(run.get("id"), "run id")
    found = {}
    for name, facts in named.items():
        if not is_run_file(name):
            raise UserError(f"The manifest names '{short_name(name)}', which is no file of a run.")
        size, digest = (facts.get("bytes"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(digest, str):
            raise UserError(f"The manifest does not say how large '{short_name(name)}' is: pack it again.")
        if size > _most(name):
            raise UserError(
                f"'{short_name(name)}' is larger than such a file can be: it is damaged or a trap."
            )
        found[name] = size, digest
    if lacking := [name for name in NEEDED if name not in found]:
        raise UserError(f"A run in this zip has no {lacking[0]}: pack it again.")
    data = run.get("data")
    return _Packed(run_id, data if isinstance(data, dict) else {}, found)


def _most(name: str) -> int:
    if name == layout.RECIPE:
        return MAX_RECIPE
    if name == layout.METRICS:
        return MAX_METRICS
    return layout.MAX_JSON if name.endswith(".json") else settings().max_unpacked_bytes


def _check_kind(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    plain = not stat.S_IFMT(mode) or stat.S_ISREG(mode)
    if not plain or info.flag_bits & 1 or info.compress_type not in ZIP_METHODS:
        raise UserError(f"'{short_name(info.filename)}' is no plain file of this zip: pack the runs again.")


def _small(source: ZipSource, info: zipfile.ZipInfo, most: int) -> bytes:
    _check_kind(info)
    try:
        with source.archive.open(info) as file:
            data = file.read(most + 1)
    except (zlib.error, ValueError, EOFError, RuntimeError, NotImplementedError):
        raise UserError(DAMAGED) from None
    if len(data) > most:
        raise UserError("The manifest of this zip is far too large: it is damaged or a trap.")
    return data


def _write(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, said: tuple[int, str], stop: Stop
) -> None:
    """Write one member to a file whose name is ours, not a byte more than the manifest says."""
    _check_kind(info)
    size, digest = said
    found, length = hashlib.sha256(), 0
    wrong = UserError(f"'{short_name(target.name)}' is not what the manifest says: download the zip again.")
    try:
        with archive.open(info) as file, open(target, "xb") as out:
            while block := file.read(BLOCK):
                if stop():
                    raise Stopped
                length += len(block)
                if length > size:
                    raise wrong
                found.update(block)
                out.write(block)
    except (zlib.error, ValueError, EOFError, RuntimeError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(DAMAGED) from None
    if length != size or found.hexdigest() != digest:
        raise wrong


def _same_data(run: _Packed, sets: Mapping[str, DatasetSummary]) -> str | None:
    """Id of a data set here with the run's fingerprint, where the run's own id is not it."""
    wanted, own = run.data.get("fingerprint"), run.data.get("id")
    here = {one.id: str(one.info.get("fingerprint")) for one in sets.values()}
    if not isinstance(wanted, str) or not wanted or here.get(str(own)) == wanted:
        return None
    return next((name for name, known in here.items() if known == wanted), None)


def _move_in(
    room: Path,
    packed: list[_Packed],
    recipes: list[Recipe],
    store: RunStore,
    here: Mapping[str, DatasetSummary],
) -> list[Imported]:
    """Rename every unpacked run into its place; takes all of them back if one cannot be."""
    store.root.mkdir(parents=True, exist_ok=True)
    moved: list[Path] = []
    found = []
    with layout.store_lock(store.root):
        try:
            for run, recipe in zip(packed, recipes, strict=True):
                taken = (store.root / run.id).exists()
                run_id = files.new_id() if taken else run.id
                place = files.inside(store.root, run_id)
                status = layout.read_status(room / run.id)
                size = files.tree_bytes(room / run.id)
                layout.write_status(room / run.id, **{**status, "bytes": size, "imported": time.time()})
                os.replace(room / run.id, place)
                moved.append(place)
                found.append((run_id, run, recipe))
        except BaseException:
            for place in moved:
                files.remove_tree(place)
            raise
    return [_told(run_id, run, recipe, store, here.get(recipe.dataset)) for run_id, run, recipe in found]


def _told(
    run_id: str, run: _Packed, recipe: Recipe, store: RunStore, there: DatasetSummary | None
) -> Imported:
    name = run.data.get("name")
    called = there.name if there else short_name(name) if isinstance(name, str) else recipe.dataset
    missing = None
    if there is None:
        missing = (
            f"Its data set, {called}, is not here: the run can be looked at and its encoder used, and images "
            "show once the set is added."
        )
    elif recipe.fingerprint and str(there.info.get("fingerprint")) != recipe.fingerprint:
        missing = f"The data set {called} here has other content than the run learned from."
    return Imported(run_id, run.id, store.get(run_id).name, called, missing)

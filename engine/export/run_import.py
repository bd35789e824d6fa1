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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine import files
from engine.data.dataset import DatasetSummary, list_datasets
from engine.data.progress import Progress, Report, Stop, Stopped, never, silent, tell_or_stop
from engine.data.source import BLOCK, DAMAGED, short_name
from engine.data.zip_source import ZIP_METHODS, ZipSource
from engine.errors import UserError
from engine.export.run_checks import check_run
from engine.export.run_manifest import NOT_OURS, Packed, PackedSet, read_manifest
from engine.export.run_names import follow
from engine.export.run_zip import MANIFEST
from engine.export.set_zip import IMAGES, MEMBERS, SET, take_in_set
from engine.lock import release, try_lock
from engine.runs import layout, quotas
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore, check_space
from engine.settings import settings

LOCK = "lock"  # a folder in tmp that holds a locked one is not swept
MAX_MANIFEST = 16 * 1024**2


@dataclass(frozen=True)
class Imported:
    """One run that was taken in.

    Attributes:
        id: What it is called here.
        was: What it was called where it came from.
        name: Its name.
        data: The name of its data set.
        missing: One sentence if the data set is not here.
        brought: The data set came along.
    """

    id: str
    was: str
    name: str
    data: str
    missing: str | None
    brought: bool = False


@dataclass
class _Taken:
    """What a zip has brought so far.

    Attributes:
        runs: Unpacked, each in a folder of the room.
        sets: Folders of the data sets that were built from it.
        here: Every data set that there is now.
    """

    runs: list[Packed] = field(default_factory=list)
    sets: list[Path] = field(default_factory=list)
    here: dict[str, DatasetSummary] = field(default_factory=dict)

    def give_back(self) -> None:
        """Remove the data sets again."""
        for root in self.sets:
            files.remove_tree(root)


def import_runs(path: Path, report: Report | None = None, stop: Stop = never) -> list[Imported]:
    """Take in every run of a zip, and the data sets in it that are not here.

    A run whose id is taken gets a fresh one, and the other runs of the zip that name it follow. A data set
    here with the same fingerprint becomes the run's, whatever its id.

    Args:
        path: The zip; it may come from anybody.
        report: Told how far it is.
        stop: Asked between two blocks of a file, two images and two runs.

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
        taken = _Taken()
        try:
            _unpack(path, room, taken, report, stop)
            recipes = []
            for number, run in enumerate(taken.runs):
                tell_or_stop(report, stop, Progress("checking", number, len(taken.runs), "runs"))
                recipes.append(check_run(room / run.id, _same_data(run, taken.here)))
            tell_or_stop(report, stop, Progress("taking in", 0, len(taken.runs), "runs"))
            return _move_in(room, taken, recipes, store)
        except BaseException as error:
            taken.give_back()
            if isinstance(error, zipfile.BadZipFile):
                raise UserError(DAMAGED) from None
            if isinstance(error, OSError):
                unread = "This zip cannot be read, or the workspace not written to"
                what = "The disk is full" if error.errno in (28, 122) else unread
                raise UserError(f"{what}; nothing was taken in.") from None
            raise


def _unpack(path: Path, room: Path, taken: _Taken, report: Report, stop: Stop) -> None:
    """Write every file of every run below `room`, as large and with the hash that the manifest says.

    Data sets that are not here are built too.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(NOT_OURS)
    source = ZipSource(path)
    with source.file:
        members = {info.filename: info for info in source.members}
        if MANIFEST not in members:
            raise UserError(NOT_OURS)
        if len(members) < len(source.members):
            raise UserError("This zip names a file twice: pack the runs again.")
        packed, sets = read_manifest(_small(source, members.pop(MANIFEST), MAX_MANIFEST))
        wanted = {f"runs/{run.id}/{name}": (run, name) for run in packed for name in run.files}
        of_sets = {f"data/{one.id}/{name}": one.files[name] for one in sets for name in MEMBERS}
        for name in members:
            if name not in wanted and name not in of_sets:
                raise UserError(f"This zip holds '{short_name(name)}', which is no file of a run in it.")
        for name in (*wanted, *of_sets):
            if name not in members:
                short = short_name(name.split("/", 2)[2])
                raise UserError(f"This zip lacks '{short}', which its manifest names.")
        most = settings().max_unpacked_bytes
        if sum(size for run in packed for size, _ in run.files.values()) + _set_bytes(sets) > most:
            raise UserError(f"This zip unpacks to more than {most / 1e9:.3g} GB, the limit: pack fewer runs.")
        for done, (member, (run, name)) in enumerate(wanted.items()):
            tell_or_stop(report, stop, Progress("unpacking", done, len(wanted), "files"))
            target = files.inside(room, run.id, *name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(source.archive, members[member], target, run.files[name], stop)
        taken.runs = packed
        _take_in_sets(source, members, sets, taken, report, stop)


def _set_bytes(sets: list[PackedSet]) -> int:
    return sum(size for one in sets for size, _ in one.files.values())


def _take_in_sets(
    source: ZipSource,
    members: Mapping[str, zipfile.ZipInfo],
    sets: list[PackedSet],
    taken: _Taken,
    report: Report,
    stop: Stop,
) -> None:
    """Build the data sets whose content is not here yet."""
    taken.here = {one.id: one for one in list_datasets()}
    known = {str(one.info.get("fingerprint")) for one in taken.here.values()}
    for one in sets:
        if one.fingerprint in known:
            continue
        infos = {name: members[f"data/{one.id}/{name}"] for name in MEMBERS}
        for info in infos.values():
            _check_kind(info)
        told = _small(source, infos[SET], min(layout.MAX_JSON, one.files[SET][0]))
        if (len(told), hashlib.sha256(told).hexdigest()) != one.files[SET]:
            raise UserError(f"'{SET}' is not what the manifest says: download the zip again.")
        with quotas.expecting(sets=1, bytes=_set_bytes([one])):
            made = take_in_set(partial(source.archive.open, infos[IMAGES]), told, one.files, report, stop)
        taken.sets.append(made.root)
        if made.fingerprint != one.fingerprint:
            raise UserError("A data set in this zip is not the one that its manifest names: pack it again.")
        known.add(one.fingerprint)
    if taken.sets:
        taken.here = {one.id: one for one in list_datasets()}


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


def _same_data(run: Packed, sets: Mapping[str, DatasetSummary]) -> str | None:
    """Id of a data set here with the run's fingerprint, where the run's own id is not it."""
    wanted, own = run.data.get("fingerprint"), run.data.get("id")
    here = {one.id: str(one.info.get("fingerprint")) for one in sets.values()}
    if not isinstance(wanted, str) or not wanted or here.get(str(own)) == wanted:
        return None
    return next((name for name, known in here.items() if known == wanted), None)


def _move_in(room: Path, taken: _Taken, recipes: list[Recipe], store: RunStore) -> list[Imported]:
    """Rename every unpacked run into its place; takes all of them back if one cannot be."""
    store.root.mkdir(parents=True, exist_ok=True)
    moved: list[Path] = []
    with layout.store_lock(store.root):
        quotas.require_room(bytes=sum(files.tree_bytes(room / run.id) for run in taken.runs))
        fresh = {run.id: files.new_id() for run in taken.runs if (store.root / run.id).exists()}
        try:
            if fresh:
                pairs = zip(taken.runs, recipes, strict=True)
                recipes = [follow(room / run.id, recipe, fresh) for run, recipe in pairs]
            for run in taken.runs:
                place = files.inside(store.root, fresh.get(run.id, run.id))
                status = layout.read_status(room / run.id)
                size = files.tree_bytes(room / run.id)
                layout.write_status(room / run.id, **{**status, "bytes": size, "imported": time.time()})
                os.replace(room / run.id, place)
                moved.append(place)
        except BaseException:
            for place in moved:
                files.remove_tree(place)
            raise
    brought = {root.name for root in taken.sets}
    return [
        _told(place.name, run, recipe, store, taken.here.get(recipe.dataset), recipe.dataset in brought)
        for place, run, recipe in zip(moved, taken.runs, recipes, strict=True)
    ]


def _told(
    run_id: str, run: Packed, recipe: Recipe, store: RunStore, there: DatasetSummary | None, brought: bool
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
    return Imported(run_id, run.id, store.get(run_id).name, called, missing, brought)

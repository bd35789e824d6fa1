"""What a zip of runs says that it holds, checked before any of it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.data.source import short_name
from engine.errors import UserError
from engine.export.run_zip import FORMAT, NEEDED, RUNS_ALONE, WITH_DATA, is_run_file
from engine.export.set_zip import MEMBERS, Facts
from engine.files import check_id
from engine.runs import layout
from engine.runs.recipe import MAX_BYTES as MAX_RECIPE
from engine.settings import settings

MAX_METRICS = 256 * 1024**2
MOST_RUNS = 5000
NOT_OURS = "This zip holds no runs of this program: choose one that its Take home or `export` has written."
BAD_MANIFEST = "The manifest of this zip is damaged: pack the run again."


@dataclass(frozen=True)
class Packed:
    """One run of the manifest."""

    id: str
    data: dict[str, Any]
    files: Facts


@dataclass(frozen=True)
class PackedSet:
    """One data set of the manifest."""

    id: str
    fingerprint: str
    files: Facts


def read_manifest(data: bytes) -> tuple[list[Packed], list[PackedSet]]:
    """The runs and data sets that a manifest names.

    Raises:
        UserError: It is of another program or version, or not as this program writes it.
    """
    found = _parsed(data)
    if found.get("format") != FORMAT:
        raise UserError(NOT_OURS)
    if found.get("version") not in (RUNS_ALONE, WITH_DATA):
        raise UserError("This zip was written by a newer version of this program: bring this one up to date.")
    runs = found.get("runs")
    if not isinstance(runs, list) or not 0 < len(runs) <= MOST_RUNS:
        raise UserError("The manifest of this zip names no runs: pack them again.")
    packed = [_packed(run) for run in runs]
    if len({run.id for run in packed}) < len(packed):
        raise UserError("The manifest of this zip names a run twice: pack the runs again.")
    listed = found.get("data", [])
    if not isinstance(listed, list) or len(listed) > MOST_RUNS:
        raise UserError(BAD_MANIFEST)
    sets = [_packed_set(one) for one in listed]
    if len({one.id for one in sets}) < len(sets):
        raise UserError("The manifest of this zip names a data set twice: pack the runs again.")
    return packed, sets


def _packed_set(one: Any) -> PackedSet:
    fingerprint = one.get("fingerprint") if isinstance(one, dict) else None
    if not isinstance(fingerprint, str) or not fingerprint or not isinstance(one.get("files"), dict):
        raise UserError(BAD_MANIFEST)
    set_id = check_id(one.get("id"), "data set id")
    found = _facts(one["files"], MEMBERS.__contains__, "a data set")
    if found.keys() != set(MEMBERS):
        raise UserError("A data set in this zip is not whole: pack it again.")
    return PackedSet(set_id, fingerprint, found)


def _packed(run: Any) -> Packed:
    named = run.get("files") if isinstance(run, dict) else None
    if not isinstance(named, dict):
        raise UserError(BAD_MANIFEST)
    run_id = check_id(run.get("id"), "run id")
    found = _facts(named, is_run_file, "a run")
    if lacking := [name for name in NEEDED if name not in found]:
        raise UserError(f"A run in this zip has no {lacking[0]}: pack it again.")
    data = run.get("data")
    return Packed(run_id, data if isinstance(data, dict) else {}, found)


def _facts(named: Mapping[str, Any], fits: Callable[[str], bool], of: str) -> Facts:
    """Size and hash of each file that the manifest names of a run or a data set."""
    found = {}
    for name, facts in named.items():
        if not fits(name):
            raise UserError(f"The manifest names '{short_name(name)}', which is no file of {of}.")
        size, digest = (facts.get("bytes"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(digest, str):
            raise UserError(f"The manifest does not say how large '{short_name(name)}' is: pack it again.")
        if size > _most(name):
            raise UserError(
                f"'{short_name(name)}' is larger than such a file can be: it is damaged or a trap."
            )
        found[name] = size, digest
    return found


def _most(name: str) -> int:
    if name == layout.RECIPE:
        return MAX_RECIPE
    if name == layout.METRICS:
        return MAX_METRICS
    return layout.MAX_JSON if name.endswith(".json") else settings().max_unpacked_bytes


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UserError(BAD_MANIFEST)
    return found

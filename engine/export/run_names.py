"""Runs that got fresh ids on their way in: whatever names one of them by its old id follows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.files import beside, write_bytes, write_json
from engine.runs import layout
from engine.runs.reading import MAX_LINE
from engine.runs.recipe import Recipe, make_recipe

# what a run found that may name another: as an encoder, "run:<id>", or under "run"
FOUND = (layout.RESULTS, layout.PROGRESS, layout.ENCODER_INFO)
ENCODER = re.compile(r"(?<![A-Za-z0-9_.-])run:([a-z0-9-]{1,64})(?![A-Za-z0-9_.-])")


def follow(folder: Path, recipe: Recipe, names: Mapping[str, str]) -> Recipe:
    """Let a run's files name other runs by their new ids.

    Args:
        folder: Where the run's checked files lie.
        recipe: As it is kept there.
        names: New ids by old ones.

    Returns:
        The recipe as it is kept now.

    Raises:
        UserError: The recipe would become too long.
    """
    changed = make_recipe(renamed(recipe.model_dump(), names))
    if changed != recipe:
        write_bytes(folder / layout.RECIPE, changed.to_json().encode())
        layout.write_status(folder, digest=changed.digest())
    for name in FOUND:
        found = layout.load_json(folder / name)[0]
        if (following := renamed(found, names)) != found:
            write_json(folder / name, following)
    if (folder / layout.METRICS).exists():
        _follow_rows(folder / layout.METRICS, names)
    return changed


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same JSON value with new ids in place of old ones."""
    if isinstance(value, dict):
        return {
            key: names.get(one, one) if key == "run" and isinstance(one, str) else renamed(one, names)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [renamed(one, names) for one in value]
    if isinstance(value, str):
        return ENCODER.sub(lambda found: f"run:{names.get(found[1], found[1])}", value)
    return value


def _follow_rows(path: Path, names: Mapping[str, str]) -> None:
    """Rewrite the rows that name a run; all others stay as they are, byte for byte."""
    with open(path, "rb") as source, beside(path) as temporary, open(temporary, "wb") as target:
        while line := source.readline(MAX_LINE):
            target.write(_followed(line, names))


def _followed(line: bytes, names: Mapping[str, str]) -> bytes:
    if not any(old.encode() in line for old in names):
        return line
    try:
        row = json.loads(line)
        following = renamed(row, names)
        text = json.dumps(following, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return line if following == row else text.encode() + b"\n"
    except (ValueError, RecursionError):  # nobody can read it, so it names nothing
        return line

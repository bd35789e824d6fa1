"""The process that places new pictures on a map: `python -m engine.evaluation.placing_worker ID`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import files
from engine.child import Teller, ending_of
from engine.data.source import Entry
from engine.errors import UserError
from engine.evaluation.map_result import read_map
from engine.evaluation.new_pictures import pictures_in, read_pictures, side_of
from engine.evaluation.new_points import place_pictures
from engine.evaluation.placing import LOCK, PICTURES, REQUEST, STATUS, STOP, keep_found, placing_folder
from engine.lock import release, try_lock


def main(argv: list[str]) -> int:
    """Place the pictures and say how it ended, whatever happens."""
    folder = placing_folder(argv[0])
    lock = try_lock(folder / LOCK, wait=2.0)
    if lock is None:
        return 0  # another process has it
    try:
        teller = Teller(folder / STATUS)
        ending = ending_of(lambda: _place(folder, teller), "so many pictures")
        files.remove_tree(folder / PICTURES)  # what was asked is answered
        teller.say(**ending)
        return 0 if ending["state"] == "done" else 1
    finally:
        release(lock)


def _place(folder: Path, teller: Teller) -> dict[str, Any]:
    request = files.read_json(folder / REQUEST)
    stop = (folder / STOP).exists
    found = read_map(request["run"])
    if found is None:
        raise UserError("This map has no points yet: wait until it is drawn.")
    side, inputs = side_of(found.recipe), folder / PICTURES
    if request["archive"]:
        pictures = pictures_in(inputs / "0", side, teller, stop)
    else:
        pictures = read_pictures(_entries(inputs, request["names"]), side, teller, stop)
    keep_found(folder, place_pictures(found, pictures, teller, stop))
    return {}


def _entries(inputs: Path, names: list[str]) -> Iterator[Entry]:
    for number, name in enumerate(names):
        yield Entry(name, (inputs / str(number)).read_bytes())


if __name__ == "__main__":
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)  # the pages come first
    sys.exit(main(sys.argv[1:]))

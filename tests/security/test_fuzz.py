"""Good files with a few things wrong: each is taken or refused in one sentence, and nothing else happens.

Runs with --slow; REPLAB_FUZZ says how many mutations there are in all (2000), REPLAB_FUZZ_EACH how many of
each kind instead.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from engine.cli.main import main
from engine.data.drawn_sets import build_shapes
from engine.runs import executors
from tests.data.conftest import PLAIN, handmade_zip, members, tarred
from tests.data.test_hostile_images import ENCODINGS, SCENE, saved
from tests.security.hostile import ARCH, FIELDS, GOOD, pth, tensors
from tests.security.test_command_line import (
    MOST_MEMORY,
    NOT_FOR_PEOPLE,
    check_workspace,
    files_of,
    peak,
)

ALL = int(os.environ.get("REPLAB_FUZZ", "2000"))
EACH = int(os.environ.get("REPLAB_FUZZ_EACH", "0"))
KINDS = {  # kind -> its share of the mutations; each .pth costs a process that loads torch
    "zip": 0.2,
    "tar": 0.1,
    "gz": 0.1,
    "image": 0.2,
    "jpeg": 0.1,
    "safetensors": 0.1,
    "recipe": 0.1,
    "npy": 0.03,
    "npz": 0.03,
    "runs": 0.03,
    "parquet": 0.005,
    "pth": 0.005,
}
LARGE = [b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\x80\0\0\0", b"\xff" * 8, b"9" * 20, b"-1", b"1e999"]


def mutated(whole: bytes, draw: random.Random) -> bytes:
    """Cut, flip, insert, splice or repeat, one to four times; more often near the ends, where headers lie."""
    data = bytearray(whole)
    for _ in range(draw.randint(1, 4)):
        if not data:
            break
        near = [draw.randrange(min(len(data), 300)), len(data) - 1 - draw.randrange(min(len(data), 300))]
        place = draw.choice([draw.randrange(len(data)), *near])
        length = draw.choice([0, 1, 4, 16, 300])
        other = draw.randrange(len(data))
        data[place : place + length] = draw.choice(
            [
                b"",
                bytes([data[place] ^ 1 << draw.randrange(8)]) + bytes(data[place + 1 : place + length]),
                draw.randbytes(length or 9),
                draw.choice(LARGE),
                bytes(data[other : other + max(length, 1)]),
            ]
        )
        if draw.random() < 0.1:
            del data[place:]
    return bytes(data)


def good(kind: str, draw: random.Random) -> tuple[str, bytes, list[str]]:
    """(file name, bytes, command) of a file that is taken as it is."""
    if kind in ("zip", "tar", "gz"):
        packed = handmade_zip(members(PLAIN)) if kind == "zip" else tarred(PLAIN)
        return "fuzzed.set", gzip.compress(packed) if kind == "gz" else packed, ["data", "add"]
    if kind == "safetensors":
        return "fuzzed.safetensors", GOOD, ["weights", "add", "--arch", ARCH]
    if kind == "pth":
        return "fuzzed.pth", pth(tensors()), ["weights", "add", "--arch", ARCH]
    if kind == "recipe":
        return "fuzzed.json", json.dumps(FIELDS).encode(), ["train", "--detach", "--again", "--recipe"]
    if kind in VECTORS:
        return f"fuzzed.{kind}", VECTORS[kind](), ["vectors", "add", "--data", SET]
    if kind == "runs":
        return "fuzzed.zip", _run_zip(), ["runs", "import"]
    form, told = ("JPEG", {"quality": 80}) if kind == "jpeg" else draw.choice(list(ENCODINGS.values()))
    image = mutated(saved(SCENE, form, **told), draw)
    return "fuzzed.set", handmade_zip(members({**PLAIN, "ant/odd": image})), ["data", "add"]


SET = FIELDS["dataset"]
ROWS = 40  # images of that set


def _table() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, _table())
    return file.getvalue()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, features=_table())
    return file.getvalue()


def _parquet() -> bytes:
    file = io.BytesIO()
    columns = {f"f{axis}": _table()[:, axis] for axis in range(5)}
    parquet.write_table(pyarrow.table({"file": [f"{row}.png" for row in range(ROWS)], **columns}), file)
    return file.getvalue()


VECTORS = {"npy": _npy, "npz": _npz, "parquet": _parquet}


@cache
def _run_zip() -> bytes:
    """A trained classification with its weights, and a map, as another installation hands them on."""
    from engine.data.dataset import remove_dataset
    from engine.export.run_zip import write_runs_zip
    from engine.runs.store import RunStore
    from tests.export.map_runs import coloured_set, map_run
    from tests.export.taken_runs import classified

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(executors.InlineExecutor, "submit", SUBMIT)
        dataset = coloured_set()
        runs = [classified(dataset), map_run(dataset)]
        write_runs_zip(runs, Path(folder) / "runs.zip")
        for run in runs:
            RunStore().remove(run)
        remove_dataset(dataset.id)
        return (Path(folder) / "runs.zip").read_bytes()


SUBMIT = executors.InlineExecutor.submit  # the test itself trains nothing


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.filterwarnings("ignore")  # Pillow's, on damaged tags
@pytest.mark.parametrize("kind", KINDS)
def test_b32_files_with_a_few_wrong_bytes_are_taken_or_refused(
    kind: str,
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(executors.InlineExecutor, "submit", lambda self, run_id: None)
    monkeypatch.chdir(tmp_path)
    if kind == "runs":
        _run_zip()
    if kind == "recipe" or kind in VECTORS:
        build_shapes(FIELDS["dataset"], "Shapes", 32, "drawn", images={"train": 20, "val": 10, "test": 10})
    ends: set[int] = set()
    for number in range(EACH or max(1, round(ALL * KINDS[kind]))):
        draw = random.Random(f"{kind} {number}")
        name, data, argv = good(kind, draw)
        Path(name).write_bytes(data if kind in ("image", "jpeg") else mutated(data, draw))
        before, lowest = files_of(workspace), peak(reset=True)
        code = main([*argv, name] if argv[0] in ("data", "train", "runs") else [*argv[:2], name, *argv[2:]])
        said = capsys.readouterr().err
        ends.add(code)
        told = f"{kind} {number}: {said}"
        assert code in (0, 2) and not NOT_FOR_PEOPLE.search(said) and str(tmp_path) not in said, told
        assert peak() - lowest < MOST_MEMORY, told
        check_workspace(workspace)
        if code == 2:
            assert "fuzzed" in said and len(said.splitlines()[-1]) <= 300, told
            assert files_of(workspace) == before, told
        kept = kind == "recipe" or kind in VECTORS
        for top in ("runs", "weights", f"datasets/{SET}/vectors" if kept else "datasets"):
            shutil.rmtree(workspace / top, ignore_errors=True)
    assert 2 in ends or kind in ("image", "jpeg")

"""Files of vectors that people bring: .npy, .npz and Parquet, of which no header is believed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine.data.source import BLOCK, short_name
from engine.data.writer import FULL_ERRORS, check_free
from engine.data.zip_source import ZIP_METHODS, ZipSource
from engine.errors import UserError
from engine.settings import MIB, PROJECT_ROOT, settings

SUFFIXES = (".npy", ".npz", ".parquet")
LEAST_ROWS, MOST_ROWS, MOST_COLUMNS = 5, 60_000, 8192
MOST_ARRAYS = 200  # of an .npz
CHUNK_BYTES = 8 * 2**20  # of numbers held at a time
CHILD_SECONDS = 120


@dataclass(frozen=True)
class VectorTable:
    """A file of vectors that has been found readable.

    Attributes:
        rows: n.
        width: d.
        chunks: Gives (…, d) float32 parts from the first row to the last.
        names: (n,) what the column `file` or `name` says.
        classes: (n,) what the column `label` or `class` says.
    """

    rows: int
    width: int
    chunks: Callable[[], Iterator[np.ndarray]]
    names: list[str] | None = None
    classes: list[str] | None = None


@contextmanager
def open_table(path: Path, name: str, scratch: Path, array: str | None = None) -> Iterator[VectorTable]:
    """Open a file of vectors.

    Args:
        path: Of the file; its suffix says what it is.
        name: What people call it.
        scratch: A folder of ours, for the array that was packed; nothing stays in it.
        array: Which array of an .npz, where it holds several.

    Raises:
        UserError: It is none of the kinds, is damaged, over a limit, or no table of numbers.
    """
    unpacked = scratch / "unpacked.npy"
    try:
        suffix = path.suffix.lower()
        if suffix == ".npz":
            _unpack(path, name, array, unpacked)
            yield _npy_table(unpacked, name)
        elif array is not None:
            raise UserError(f"'{name}' is no .npz, so it has no array to choose: leave the array's name out.")
        else:
            yield _npy_table(path, name) if suffix == ".npy" else _from_parquet(path, name, unpacked)
    finally:
        unpacked.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    kind: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.kind.itemsize


def _header(file: IO[bytes], name: str) -> _Header:
    """What an .npy file says of itself; nothing of it is allocated."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        return _Header(*read[np.lib.format.read_magic(file)](file))
    except Exception:  # noqa: BLE001  the header is a Python literal from outside: it may raise anything
        raise UserError(
            f"'{name}' is no .npy array, or it is damaged: save it again with numpy.save."
        ) from None


def _check(header: _Header, name: str) -> None:
    kind, shape = header.kind, header.shape
    if kind.hasobject:
        raise UserError(
            f"'{name}' holds Python objects, which are never opened: save plain numbers, such as "
            "array.astype('float32')."
        )
    if kind.kind not in "fiu":
        raise UserError(f"'{name}' holds values that are no plain numbers: save it as float32.")
    if len(shape) != 2:
        one = "1 dimension" if len(shape) == 1 else f"{len(shape)} dimensions"
        raise UserError(f"'{name}' has {one}, but vectors need 2: a row an image, a column a number.")
    check_size(shape[0], shape[1], name)


def check_size(rows: int, columns: int, name: str) -> None:
    """Refuse what is too small to map or too large to hold.

    Raises:
        UserError: The file, what it has, and the limits.
    """
    if not LEAST_ROWS <= rows <= MOST_ROWS:
        raise UserError(
            f"'{name}' has {_count(rows)} rows: vectors need {LEAST_ROWS} to {MOST_ROWS:,} of them."
        )
    if not 1 <= columns <= MOST_COLUMNS:
        raise UserError(
            f"'{name}' has {_count(columns)} numbers a row: vectors need 1 to {MOST_COLUMNS:,} of them."
        )


def _count(number: int) -> str:
    return f"{number:,}" if abs(number) < 10**12 else "far too many"


def _npy_table(path: Path, name: str) -> VectorTable:
    with open(path, "rb") as file:
        header = _header(file, name)
        _check(header, name)
        start = file.tell()
    there = path.stat().st_size - start
    if there != header.bytes:
        lies = "is cut short" if there < header.bytes else "holds more than it says"
        raise UserError(f"'{name}' {lies}: save it again with numpy.save.")
    rows, width = header.shape
    order = "F" if header.fortran else "C"

    def chunks() -> Iterator[np.ndarray]:
        mapped = np.memmap(path, header.kind, "r", start, (rows, width), order)  # type: ignore[call-overload]
        size = max(1, CHUNK_BYTES // (4 * width))
        for first in range(0, rows, size):
            with np.errstate(over="ignore"):
                yield np.asarray(mapped[first : first + size], np.float32)

    return VectorTable(rows, width, chunks)


def _unpack(path: Path, name: str, array: str | None, target: Path) -> None:
    """Write the one table of an .npz to `target`, as much of it as its header says and not a byte more."""
    try:
        source = ZipSource(path)
    except UserError:
        raise UserError(f"'{name}' is no .npz, or it is damaged: save it again with numpy.savez.") from None
    with source.file:
        info, header = _choose(source, name, array)
        most = settings().max_unpacked_bytes
        if header.bytes > most:
            raise UserError(
                f"'{name}' unpacks to more than {most / 1e9:.3g} GB, which is the limit: use fewer."
            )
        ratio = settings().max_ratio
        if header.bytes > MIB + ratio * max(info.compress_size, 1):
            raise UserError(
                f"'{name}' unpacks to over {ratio} times its size, as only a trap does: save it uncompressed."
            )
        check_free(header.bytes)
        try:
            with source.archive.open(info) as packed, open(target, "xb") as out:
                _header(packed, name)
                left = header.bytes
                np.lib.format.write_array_header_2_0(
                    out, {"descr": header.kind.str, "fortran_order": header.fortran, "shape": header.shape}
                )
                while left and (block := packed.read(min(BLOCK, left))):
                    left -= out.write(block)
                if left or packed.read(1):
                    raise UserError(f"'{name}' does not hold what it says: save it again with numpy.savez.")
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001  zipfile and zlib raise many kinds on damaged bytes
            if isinstance(error, OSError) and error.errno in FULL_ERRORS:
                raise
            raise UserError(f"'{name}' is damaged: save it again with numpy.savez.") from None


def _choose(source: ZipSource, name: str, array: str | None) -> tuple[Any, _Header]:
    """The member that is asked for, or the only table of numbers."""
    if len(source.members) > MOST_ARRAYS:
        raise UserError(f"'{name}' holds {len(source.members):,} arrays: save the one of vectors alone.")
    found: dict[str, tuple[Any, _Header]] = {}
    refused: UserError | None = None
    for info in source.members:
        called = info.filename.removesuffix(".npy")
        if array is not None and called != array:
            continue
        try:
            header = _member_header(source, info, name)
            _check(header, name)
            found[called] = info, header
        except UserError as error:
            refused = error
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        names = ", ".join(short_name(called) for called in list(found)[:3])
        raise UserError(f"'{name}' holds {len(found)} tables of numbers: say which of them to take: {names}.")
    if refused is not None:
        raise refused
    if array is None:
        raise UserError(f"'{name}' holds no array: save the vectors with numpy.savez.")
    raise UserError(
        f"'{name}' has no array called '{short_name(array)}': look at what it holds, then name it."
    )


def _member_header(source: ZipSource, info: Any, name: str) -> _Header:
    if info.flag_bits & 1 or info.compress_type not in ZIP_METHODS:
        raise UserError(f"'{name}' is packed in a way this app does not read: save it with numpy.savez.")
    try:
        with source.archive.open(info) as packed:
            return _header(packed, name)
    except UserError:
        raise
    except Exception:  # noqa: BLE001  as above
        raise UserError(f"'{name}' is damaged: save it again with numpy.savez.") from None


def _from_parquet(path: Path, name: str, unpacked: Path) -> VectorTable:
    """Let a child read it, with little memory and time; whatever happens to it becomes a sentence."""
    command = [sys.executable, "-m", "engine.data.parquet_child", str(path.resolve()), str(unpacked), name]
    keep = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    limits = {key: value for key, value in os.environ.items() if key.startswith("REPLAB_")}
    try:
        child = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env={**environment, **limits, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=CHILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"'{name}' took too long to read: save the vectors as .npy.") from None
    try:
        answer = json.loads(child.stdout.decode())
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    if isinstance(answer.get("error"), str):
        raise UserError(answer["error"])
    if child.returncode or not answer.get("ok"):
        raise UserError(
            f"'{name}' could not be read within the memory allowed for it: it is damaged, or too large for "
            "that; save the vectors as .npy."
        )
    return replace(_npy_table(unpacked, name), names=answer["names"], classes=answer["classes"])

"""Hostile sources made by hand, and what every refusal must be: one sentence, and nothing left behind."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset, list_datasets
from engine.data.intake import add_dataset
from engine.errors import UserError

Files = dict[str, bytes]
Add = Callable[[bytes | Path], Dataset]
Refuse = Callable[[bytes | Path], str]
MOST_MEMORY = 100 * 1024**2  # bytes Python may hold at once for any small archive


def picture(number: int) -> bytes:
    """A small PNG of noise, another for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PLAIN = {f"{name}/{i}.png": picture(10 * j + i) for j, name in enumerate(("ant", "bee")) for i in range(4)}


def deflated(data: bytes, times: int = 1) -> bytes:
    """Raw deflate; a block that ends on a byte may be repeated, which makes a bomb for nothing."""
    packer = zlib.compressobj(9, wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)) * times + packer.flush()


def handmade_zip(members: list[dict[str, Any]], listed: int = 1, wide: bool = False) -> bytes:
    """A zip whose headers say what the members say; `wide` hides the directory's length in a zip64 record."""
    body, directory = b"", b""
    for member in members:
        name, data = member["name"], member.get("data", b"")
        method = member.get("method", 8)
        packed = member.get("packed", deflated(data) if method == 8 else data)
        size, crc = member.get("size", len(data)), member.get("crc", zlib.crc32(data))
        flags = member.get("flags", 0x800)
        said = struct.pack("<5H3I2H", 20, flags, method, 0, 33, crc, len(packed), size, len(name), 0)
        place = member.get("place", len(body))  # given: the member lies there already
        mode = member.get("mode", 0o100644) << 16
        directory += b"PK\1\2\x14\3" + said + struct.pack("<3H2I", 0, 0, 0, mode, place) + name
        body += b"" if "place" in member else b"PK\3\4" + said + name + packed
    directory *= listed
    count, end = len(members) * listed, len(body) + len(directory)
    tail = b""
    if wide:
        tail += b"PK\6\6" + struct.pack(
            "<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(directory), len(body)
        )
        tail += b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    stated = (0, 0) if wide else (len(directory), len(body))
    return body + directory + tail + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, count, count, *stated, 0)


def members(files: Files) -> list[dict[str, Any]]:
    return [{"name": name.encode(), "data": data} for name, data in files.items()]


def tar_member(
    name: str | bytes, data: bytes = b"", kind: bytes = b"0", size: bytes | None = None, flag: int = 0
) -> bytes:
    """One member of a tar; `size` is written as it is, `flag` says that a sparse file's map goes on."""
    head = bytearray(512)
    for place, field in (
        (0, (name if isinstance(name, bytes) else name.encode())[:100]),
        (100, b"0000644\0" + b"0000000\0" * 2 + (size or b"%011o\0" % len(data)) + b"0" * 11),
        (156, kind),
        (257, b"ustar\x0000"),
    ):
        head[place : place + len(field)] = field
    head[482] = flag
    head[148:156] = b"%06o\0 " % (sum(head) + 8 * 32)
    return bytes(head) + data + b"\0" * (-len(data) % 512)


def tarred(files: Files, *more: bytes) -> bytes:
    return b"".join(tar_member(name, data) for name, data in files.items()) + b"".join(more) + b"\0" * 1024


def record(key: str, value: str) -> bytes:
    text = f" {key}={value}\n".encode()
    length = len(text) + 2 if len(text) < 97 else len(text) + (3 if len(text) < 996 else 4)
    return str(length).encode() + text


def extended(*records: bytes) -> bytes:
    return tar_member("extended", b"".join(records), b"x")


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY


def check_sentence(text: str, private: Path) -> None:
    assert 0 < len(text) <= 300 and text == text.strip() and text.isprintable()
    assert text.endswith(".") and not re.search(r"[.!?]\s+[A-Z]", text), "one sentence"
    assert str(private) not in text and not re.search(r"Errno|Traceback|Error\b|0x", text)


@pytest.fixture
def added(workspace: Path, tmp_path: Path) -> Add:
    """Add an archive, by its bytes or its path, in little memory."""

    def add(source: bytes | Path) -> Dataset:
        path = source if isinstance(source, Path) else tmp_path / "archive"
        if isinstance(source, bytes):
            path.write_bytes(source)
        with little_memory():
            return add_dataset(path)

    return add


@pytest.fixture
def refusal(added: Add, workspace: Path) -> Refuse:
    """Add an archive that must be refused; gives the sentence."""

    def refuse(source: bytes | Path) -> str:
        with pytest.raises(UserError) as refused:
            added(source)
        check_sentence(str(refused.value), workspace.parent)
        left = [path for top in ("datasets", "tmp") for path in (workspace / top).glob("*")]
        assert left == [] and list_datasets() == []
        return str(refused.value)

    return refuse

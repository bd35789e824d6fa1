"""Tar archives, plain or packed, as streams of files; nothing is extracted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from engine.data import tar_stream
from engine.data.source import BLOCK, DAMAGED, NOT_A_FILE, Entry, Source, Wanted, over_limit
from engine.errors import UserError
from engine.settings import MIB

XZ_MEMORY = 128 * MIB  # what one stream may ask for its dictionary; xz -9 needs 65


def tar_packing(head: bytes) -> str | None:
    """How a tar archive is packed, by its first 512 bytes; None if it is none."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"BZh"):
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    return "plain" if tar_stream.is_header(head) else None


class TarSource(Source):
    kind = "tar"

    def __init__(self, path: Path, head: bytes) -> None:
        super().__init__(path)
        self.packing = tar_packing(head)
        self.total = path.stat().st_size

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        with open(self.path, "rb") as packed:
            reader = _unpacked(packed, self.packing)
            unpacked = 0

            def take(count: int) -> bytes:
                nonlocal unpacked
                data = reader.read(count)
                unpacked += len(data)
                self.meter.add(len(data))
                self.done = packed.tell()
                if self.packing != "plain":
                    self.meter.ratio(unpacked, self.done)
                return bytes(data)

            try:
                for member in tar_stream.members(take):
                    if member.kind == "folder":
                        self.meter.folder()
                    else:
                        self.meter.entry()
                        yield self._read(member, wanted)
            except (EOFError, OSError, zlib.error, lzma.LZMAError, ValueError, tar_stream.BadTar) as error:
                if isinstance(error, UserError) or getattr(error, "errno", None):
                    raise
                raise UserError(DAMAGED) from None

    def _read(self, member: tar_stream.Member, wanted: Wanted) -> Entry:
        if not wanted(member.name):
            return Entry(member.name, None)
        if member.kind != "file":
            return Entry(member.name, None, NOT_A_FILE)
        limit = self.meter.limits.max_file_bytes
        if member.size > limit:
            return Entry(member.name, None, over_limit(limit))
        return Entry(member.name, member.read())


class _Unpacked:
    """Reads one or several bz2 or xz streams, never more than asked for at a time."""

    def __init__(self, packed: IO[bytes], make: Callable[[], Any]) -> None:
        self.packed, self.make = packed, make
        self.engine = make()
        self.fed = False

    def read(self, count: int) -> bytes:
        parts, left = [], count
        while left:
            data = b""
            if self.engine.eof:
                rest = self.engine.unused_data or self.packed.read(BLOCK)
                if not rest.strip(b"\0"):
                    break
                self.engine = self.make()
            elif self.engine.needs_input:
                rest = self.packed.read(BLOCK)
                if not rest:
                    raise EOFError
            else:
                rest = b""
            data = self.engine.decompress(rest, max_length=left)
            parts.append(data)
            left -= len(data)
        return b"".join(parts)


def _unpacked(packed: IO[bytes], packing: str | None) -> Any:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=packed, mode="rb")
    if packing == "bzip2":
        return _Unpacked(packed, bz2.BZ2Decompressor)
    if packing == "xz":
        return _Unpacked(packed, lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY))
    return packed

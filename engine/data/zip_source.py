"""Zip archives as streams of files; nothing is extracted."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from engine.data.source import BLOCK, DAMAGED, NOT_A_FILE, Entry, Source, Wanted, over_limit
from engine.errors import UserError
from engine.settings import settings

ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile reads the others without a bound on memory


class ZipSource(Source):
    kind = "zip"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._refuse_long_directory()
        try:
            self.archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, RuntimeError):
            raise UserError(DAMAGED) from None
        self.members = [info for info in self.archive.infolist() if not info.is_dir()]
        self.total = len(self.members)
        self._refuse_overlaps()

    def _refuse_long_directory(self) -> None:
        """Count the entries before zipfile makes an object of each."""
        limit = settings().max_entries
        with open(self.path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 66_000))
            tail = file.read()
            place = tail.rfind(b"PK\x05\x06")
            if place < 0 or len(tail) - place < 22:
                raise UserError(DAMAGED)
            length = int.from_bytes(tail[place + 12 : place + 16], "little")
            wide = tail.rfind(b"PK\x06\x06", 0, place)
            end = size - len(tail) + place
            if wide >= 0 and length == 0xFFFFFFFF and len(tail) - wide >= 56:
                length = int.from_bytes(tail[wide + 40 : wide + 48], "little")
                end = size - len(tail) + wide
            file.seek(max(0, end - length))
            count = 0
            while count <= 2 * limit:  # folders count too, so allow as many again
                head = file.read(46)
                if len(head) < 46 or head[:4] != b"PK\x01\x02":
                    return
                count += 1
                file.seek(sum(struct.unpack("<HHH", head[28:34])), os.SEEK_CUR)
        raise UserError(
            f"The archive lists more than {limit:,} files, which is the limit: use fewer images, or ask "
            "whoever runs this server to raise it."
        )

    def _refuse_overlaps(self) -> None:
        """Members that share bytes are how a small zip unpacks to petabytes."""
        spans = sorted(
            (info.header_offset, info.header_offset + 30 + info.compress_size) for info in self.members
        )
        for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
            if start < end:
                raise UserError(
                    "Files in the archive overlap one another, as only a trap does: pack the images again."
                )

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        with self.archive:
            for info in self.members:
                self.meter.entry()
                self.done += 1
                name = _zip_name(info)
                yield self._read(info, name) if wanted(name) else Entry(name, None)

    def _read(self, info: zipfile.ZipInfo, name: str) -> Entry:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind and not stat.S_ISREG(info.external_attr >> 16):
            return Entry(name, None, NOT_A_FILE)
        if info.flag_bits & 1:
            return Entry(name, None, "it is encrypted")
        if info.compress_type not in ZIP_METHODS:
            return Entry(name, None, "it is packed with a method this app does not read")
        limit = self.meter.limits.max_file_bytes
        parts, length = [], 0
        try:
            with self.archive.open(info) as file:
                while block := file.read(BLOCK):
                    length += len(block)
                    self.meter.add(len(block))
                    self.meter.ratio(length, info.compress_size)
                    if length > limit:
                        return Entry(name, None, over_limit(limit))
                    parts.append(block)
        except UserError:
            raise
        except (
            zipfile.BadZipFile,
            OSError,
            ValueError,
            EOFError,
            zlib.error,
            NotImplementedError,
            RuntimeError,
        ):
            return Entry(name, None, "it is damaged in the archive")
        return Entry(name, b"".join(parts))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; UTF-8 also where the archive does not say so, as many tools write it."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename

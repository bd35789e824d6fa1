"""Zip archives as streams of files; nothing is extracted."""

from __future__ import annotations

import io
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
FOLDER_ENDS = ("/", "\\")  # Windows tools write the second


class ZipSource(Source):
    kind = "zip"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.file = _CountedDirectory(path)
        try:
            self.archive = zipfile.ZipFile(self.file)
            self.file.counting = False
            self.members = [
                info for info in self.archive.infolist() if not _zip_name(info).endswith(FOLDER_ENDS)
            ]
            self._refuse_overlaps()
        except UserError:
            self.file.close()
            raise
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, RuntimeError):
            self.file.close()
            raise UserError(DAMAGED) from None
        self.total = len(self.members)

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
        with self.file:
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


class _CountedDirectory(io.BufferedReader):
    """A zip file that counts the entries of its directory before zipfile makes an object of each.

    It counts what zipfile reads, so no second opinion on where the directory lies can be wrong.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.counting = True

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        limit = settings().max_entries
        if self.counting and data.count(b"PK\x01\x02") > 2 * limit:  # folders count too: as many again
            raise UserError(
                f"The archive lists more than {limit:,} files, which is the limit: use fewer images, or ask "
                "whoever runs this server to raise it."
            )
        return data


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; UTF-8 also where the archive does not say so, as many tools write it."""
    if info.flag_bits & 0x800:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename

"""A source of files: every byte that comes out of it is counted, and names are only data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.settings import MIB, settings

BLOCK = 256 * 1024
DAMAGED = "The archive is damaged or cut short: make or download it again."
NOT_A_FILE = "it is a link or device, not a file"


@dataclass(frozen=True)
class Entry:
    """One file of a source.

    Attributes:
        name: As the source spells it.
        data: Its bytes, or None if it was not read.
        reason: Why it was not read.
    """

    name: str
    data: bytes | None
    reason: str | None = None


Wanted = Callable[[str], bool]


class Meter:
    """Counts what comes out of a source and refuses at the limits; believes no header."""

    def __init__(self) -> None:
        self.limits = settings()
        self.entries = 0
        self.folders = 0
        self.bytes = 0

    def entry(self) -> None:
        self.entries += 1
        self._refuse_many(self.entries, "files")

    def folder(self) -> None:
        self.folders += 1
        self._refuse_many(self.folders, "folders")

    def _refuse_many(self, count: int, what: str) -> None:
        if count > self.limits.max_entries:
            raise UserError(
                f"The set holds more than {self.limits.max_entries:,} {what}, which is the limit: "
                "use fewer images, or ask whoever runs this server to raise it."
            )

    def add(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.max_unpacked_bytes:
            raise UserError(
                f"The set unpacks to more than {self.limits.max_unpacked_bytes / 1e9:.3g} GB, which is the "
                "limit: use fewer or smaller images."
            )

    def ratio(self, unpacked: int, packed: int) -> None:
        if unpacked > MIB + self.limits.max_ratio * max(packed, 1):
            raise UserError(
                f"The archive unpacks to over {self.limits.max_ratio} times its size, as only a trap does: "
                "pack the images again."
            )


class Source:
    """A zip, a tar or a folder.

    Attributes:
        kind: "zip", "tar" or "folder".
        total: Files, or bytes for a tar; None if unknown.
        meter: What has been read so far.
    """

    kind = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total: int | None = None
        self.done = 0
        self.meter = Meter()

    def entries(self, wanted: Wanted) -> Iterator[Entry]:
        """Every file once; those whose name is not wanted come without data or reason."""
        raise NotImplementedError


def short_name(name: str) -> str:
    """A name made fit for a sentence."""
    text = name.encode("utf-8", "replace").decode()
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 60 else text[:59] + "…"


def over_limit(limit: int) -> str:
    """Why a large file was not read."""
    return f"it is over the limit of {limit / 1e6:.3g} MB a file"

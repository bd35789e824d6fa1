"""Reading tar archives front to back, as little of the format as image folders need.

Python's tarfile hangs on some damaged archives (CVE-2025-8194), reads extended headers of any length into
memory, and can be led out of the target folder while extracting (CVE-2025-4517). This reader knows no folder:
it hands out names and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEADER = 512
MAX_EXTENDED = 1024 * 1024  # bytes of one extended header
MAX_RECORDS = 1000  # in one of them
MAX_IN_A_ROW = 8  # extended headers before one member; four kinds are known
SKIP_BLOCK = 1024 * 1024
FILE_TYPES = b"0\0" + b"7"
SPARSE = "GNU.sparse"
FOLDER, LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = b"5", b"L", b"K", b"xX", b"g"


class BadTar(ValueError):
    """This is no tar archive, or no longer one."""


@dataclass
class Member:
    """One member.

    Attributes:
        name: As written; bytes that are not UTF-8 are replaced.
        kind: "file", "folder", or "other" for links, devices and sparse files.
        size: Bytes, by the header.
        read: Gives them; only until the next member is asked for, and only once.
    """

    name: str
    kind: str
    size: int
    read: Callable[[], bytes]


def is_header(block: bytes) -> bool:
    """Whether 512 bytes begin a member: their checksum is right."""
    if len(block) < HEADER or not block[:1].strip(b"\0"):
        return False
    try:
        stated = _number(block[148:156])
    except BadTar:
        return False
    return stated == sum(block[:148]) + 8 * 32 + sum(block[156:HEADER])


def members(take: Callable[[int], bytes]) -> Iterator[Member]:
    """Every member, in order.

    Args:
        take: Gives the next bytes of the unpacked archive, fewer only at its end.

    Raises:
        BadTar: The archive is damaged.
        EOFError: It is cut short.
    """
    extended: dict[str, str] = {}
    in_a_row = 0
    while True:
        block = take(HEADER)
        if not block.strip(b"\0"):
            return  # two empty blocks end an archive; one, or none, is accepted
        if not is_header(block):
            raise BadTar
        kind = block[156:157]
        size = _number(block[124:136])
        if kind in PAX or kind in (LONG_NAME, LONG_LINK, PAX_GLOBAL):
            in_a_row += 1
            if size > MAX_EXTENDED or in_a_row > MAX_IN_A_ROW:
                raise BadTar
            _extend(extended, kind, _exactly(take, size))
            _skip(take, -size % HEADER)
            continue
        size = _size(extended.get("size"), size)
        name = extended.get("path") or _name(block)
        if kind in b"123456":
            size = 0  # links, devices and folders have no content
        more = kind == b"S" and block[482]
        while more:  # the map of a sparse file goes on in blocks that no size counts
            more = _exactly(take, HEADER)[504]
        left = [size]

        def read(left: list[int] = left) -> bytes:
            count, left[0] = left[0], 0
            return _exactly(take, count)

        yield Member(name, _kind(kind, name, SPARSE in extended), size, read)
        _skip(take, left[0] + -size % HEADER)
        extended, in_a_row = {}, 0


def _kind(kind: bytes, name: str, sparse: bool) -> str:
    if kind == FOLDER or (kind in FILE_TYPES and name.endswith("/")):
        return "folder"
    return "file" if kind in FILE_TYPES and not sparse else "other"


def _number(field: bytes) -> int:
    """Octal digits, or a big-endian number marked by the highest bit; never negative."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise BadTar
    return int(text, 8)


def _size(stated: str | None, size: int) -> int:
    if stated is None:
        return size
    if not (stated.isascii() and stated.isdigit() and len(stated) < 20):
        raise BadTar
    return int(stated)


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _extend(extended: dict[str, str], kind: bytes, data: bytes) -> None:
    if kind == LONG_NAME:
        extended["path"] = data.split(b"\0", 1)[0].decode("utf-8", "replace")
    elif kind in PAX:
        for key, value in _records(data):
            if key in ("path", "size"):
                extended[key] = value
            elif key.startswith(SPARSE):
                extended[SPARSE] = ""  # that there are any is all one must know


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """The records of an extended header: length, space, key=value, line feed."""
    place = count = 0
    while place < len(data) and data[place]:
        count += 1
        if count > MAX_RECORDS:
            raise BadTar
        space = data.find(b" ", place, place + 10)
        if space < 0 or not data[place:space].isdigit():
            raise BadTar
        end = place + int(data[place:space])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end <= space or end > len(data) or not equals:
            raise BadTar
        yield key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        place = end


def _exactly(take: Callable[[int], bytes], count: int) -> bytes:
    data = take(count) if count else b""
    if len(data) < count:
        raise EOFError
    return data


def _skip(take: Callable[[int], bytes], count: int) -> None:
    while count > 0:
        block = take(min(count, SKIP_BLOCK))
        if not block:
            raise EOFError
        count -= len(block)

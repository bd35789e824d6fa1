"""Image files without what they tell besides the picture, which stays the same to the last pixel."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

from engine.data.decode import ORIENTATION_TAG, TURNS, Inspected, inspect, open_image
from engine.errors import UserError

JPEG_START, JPEG_END, JPEG_SCAN = b"\xff\xd8", 0xD9, 0xDA
JFIF, ADOBE, EXIF = 0xE0, 0xEE, 0xE1
TOLD = (*range(0xE0, 0xF0), 0xFE)  # what programs add to a JPEG file: APP0 to APP15, and comments
SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # what lies between is compressed pixels
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
BACK = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the turn that undoes a turn


def bare_image(data: bytes) -> tuple[bytes, Inspected]:
    """The same picture without place, camera, comments and whatever follows its end; and what is known of it.

    JPEG and PNG files keep their compressed pixels; others, and those that would change, become PNG. Which
    way up it is shown stays a note in the file, so that `inspect` finds the same digest.

    Raises:
        UserError: It is no image that can be read, or cannot be had without the rest.
    """
    seen = inspect(data)
    for strip in (_jpeg, _png, _anew):
        found = strip(data, seen.turn)
        if found and _same(found, seen):
            return found, seen
    raise UserError("the picture cannot be kept apart from what its file tells besides")


def _same(found: bytes, seen: Inspected) -> bool:
    try:
        return inspect(found).digest == seen.digest
    except UserError:
        return False


def _jpeg(data: bytes, turn: int) -> bytes | None:
    if not data.startswith(JPEG_START):
        return None
    note = b"Exif\0\0" + _turn_note(turn)
    kept = [_segment(EXIF, note)] if turn != 1 else []
    for kind, body in _segments(data):
        if kind == JFIF and body[4:9] == b"JFIF\0":
            kept.insert(0, _segment(JFIF, body[4:16] + b"\0\0"))  # without its small picture
        elif kind == ADOBE or kind not in TOLD:  # Adobe's says how the colours are to be read
            kept.append(body)
        if kind == JPEG_END:
            return b"".join([JPEG_START, *kept])
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, bytes) of each part of a JPEG file up to its end; stops early where it is none."""
    at = len(JPEG_START)
    while at + 1 < len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # padding
            at += 1
            continue
        alone = kind == JPEG_END or 0xD0 <= kind <= 0xD7
        end = at + 2 + (0 if alone else max(2, int.from_bytes(data[at + 2 : at + 4])))
        if kind == JPEG_SCAN:
            found = SCAN_END.search(data, end)
            end = found.start() if found else len(data)
        yield kind, data[at:end]
        if kind == JPEG_END:
            return
        at = end


def _segment(kind: int, body: bytes) -> bytes:
    return bytes((0xFF, kind)) + struct.pack(">H", len(body) + 2) + body


def _png(data: bytes, turn: int) -> bytes | None:
    if not data.startswith(PNG_START):
        return None
    kept, at = [PNG_START], len(PNG_START)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind in PNG_PICTURE:
            kept.append(data[at:end])
        if kind == b"IHDR" and turn != 1:
            note = b"eXIf" + _turn_note(turn)
            kept.append(struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note)))
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    return None


def _anew(data: bytes, turn: int) -> bytes:
    """The pixels as PNG, as they lie in the file."""
    image, file = open_image(data), io.BytesIO()
    if turn in TURNS:
        image = image.transpose(TURNS[BACK[turn]])
    image.save(file, "PNG", **({"exif": b"Exif\0\0" + _turn_note(turn)} if turn in TURNS else {}))
    return file.getvalue()


def _turn_note(turn: int) -> bytes:
    """Metadata that holds the orientation alone, as a TIFF header with one entry."""
    return b"II*\0" + struct.pack("<IHHHIII", 8, 1, ORIENTATION_TAG, 3, 1, turn, 0)

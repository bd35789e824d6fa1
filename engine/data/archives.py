"""What a path is: a zip, a tar, a folder, or nothing that can hold a data set."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

from engine.data.folder_source import FolderSource
from engine.data.source import Source, short_name
from engine.data.tar_source import TarSource, tar_packing
from engine.data.zip_source import ZipSource
from engine.errors import UserError


def open_source(path: Path) -> Source:
    """Find out by its first bytes what `path` is.

    Raises:
        UserError: It is nothing that can hold a data set.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        raise UserError(
            f"There is no file or folder '{short_name(path.name)}': check the spelling."
        ) from None
    if stat.S_ISDIR(mode):
        return FolderSource(path)
    if not stat.S_ISREG(mode):
        raise UserError(
            f"'{short_name(path.name)}' is neither a file nor a folder: give a zip, a tar or a folder."
        )
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError:
        raise UserError(
            f"'{short_name(path.name)}' may not be read by this app: change its permissions."
        ) from None
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or (
        not tar_packing(head) and zipfile.is_zipfile(path)
    ):
        return ZipSource(path)
    if tar_packing(head):
        return TarSource(path, head)
    raise UserError(_what_it_is(path, head))


def _what_it_is(path: Path, head: bytes) -> str:
    name = short_name(path.name)
    if not head:
        return f"'{name}' is empty: choose a zip or tar of image folders."
    if head.startswith((b"Rar!", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")):
        return (
            f"'{name}' is packed in a way this app does not read: pack the folder as zip, tar.gz or tar.xz."
        )
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")):
        return f"'{name}' is one image, not a set: pack a folder of images as a zip."
    return f"'{name}' is not a zip or tar archive, or it is damaged: pack a folder of images as a zip."

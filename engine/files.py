"""Ids, containment, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import UserError

NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
ID_PATTERN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


def new_id() -> str:
    """A random id of 80 bits in the alphabet that `check_id` accepts."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 letters that are hard to mistake for one another
    return "".join(secrets.choice(alphabet) for _ in range(16))


def check_id(text: str, what: str = "id") -> str:
    """Return `text` if it can be an id: 1 to 64 of a-z, 0-9 and inner hyphens.

    Raises:
        UserError: It cannot, so it must never touch a path.
    """
    if not isinstance(text, str) or not ID_PATTERN.fullmatch(text):
        shown = str(text)[:40].encode("unicode_escape").decode()
        raise UserError(f"'{shown}' is not a valid {what}: use the one shown in the list.")
    return text


def inside(root: Path, *parts: str) -> Path:
    """Join `parts` below `root`; the only way a name that came from outside becomes a path.

    Raises:
        UserError: The result would lie outside `root`.
    """
    for part in parts:
        if not part or "\0" in part or "\\" in part or ":" in part or Path(part).is_absolute():
            raise UserError("A file name inside the workspace is not allowed to point elsewhere.")
    root = root.resolve()
    path = root.joinpath(*parts).resolve()
    if path == root or not path.is_relative_to(root):
        raise UserError("A file name inside the workspace is not allowed to point elsewhere.")
    return path


def write_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Replace `path` atomically: a reader sees the old bytes or the new ones, never half of them.

    Args:
        path: The file.
        data: All its bytes.
        mode: Who may read it, before the process's mask.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}.tmp")
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A hidden place beside `path` to write to; it becomes `path` once all went well, else nothing stays.

    Raises:
        UserError: It cannot be written there.
    """
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        replace(temporary, path)
    except OSError as error:
        why = "free some disk space, then try again"
        if error.errno not in NO_SPACE:
            why = error.strerror or "check its folder and its free space"
        raise UserError(f"{path.name[:80]} cannot be written: {why}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def replace(source: Path, target: Path) -> None:
    """`os.replace`, patient with Windows, where it fails while somebody reads the target."""
    for attempt in range(20):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == 19:
                raise
            time.sleep(0.02 * (attempt + 1))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically; NaN and infinity are refused since JSON has no word for them."""
    write_bytes(path, json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON in `path`, or `default` where there is no such file or it holds no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return default


def remove_tree(path: Path) -> None:
    """Delete a folder of ours; moves it aside first, so that it vanishes at once from every listing."""
    if not path.exists():
        return
    aside = path.with_name(f".removed-{path.name}-{secrets.token_hex(3)}")
    try:
        os.replace(path, aside)
    except OSError:
        aside = path
    shutil.rmtree(aside, ignore_errors=True)


def tree_bytes(path: Path) -> int:
    """Bytes used by the regular files below `path`."""
    total = 0
    stack = [path]
    while stack:
        try:
            entries = list(os.scandir(stack.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                stack.append(Path(entry.path))
            else:
                try:
                    total += entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue
    return total

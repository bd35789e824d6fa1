"""The upload route: one file, streamed to disk, whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine import access, files
from engine.access import CHANGE, Ownership
from engine.errors import UserError
from engine.runs import quotas
from engine.settings import Settings, settings
from pages.components.text import one_line, size_text

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
WEIGHTS = (".safetensors", ".pth", ".pt")
VECTORS = (".npy", ".npz", ".parquet")
SUFFIXES = ARCHIVES + WEIGHTS + VECTORS
MAX_AT_ONCE = 4
MOST_OF_ONE = 2  # uploads of one person at once, where there are several
PATIENCE, SLOWEST = 600.0, 50_000  # seconds for any upload, and bytes a second beyond them
FLUSH = 1 << 20
OPTIONS = {"val_fraction": float, "test_fraction": float, "seed": int}
_slots = threading.BoundedSemaphore(MAX_AT_ONCE)
_of: Counter[str] = Counter()  # person -> uploads under way


class Refused(Exception):
    """An upload that is turned away: status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def routes() -> list[Route]:
    return [Route("/lab/upload", put, methods=["PUT"])]


async def put(request: Request) -> Response:
    """Take the body as one file; answers {"upload", "name", "bytes"} or {"error": sentence}."""
    if not _slots.acquire(blocking=False):
        return refuse(
            503, f"{MAX_AT_ONCE} uploads are under way already: wait for one to end, then try again."
        )
    person = access.me().id
    _of[person] += 1
    try:
        if person and _of[person] > MOST_OF_ONE:
            raise Refused(503, f"You have {MOST_OF_ONE} uploads under way: wait for one to end.")
        return JSONResponse(await take(request, settings()), headers={"Cache-Control": "no-store"})
    except Refused as refused:
        return refuse(refused.status, str(refused))
    except ClientDisconnect:
        return refuse(400, "The upload was cancelled.")
    except OSError:
        return refuse(507, "The file could not be written: the disk may be full.")
    finally:
        _slots.release()
        _of[person] -= 1


def refuse(status: int, sentence: str) -> Response:
    # the rest of the body is not read, so the connection cannot be used again
    return JSONResponse(
        {"error": sentence}, status, headers={"Connection": "close", "Cache-Control": "no-store"}
    )


async def take(request: Request, here: Settings) -> dict[str, object]:
    name = one_line(unquote(request.headers.get("x-file-name", "")), 200)
    suffix = suffix_of(name)
    announced = request.headers.get("content-length", "")
    if announced.isdigit():
        check_room(int(announced), here)
    upload = files.new_id()
    here.uploads.mkdir(parents=True, exist_ok=True)
    part = files.inside(here.uploads, f"{upload}.part")
    coming = int(announced) if announced.isdigit() else here.max_upload_bytes
    room = await run_in_threadpool(take_room, coming)
    try:
        received = await stream(request, part, here)
        if not received:
            raise Refused(400, "The file is empty.")
        if announced.isdigit() and received != int(announced):
            raise Refused(400, "The upload broke off before its end: try again.")
        about = {"name": name, "time": time.time(), "owner": access.me().id}
        files.write_json(files.inside(here.uploads, f"{upload}.json"), about)
        files.replace(part, files.inside(here.uploads, upload + suffix))
    finally:
        part.unlink(missing_ok=True)
        room.close()
    answer: dict[str, object] = {"upload": upload, "name": name, "bytes": received}
    if request.headers.get("x-then") == "import":
        answer["import"] = await run_in_threadpool(begin_import, request, upload)
    return answer


def take_room(count: int) -> ExitStack:
    """Count so many bytes as those of who is acting, until it is closed; refuse what is over their limit."""
    room = ExitStack()
    try:
        room.enter_context(quotas.expecting(bytes=count))
    except UserError as error:
        raise Refused(507, str(error)) from None
    return room


def begin_import(request: Request, upload: str) -> str:
    """Start the import of a finished upload, so that it goes on whether or not its page is still open."""
    from engine.data.imports import start_import

    found = find_upload(upload)
    assert found is not None
    try:
        with quotas.room(sets=1):
            started = start_import(found[0], name=title_of(found[1]), **options(request))
            (settings().uploads / f"{upload}.json").unlink(missing_ok=True)  # the import knows the name now
        return started
    except UserError as error:
        discard_upload(upload)
        raise Refused(400, str(error)) from None


def options(request: Request) -> dict[str, Any]:
    """The split's settings, from a header; anything unknown or out of range is refused."""
    try:
        given = json.loads(unquote(request.headers.get("x-options", "")) or "{}")
        chosen = {name: kind(given[name]) for name, kind in OPTIONS.items() if name in given}
    except (ValueError, TypeError, AttributeError):
        raise Refused(
            400, "The settings of the split cannot be read: reload the page and try again."
        ) from None
    if not all(0 <= chosen.get(name, 0.0) <= 0.5 for name in ("val_fraction", "test_fraction")):
        raise Refused(400, "The parts kept for validation and test must each be between 0 and 50 %.")
    return chosen


def title_of(name: str) -> str:
    """The name a set gets from its file: 'My ants.tar.gz' is 'My ants'."""
    lower = name.lower()
    suffix = next((s for s in sorted(ARCHIVES, key=len, reverse=True) if lower.endswith(s)), "")
    return name[: len(name) - len(suffix)].strip() or "My images"


async def stream(request: Request, part: Path, here: Settings) -> int:
    """Write the body to `part`, a mebibyte at a time, counting what really comes."""
    received, buffer, begun = 0, bytearray(), time.monotonic()
    with open(part, "xb") as file:
        async for chunk in request.stream():
            received += len(chunk)
            if received > here.max_upload_bytes:
                raise too_large(here)
            if time.monotonic() - begun > PATIENCE + received / SLOWEST:
                raise Refused(408, "The upload was too slow and held up others: try again.")
            buffer += chunk
            if len(buffer) >= FLUSH:
                await run_in_threadpool(file.write, bytes(buffer))
                buffer.clear()
                check_free(here)
        await run_in_threadpool(file.write, bytes(buffer))
    return received


def suffix_of(name: str) -> str:
    lower = name.lower()
    found = next((known for known in sorted(SUFFIXES, key=len, reverse=True) if lower.endswith(known)), None)
    if found is None:
        raise Refused(
            415, "Only .zip, .tar, .tar.gz, .tar.xz and .tar.bz2 files can be uploaded as a data set."
        )
    return found


def check_room(announced: int, here: Settings) -> None:
    if announced > here.max_upload_bytes:
        raise too_large(here)
    check_free(here, announced)


def check_free(here: Settings, more: int = 0) -> None:
    if shutil.disk_usage(here.workspace).free - more < here.min_free_bytes:
        raise Refused(
            507, "The disk is nearly full: delete data sets or runs that are not needed, then try again."
        )


def too_large(here: Settings) -> Refused:
    return Refused(
        413,
        f"The file is larger than {size_text(here.max_upload_bytes)}: put it in a folder on the machine "
        "and add that.",
    )


def find_upload(upload: str) -> tuple[Path, str] | None:
    """The file of one's own finished upload and the name it had; None if it is not there (any more)."""
    if not re.fullmatch(r"[a-z0-9]{16}", upload):
        return None
    root = settings().uploads
    for suffix in SUFFIXES:
        path = root / f"{upload}{suffix}"
        if path.is_file():
            about = files.read_json(root / f"{upload}.json", {})
            if not access.may(CHANGE, Ownership(str(about.get("owner", "")), private=True)):
                return None
            return path, one_line(about.get("name") or path.name, 200)
    return None


def discard_upload(upload: str) -> None:
    """Delete what an upload left in the uploads folder."""
    found = find_upload(upload)
    if found:
        found[0].unlink(missing_ok=True)
        (settings().uploads / f"{upload}.json").unlink(missing_ok=True)

"""The server's own routes for data sets: one image, re-encoded, sheets of thumbnails, the set as a zip."""

from __future__ import annotations

import contextlib
import io
import logging
import queue
import re
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.data.dataset import Dataset, export_zip, open_dataset, summarise
from engine.errors import UserError
from engine.files import check_id
from pages.components import sprites

SIZES = (48, 96, 160, 224, 320, 448, 640, 960)  # shorter sides that can be asked for
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
NO_STORE = {"Cache-Control": "no-store"}
CHUNK = 256 * 1024


def routes() -> list[Route]:
    return [
        Route("/lab/datasets/{dataset}/images/{index}.jpg", guarded(image)),
        Route("/lab/datasets/{dataset}/sprites.jpg", guarded(sprite_sheet)),
        Route("/lab/datasets/{dataset}/download.zip", guarded(download)),
    ]


def guarded(handler: Callable[[Request, str], Response]) -> Callable[[Request], Response]:
    """Check the id and who asks, and turn what can go wrong into one JSON sentence.

    Runs in the server's thread pool.
    """

    def endpoint(request: Request) -> Response:
        try:
            dataset = check_id(request.path_params["dataset"], "data set id")
            if summarise(dataset) is None:
                raise UserError(f"There is no data set '{dataset}': choose one from the list.")
            return handler(request, dataset)
        except UserError as error:
            return JSONResponse({"error": str(error)}, status_code=404, headers=NO_STORE)
        except (OSError, ValueError):
            return JSONResponse({"error": "This image cannot be read."}, status_code=404, headers=NO_STORE)

    return endpoint


def image(request: Request, dataset: str) -> Response:
    """Image `index` of a set as a JPEG or, if small, a lossless PNG; never the uploaded bytes."""
    index = whole(request.path_params["index"], "image")
    asked = whole(request.query_params.get("size", "224"), "size")
    size = next((known for known in SIZES if known >= asked), SIZES[-1])
    data, kind = picture(dataset, open_dataset(dataset).fingerprint, index, size)
    return Response(data, media_type=kind, headers=IMMUTABLE)


def sprite_sheet(request: Request, dataset: str) -> Response:
    """Thumbnails of `images` on one sheet; `v` is the set's fingerprint, so that a sheet keeps for good."""
    images = sprites.wanted(request.query_params.get("images", ""), open_dataset(dataset).n)
    data = sprites.sheet(dataset, request.query_params.get("v", ""), images)
    return Response(data, media_type="image/jpeg", headers=IMMUTABLE)


def whole(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UserError(f"The {what} must be a whole number.")
    return int(text)


@lru_cache(maxsize=2048)
def picture(dataset_id: str, fingerprint: str, index: int, size: int) -> tuple[bytes, str]:
    """The encoded picture, its shorter side at most `size`; without EXIF, since it is drawn anew.

    `fingerprint` belongs to the key: a set that was removed and built again is another set.
    """
    dataset = open_dataset(dataset_id)
    if not 0 <= index < dataset.n:
        raise UserError(f"There is no image {index}: this set has images 0 to {dataset.n - 1}.")
    picture = dataset.image(index, at_least=size)
    scale = size / min(picture.size)
    if scale < 1:
        longest = 3 * size  # a panorama must not become a banner of thousands of pixels
        width, height = (max(1, min(longest, round(side * scale))) for side in picture.size)
        picture = picture.resize((width, height), reducing_gap=2.0)
    buffer = io.BytesIO()
    if max(picture.size) <= 96:
        picture.save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), "image/jpeg"


def download(request: Request, dataset: str) -> Response:
    """The set as a zip of split/class folders, sent while it is being written."""
    chosen = open_dataset(dataset)
    attachment = f'attachment; filename="{ascii_name(chosen.name, dataset)}.zip"'
    headers = {"Content-Disposition": attachment, **NO_STORE}
    return StreamingResponse(zipped(chosen), media_type="application/zip", headers=headers)


class Pipe:
    """A file for writing whose bytes come out of `parts` in another thread; holds a few chunks at most."""

    def __init__(self) -> None:
        self.queue: queue.Queue[bytes | None] = queue.Queue(maxsize=8)
        self.buffer = bytearray()
        self.closed_by_reader = threading.Event()

    def write(self, data: bytes) -> int:
        self.buffer += data
        if len(self.buffer) >= CHUNK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self.buffer:
            self.put(bytes(self.buffer))
            self.buffer.clear()

    def put(self, part: bytes | None) -> None:
        while not self.closed_by_reader.is_set():
            try:
                self.queue.put(part, timeout=1)
                return
            except queue.Full:
                continue
        raise BrokenPipeError

    def parts(self) -> Iterator[bytes]:
        try:
            while (part := self.queue.get()) is not None:
                yield part
        finally:
            self.closed_by_reader.set()


def zipped(dataset: Dataset, chosen: np.ndarray | None = None) -> Iterator[bytes]:
    """The bytes of a zip of the set, or of the chosen images; a reader that goes away ends the writing."""
    pipe = Pipe()

    def work() -> None:
        try:
            export_zip(dataset, pipe, chosen)  # type: ignore[arg-type]
            pipe.flush()
        except (OSError, UserError):
            logging.getLogger("replab").info("a download of %s ended early", dataset.id)
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.put(None)

    threading.Thread(target=work, daemon=True, name="download").start()
    return pipe.parts()


def ascii_name(name: str, fallback: str) -> str:
    """A file name that is safe in a header and on every system."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name.encode("ascii", "ignore").decode()).strip("-").lower()
    return plain[:60].strip("-") or fallback

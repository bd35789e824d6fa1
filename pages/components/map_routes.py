"""The server's own routes for maps: the pack that the component draws, and the map to take home."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import IO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from engine.data.dataset import open_dataset
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, map_progress, read_map
from engine.export.map_formats import MAP_FORMATS
from engine.export.maps import map_rows, write_bytes, write_parquet
from engine.projections import PROJECTIONS
from engine.runs.store import check_space
from engine.settings import settings
from pages.components.data_routes import zipped
from pages.components.map_held import GONE, held_rows, hold
from pages.components.map_pack import MOST_POINTS
from pages.components.map_panels import map_bytes, map_version
from pages.components.run_routes import NO_STORE, csv_response, guarded
from pages.components.store import run_store

IMMUTABLE = {"Cache-Control": "private, max-age=86400, immutable"}
NOTHING = "This map has no points yet: wait a moment."
IN_MEMORY = 8 * 2**20  # of a file that is being made; a larger one lies on disk until it is sent
CHUNK = 256 * 1024
MOST_IN_ADDRESS = 1000  # rows; servers between here and the browser take no longer address
WHOLE = {
    "map.html": ".html",
    "map.svg": ".svg",
    "map.png": ".png",
    "map.npz": ".npz",
}
_making = threading.Lock()  # one file at a time: pages must not wait behind several sheets of thumbnails


def routes() -> list[Route]:
    return [
        Route("/lab/runs/{run}/map.bin", guarded(packed)),
        Route("/lab/runs/{run}/map.csv", guarded(table)),
        Route("/lab/runs/{run}/map.parquet", guarded(parquet)),
        Route("/lab/runs/{run}/map.zip", guarded(images)),
        *(Route(f"/lab/runs/{{run}}/{name}", guarded(_whole(name))) for name in WHOLE),
    ]


def map_url(run: str, version: str, shown: list[str]) -> str:
    """Where the pack of these panels is."""
    return f"/lab/runs/{run}/map.bin?v={version}&panels={','.join(shown)}"


def packed(request: Request, run: str) -> Response:
    """The pack of the panels asked for."""
    asked = request.query_params.get("panels", "")[:200].split(",")
    shown = tuple(name for name in asked if name in PROJECTIONS)
    data = _packed(run, shown, _version(run, shown))
    return Response(data, media_type="application/octet-stream", headers=IMMUTABLE)


def _version(run: str, shown: tuple[str, ...]) -> str:
    panels = map_progress(run, run_store())
    if panels is None:
        raise UserError(NOTHING)
    return map_version(run, panels, shown)


@lru_cache(maxsize=16)
def _packed(run: str, shown: tuple[str, ...], version: str) -> bytes:
    """One pack; `version` keeps an older state of the run from being answered."""
    found = read_map(run, run_store())
    if found is None:
        raise UserError(NOTHING)
    return map_bytes(run, found, open_dataset(found.recipe.dataset), shown)


def table(request: Request, run: str) -> Response:
    """Every point, or those asked for, as a table."""
    found = _points(run)
    rows = asked_rows(request, run, len(found.index))
    return csv_response(map_rows(found, rows), f"map-{run}.csv")


def parquet(request: Request, run: str) -> Response:
    """The same table as Parquet."""
    found = _points(run)
    rows = asked_rows(request, run, len(found.index))
    return _made(lambda file: write_parquet(found, file, rows), "map.parquet", ".parquet", run)


def _whole(name: str) -> Callable[[Request, str], Response]:
    """The answer to a question for a file that only a whole map has."""

    def answer(request: Request, run: str) -> Response:
        found = _points(run)
        for asked in ("rows", "selection"):
            if request.query_params.get(asked):
                raise UserError(f"{name} is of the whole map: leave '{asked}' out, or ask for map.csv.")
        return _made(lambda file: write_bytes(found, WHOLE[name], file), name, WHOLE[name], run)

    return answer


def _made(write: Callable[[IO[bytes]], None], name: str, ending: str, run: str) -> Response:
    """A file that is made whole before its first byte is sent, so that a problem is still one sentence."""
    check_space(settings().workspace)
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)
    try:
        with _making:
            write(file)
    except OSError:
        file.close()
        raise UserError(f"{name} cannot be made: free some room on the server's disk.") from None
    except BaseException:
        file.close()
        raise
    stem, dot, rest = name.partition(".")
    headers = {
        "Content-Disposition": f'attachment; filename="{stem}-{run}{dot}{rest}"',
        "Content-Length": str(file.tell()),
        "X-Content-Type-Options": "nosniff",
        **NO_STORE,
    }
    file.seek(0)
    return StreamingResponse(_parts(file), media_type=MAP_FORMATS[ending].media_type, headers=headers)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(CHUNK):
            yield part


def images(request: Request, run: str) -> Response:
    """The images of the points asked for, or of all, as a zip of class folders."""
    found = _points(run)
    rows = asked_rows(request, run, len(found.index))
    headers = {"Content-Disposition": f'attachment; filename="map-{run}.zip"', **NO_STORE}
    chosen = found.index if rows is None else found.index[rows]
    parts = zipped(open_dataset(found.recipe.dataset), chosen)
    return StreamingResponse(parts, media_type="application/zip", headers=headers)


def _points(run: str) -> LatentMap:
    found = read_map(run, run_store())
    if found is None or not found.done:
        raise UserError(NOTHING)
    return found


def asked_rows(request: Request, run: str, n: int) -> list[int] | None:
    """The rows that a question names, one by one or by the key of a selection that is held; None for all.

    Raises:
        UserError: They are no rows of the map, or the selection is gone or another map's.
    """
    key = request.query_params.get("selection", "")
    if not key:
        return chosen_rows(request.query_params.get("rows", ""), n)
    if request.query_params.get("rows"):
        raise UserError("'rows' and 'selection' name the same thing: leave one of them out.")
    rows = held_rows(run, key)
    if max(rows, default=0) >= n:
        raise UserError(GONE)
    return rows


def rows_address(run: str, rows: Sequence[int]) -> str:
    """How an address names rows: one by one, or if that is too long, by a key under which they are held."""
    if len(rows) <= MOST_IN_ADDRESS:
        return f"rows={','.join(map(str, rows))}"
    return f"selection={hold(run, rows)}"


def chosen_rows(text: str, n: int) -> list[int] | None:
    """The rows named in an address, such as "3,7,9"; None for all.

    Raises:
        UserError: They are no rows of the map.
    """
    if not text:
        return None
    parts = text.split(",", MOST_POINTS)
    if not all(part.isascii() and part.isdigit() and len(part) < 7 and int(part) < n for part in parts):
        raise UserError(f"'rows' must be numbers below {n:,} with commas between them.")
    return [int(part) for part in parts]

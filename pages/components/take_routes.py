"""The server's own routes for taking runs home: one file of a run, or several runs as one zip."""

from __future__ import annotations

from pathlib import Path

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from engine import files
from engine.errors import UserError
from engine.export import packing
from engine.export.making import made
from engine.export.run_formats import ZIP, run_format
from engine.runs.store import check_space
from engine.settings import settings
from pages.components.run_routes import NO_STORE, guarded


def routes() -> list[Route]:
    return [Route("/lab/runs/{run}/take/{name}", guarded(take)), Route("/lab/packs/{key}", pack)]


def take(request: Request, run: str) -> Response:
    """The file as it was made, or, if it takes no time, as it is made now."""
    name = str(request.path_params["name"])[:40]
    known = run_format(name)
    if not known.quick:
        path, after = made(run, name), None
    else:
        path = _written(run, name)
        after = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, 200, NO_STORE, known.media_type, after, known.name(run))


def pack(request: Request) -> Response:
    """The zip of several runs, as it was made; runs in Starlette's thread pool."""
    try:
        path, count = packing.packed(str(request.path_params["key"]))
    except UserError as error:
        return JSONResponse({"error": str(error)}, status_code=404, headers=NO_STORE)
    return FileResponse(path, 200, NO_STORE, ZIP, filename=f"runs-{count}.zip")


def _written(run: str, name: str) -> Path:
    from engine.export.take import write_run

    check_space(settings().workspace)
    path = files.inside(settings().tmp, files.new_id())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_run(run, name, path)
    return path

"""The server's own routes for runs: what the live view polls, and the downloads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from engine import access
from engine.data.dataset import open_dataset
from engine.errors import UserError
from engine.export.tables import lines, prediction_rows
from engine.files import check_id
from pages.components.pictures import PICTURES
from pages.components.store import run_store, waiting_words

MAX_ROWS = 2000  # of one answer; the view asks again at once while there are more
NO_STORE = {"Cache-Control": "no-store"}


def routes() -> list[Route]:
    return [
        Route("/lab/runs/{run}/metrics", guarded(metrics)),
        Route("/lab/runs/{run}/predictions.csv", guarded(predictions_csv)),
        Route("/lab/runs/{run}/encoder.safetensors", guarded(encoder_file)),
    ]


def guarded(handler: Callable[[Request, str], Response]) -> Callable[[Request], Response]:
    """Check the id and who asks, and turn what a user can cause into one JSON sentence.

    Runs in Starlette's thread pool.
    """

    def endpoint(request: Request) -> Response:
        try:
            run = check_id(request.path_params["run"], "run id")
            run_store().folder(run)
            return handler(request, run)
        except UserError as error:
            return JSONResponse({"error": str(error)}, status_code=404, headers=NO_STORE)

    return endpoint


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if text and not re.fullmatch(r"[0-9]{1,15}", text):
        raise UserError(f"'{name}' must be a whole number.")
    return int(text) if text else None


def metrics(request: Request, run: str) -> Response:
    """What is new since byte `since` of the run's metrics, and where the run stands."""
    store = run_store()
    status = store.status(run)
    rows, following = store.rows(run, _number(request, "since") or 0)
    frames = store.frames(run)
    answer: dict[str, Any] = {
        "next": following,
        "rows": rows,
        "status": {
            "state": status.state,
            "error": status.error,
            "started": status.started,
            "finished": status.finished,
            "queue_place": status.queue_place,
            "waiting": waiting_words(run, status.queue_place) if status.state == "queued" else None,
            "stopping": status.stopping,
            "device": status.device,
        },
        "progress": store.progress(run) if status.state == "running" else {},
        "frames": frames,
        "has_log": access.me().role == access.OPERATOR,  # it may hold tracebacks and paths
    }
    asked = _number(request, "frame")
    epoch = asked if asked in frames else (frames[-1] if frames else None)
    if epoch is not None and epoch != _number(request, "have"):
        answer["pictures"] = _pictures(run, epoch)
    if answer["has_log"] and request.query_params.get("log"):
        answer["log"] = store.log_tail(run)
    return JSONResponse(answer, headers=NO_STORE)


def _pictures(run: str, epoch: int) -> dict[str, Any] | None:
    store = run_store()
    recipe = store.recipe(run)
    draw = PICTURES.get(recipe.method)
    if draw is None:
        return None
    try:
        return {"epoch": epoch, **draw(open_dataset(recipe.dataset), store.frame(run, epoch))}
    except (UserError, OSError, KeyError, IndexError):
        return None  # the data set is gone, or the frame is just being replaced: the next poll has it


def predictions_csv(request: Request, run: str) -> Response:
    """What a run says of every image, one line an image."""
    return csv_response(prediction_rows(run, run_store()), f"predictions-{run}.csv")


def csv_response(rows: Iterator[Any], name: str) -> Response:
    """A table that is sent while it is written."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **NO_STORE}
    return StreamingResponse(lines(rows), media_type="text/csv; charset=utf-8", headers=headers)


def encoder_file(request: Request, run: str) -> Response:
    path = run_store().encoder_path(run)
    if not path.is_file():
        raise UserError("This run has kept no weights: only a finished run has an encoder.")
    return FileResponse(path, media_type="application/octet-stream", filename=f"encoder-{run}.safetensors")

"""The server's routes for autoencoders: a decoded place in the latent space, the odd images, the decoder."""

from __future__ import annotations

import math
import re

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from engine.data.dataset import open_dataset
from engine.errors import UserError
from engine.export.outliers import hardest
from engine.export.tables import prediction_rows
from pages.components.arrays import png
from pages.components.data_routes import zipped
from pages.components.run_routes import NO_STORE, csv_response, guarded
from pages.components.store import run_store

MOST = 100_000  # images of one selection
NUMBERS = re.compile(r"[-+0-9.,e]{1,400}")


def routes() -> list[Route]:
    return [
        Route("/lab/runs/{run}/walk.png", guarded(walk)),
        Route("/lab/runs/{run}/outliers.csv", guarded(outliers_csv)),
        Route("/lab/runs/{run}/outliers.zip", guarded(outliers_zip)),
        Route("/lab/runs/{run}/decoder.safetensors", guarded(decoder_file)),
    ]


def walk(request: Request, run: str) -> Response:
    """The picture at `at`, a comma-separated position on the principal axes; `base` lends the other axes."""
    from engine.training.look import walk as look

    base = request.query_params.get("base", "")
    picture, strangeness = look(run, _numbers(request.query_params.get("at", "")), _whole(base, "base"))
    headers = {"X-Strangeness": f"{strangeness:.4g}", **NO_STORE}
    return Response(png(picture), media_type="image/png", headers=headers)


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")] if NUMBERS.fullmatch(text) else []
    except ValueError:
        found = []
    if not found or not all(math.isfinite(number) for number in found):
        raise UserError("'at' must be numbers with commas between them.")
    return found


def _whole(text: str, name: str) -> int | None:
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise UserError(f"'{name}' must be a whole number.")
    return int(text) if text else None


def outliers_csv(request: Request, run: str) -> Response:
    """The images rebuilt worst, worst first, with their errors and codes."""
    rows = hardest(_arrays(run), *_selection(request))
    return csv_response(prediction_rows(run, run_store(), rows), f"outliers-{run}.csv")


def outliers_zip(request: Request, run: str) -> Response:
    """The same images as a zip of class folders."""
    arrays = _arrays(run)
    rows = hardest(arrays, *_selection(request))
    dataset = open_dataset(run_store().recipe(run).dataset)
    headers = {"Content-Disposition": f'attachment; filename="outliers-{run}.zip"', **NO_STORE}
    parts = zipped(dataset, arrays["index"][rows])
    return StreamingResponse(parts, media_type="application/zip", headers=headers)


def _arrays(run: str) -> dict[str, np.ndarray]:
    arrays = run_store().predictions(run)
    if arrays is None:
        raise UserError("This run has no errors of single images: only a finished autoencoder has them.")
    return arrays


def _selection(request: Request) -> tuple[int, int | None]:
    n = _whole(request.query_params.get("n", "24"), "n")
    return min(MOST, n if n is not None else 24), _whole(request.query_params.get("label", ""), "label")


def decoder_file(request: Request, run: str) -> Response:
    path = run_store().decoder_path(run)
    if not path.is_file():
        raise UserError("This run has kept no decoder: only a finished autoencoder has one.")
    return FileResponse(path, media_type="application/octet-stream", filename=f"decoder-{run}.safetensors")

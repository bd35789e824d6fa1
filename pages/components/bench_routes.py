"""The server's routes for the loss bench: a contrastive loss taken apart, on the circle or for a run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.errors import UserError
from engine.evaluation.contrast import (
    MOST_ON_CIRCLE,
    Contrast,
    arrange,
    arrange_queue,
    best_on_a_circle,
    check_pairs,
    circle,
    contrast,
)
from pages.components.arrays import picture_url
from pages.components.run_routes import NO_STORE, guarded
from pages.components.store import run_store

MOST_KEYS = 32  # of the queue that is drawn
MOST_SEED = 2**31 - 1
ANGLES = re.compile(r"[-+0-9.,e]{1,600}")
NUMBER = re.compile(r"[-+0-9.e]{1,20}")


def routes() -> list[Route]:
    return [
        Route("/lab/bench", answered(on_circle)),
        Route("/lab/runs/{run}/bench", guarded(of_run)),
    ]


def answered(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Turn what a user can cause into one JSON sentence; runs in Starlette's thread pool."""

    def endpoint(request: Request) -> Response:
        try:
            return handler(request)
        except UserError as error:
            return JSONResponse({"error": str(error)}, status_code=400, headers=NO_STORE)

    return endpoint


def on_circle(request: Request) -> Response:
    """The loss of points on the circle: those at `angles`, or a `preset` of `pairs`.

    InfoNCE also takes the keys of its queue: those at `queue`, or as many as `keys` says, as the preset has.
    """
    query, seed = request.query_params, _seed(request)
    loss, temperature, preset = _loss(request), _temperature(request), query.get("preset", "Random")
    angles = (
        _angles(request, "angles") if "angles" in query else arrange(preset, _pairs(request, "pairs"), seed)
    )
    keys = np.zeros(0)
    if loss == "info_nce":
        keys = _angles(request, "queue") if "queue" in query else arrange_queue(preset, _keys(request), seed)
    n = check_pairs(len(angles))
    if len(keys) > MOST_KEYS:
        raise UserError(f"The queue here holds at most {MOST_KEYS} keys, got {len(keys)}.")
    found = contrast(circle(angles), temperature, loss, circle(keys) if loss == "info_nce" else None)
    return _json(
        found,
        temperature,
        n,
        best=best_on_a_circle(n, temperature) if loss == "nt_xent" else None,
        angles=angles.round(4).tolist(),
        queue=keys.round(4).tolist(),
    )


def of_run(request: Request, run: str) -> Response:
    """The loss of a batch of a trained run's images; its pictures come along if `pictures` is asked for."""
    loss, temperature = _loss(request), _temperature(request)
    n, keys = _pairs(request, "n"), _keys(request) if loss == "info_nce" else 0
    z, index, thumbs = _batch(run, _mark(run), n + keys, _seed(request))
    first, second = z[: n + keys], z[n + keys :]
    batch = np.concatenate([first[:n], second[:n]])
    found = contrast(batch, temperature, loss, second[n:] if keys else None)
    extra: dict[str, Any] = {"index": index.tolist()}
    if request.query_params.get("pictures"):
        both = len(thumbs) // 2
        shown = [*range(n), *range(both, both + n), *range(both + n, both + n + keys)]
        extra["pictures"] = [picture_url(thumbs[row]) for row in shown]  # view 1, view 2, queue
    return _json(found, temperature, n, best=None, **extra)


@lru_cache(maxsize=8)
def _batch(run: str, mark: int, images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings, places in the data set and pictures of a batch; a moved slider does not ask the network."""
    from engine.training.look_views import embedded_views  # torch, so only when it is asked for

    z, index, thumbs = embedded_views(run, images, seed)
    return np.asarray(z, dtype=np.float64), np.asarray(index), np.asarray(thumbs)


def _mark(run: str) -> int:
    """When the run's encoder was written: a resumed run is asked again."""
    try:
        return run_store().encoder_path(run).stat().st_mtime_ns
    except OSError:
        raise UserError("This run has kept no encoder: only a finished run has one.") from None


def _json(found: Contrast, temperature: float, n: int, **extra: Any) -> Response:
    answer = {
        "pairs": n,
        "temperature": temperature,
        "positive": found.positive.tolist(),
        "similarities": _rows(found.similarities, 3),
        "probabilities": _rows(found.probabilities, 5),
        "gradient": _rows(found.gradient, 4),
        "shares": _rows(found.shares, 4),
        "losses": [_short(value) for value in found.losses],
        "mean": _short(found.mean),
        "chance": _short(found.chance),
        "floor": _short(found.floor),
        "spread": round(found.spread, 3),
        **extra,
    }
    if answer["best"] is not None:
        answer["best"] = _short(answer["best"])
    return JSONResponse(answer, headers=NO_STORE)


def _rows(array: np.ndarray, digits: int) -> list[list[float]]:
    found: list[list[float]] = (array.round(digits) + 0.0).tolist()  # + 0.0: no "-0"
    return found


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _loss(request: Request) -> str:
    return request.query_params.get("loss", "nt_xent")


def _temperature(request: Request) -> float:
    text = request.query_params.get("temperature", "0.5")
    try:
        return float(text) if NUMBER.fullmatch(text) else math.nan
    except ValueError:
        return math.nan


def _angles(request: Request, name: str) -> np.ndarray:
    text = request.query_params.get(name, "")
    try:
        found = [float(part) for part in text.split(",")] if ANGLES.fullmatch(text) else []
    except ValueError:
        found = []
    if not found or not all(math.isfinite(angle) for angle in found):
        raise UserError(f"'{name}' must be angles in radians with commas between them.")
    return np.array(found)


def _whole(request: Request, name: str, usual: int, least: int, most: int) -> int:
    text = request.query_params.get(name) or str(usual)
    if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise UserError(f"'{name}' must be a whole number from {least} to {most:,}.")
    return int(text)


def _pairs(request: Request, name: str) -> int:
    return _whole(request, name, 8, 2, MOST_ON_CIRCLE)


def _keys(request: Request) -> int:
    return _whole(request, "keys", 16, 1, MOST_KEYS)


def _seed(request: Request) -> int:
    return _whole(request, "seed", 0, 0, MOST_SEED)

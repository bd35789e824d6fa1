"""A data set as an encoder sees it, by the encoder's name; raw pixels are an encoder too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.data.dataset import Dataset
from engine.data.pixels import pixels, stored_size
from engine.data.progress import Progress
from engine.data.vectors import read_vectors, vectors_id
from engine.errors import UserError
from engine.evaluation.known_features import keep_note, known_features, note_of
from engine.models.encoder import PIXELS

PIXELS_SIDE = 32  # raw pixels say little more at a larger side, and cost much
MOST_BYTES = 2**30  # of pixels as features

Tell = Callable[[str, int, int], None]  # what is being done, images done, images in all


def usual_side(name: str, dataset: Dataset) -> int:
    """The side a run was trained at, an architecture was made for, or the images have.

    Raises:
        UserError: The encoder is not there.
    """
    from engine.models.backbones import backbone_info
    from engine.models.codes import usual_side as side_of
    from engine.models.encoder import encoder_arch, parse_encoder
    from engine.runs.store import RunStore

    if name == PIXELS or vectors_id(name):
        return min(PIXELS_SIDE, side_of(dataset.sizes))
    parsed = parse_encoder(name)
    trained = RunStore().encoder_info(parsed.value).get("image_size") if parsed.kind == "run" else None
    return int(trained or backbone_info(encoder_arch(name)).default_size)


def encode(
    name: str,
    dataset: Dataset,
    side: int,
    rows: np.ndarray | None = None,
    *,
    seed: int = 0,
    tell: Tell | None = None,
    stop: Callable[[], bool] | None = None,
) -> np.ndarray | None:
    """Features of a data set's images, from the cache where they have been computed before.

    Args:
        name: "pixels", "vectors:<id>" for those that somebody brought, or an encoder as
            `engine.models.encoder.parse_encoder` reads it.
        dataset: Whose images.
        side: Of the images that are read.
        rows: (n,) the images wanted; all, if None.
        seed: Of random weights.
        tell: Told how far it is.
        stop: Asked after each batch.

    Returns:
        (n, d) float32; None if it was stopped.

    Raises:
        UserError: The encoder cannot be built, or so many pixels do not fit in memory.
        engine.data.progress.Stopped: It was stopped while the images were read.
    """
    wanted = np.arange(len(dataset)) if rows is None else rows
    if vectors := vectors_id(name):
        return _brought(read_vectors(vectors, dataset), wanted)
    if name == PIXELS and len(wanted) * side * side * 3 * 4 > MOST_BYTES:
        raise UserError(f"So many pixels do not fit in memory: choose an image size below {side}.")

    def reading(progress: Progress) -> None:
        if tell:
            tell("reading images", progress.done, progress.total or 0)

    def images() -> np.ndarray:
        kept = side if name == PIXELS else stored_size(side)
        return pixels(dataset, kept, progress=reading, stop=stop)

    if name == PIXELS:
        return images()[wanted].reshape(len(wanted), -1).astype(np.float32) / np.float32(255)
    return _encoded(name, dataset, images, side, rows, seed, tell, stop)


def _brought(vectors: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    if len(wanted) * vectors.shape[1] * 4 > MOST_BYTES:
        raise UserError("So many numbers do not fit in memory: map fewer images, or bring narrower vectors.")
    return np.asarray(vectors[wanted])


def _encoded(
    name: str,
    dataset: Dataset,
    images: Callable[[], np.ndarray],
    side: int,
    rows: np.ndarray | None,
    seed: int,
    tell: Tell | None,
    stop: Callable[[], bool] | None,
) -> np.ndarray | None:
    few = rows is not None and 2 * len(rows) < len(dataset)  # else all of them: the next question finds them
    note = note_of(name, side, seed, dataset.fingerprint, rows if few else None)
    found = known_features(note, len(dataset))
    if found is None:
        found = _computed(name, dataset, images, side, rows if few else None, seed, tell, stop)
        if found is None:
            return None
        keep_note(note, found)
    wanted = found if rows is None else found[rows]
    return np.asarray(wanted).reshape(len(wanted), -1)


def _computed(
    name: str,
    dataset: Dataset,
    images: Callable[[], np.ndarray],
    side: int,
    rows: np.ndarray | None,
    seed: int,
    tell: Tell | None,
    stop: Callable[[], bool] | None,
) -> np.ndarray | None:
    from engine.evaluation.features import cached_features
    from engine.models.encoder import build_encoder
    from engine.training import machine

    device = machine.choose_device()
    machine.prepare(device)

    def progress(done: int, total: int) -> None:
        if tell:
            tell("computing features", done, total)

    return cached_features(
        build_encoder(name, side, seed).to(device),
        images(),
        dataset.fingerprint,
        rows=rows,
        progress=progress,
        stop=stop,
    )

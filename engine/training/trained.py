"""A finished run put to use: its network, and what it says about new images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.data.augment import center, stored_size
from engine.data.pixels import fitted
from engine.errors import UserError
from engine.methods import method_class, parse_config
from engine.methods.method import Method, Task
from engine.models.cache import MODELS
from engine.models.encoder import build_encoder
from engine.runs.store import RunStore
from engine.training.machine import choose_device

if TYPE_CHECKING:
    from PIL import Image

CHUNK = 32


def load_trained(run_id: str) -> Method:
    """The kept network of a run, in evaluation mode, on the CPU.

    Raises:
        UserError: The run has kept nothing yet, or its files are gone.
    """
    from engine.training.carry_out import load_kept

    store = RunStore()
    recipe, info = store.recipe(run_id), store.encoder_info(run_id)
    if not info.get("task"):
        raise UserError("This run has not finished, so there is nothing to use yet: resume it first.")
    task = {**info["task"], "classes": tuple(info["task"]["classes"])}
    task["class_counts"] = tuple(task["class_counts"])
    encoder = build_encoder(f"run:{run_id}", recipe.image_size)
    method = method_class(recipe.method)(encoder, parse_config(recipe.method, recipe.config), Task(**task))
    load_kept(method, store.writer(run_id).best_path)
    return method.eval()


def trained(run_id: str) -> Method:
    """The same, kept ready on the settings' device for the next question.

    Raises:
        UserError: The run has kept nothing yet, or its files are gone.
    """
    path = RunStore().writer(run_id).best_path
    try:
        mark = path.stat().st_mtime_ns
    except OSError:
        raise UserError("This run has kept no network: only a finished run can be used.") from None
    return MODELS.get((run_id, mark), lambda: load_trained(run_id).to(choose_device()).eval())


def predict(run_id: str, images: Sequence[Image.Image]) -> tuple[tuple[str, ...], np.ndarray]:
    """What a trained classifier says about images it has never seen.

    Args:
        run_id: A finished run.
        images: RGB, upright, of any size.

    Returns:
        The C class names, and (n, C) probabilities.

    Raises:
        UserError: The run cannot be used, or classifies nothing.
    """
    method = load_trained(run_id)
    if not callable(getattr(method, "learns", None)):
        raise UserError("This run has learned no classes: choose a classification run.")
    size = method.task.image_size
    found = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        stored = np.stack([np.asarray(fitted(image.convert("RGB"), stored_size(size))) for image in chunk])
        with torch.inference_mode():
            found.append(method(center(torch.from_numpy(stored), size)).softmax(1).numpy())
    return method.task.classes, np.concatenate(found) if found else np.zeros((0, len(method.task.classes)))

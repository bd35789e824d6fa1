"""A finished run put to use: its network, and what it says about new images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.data.augment import center, stored_size
from engine.data.pixels import fitted
from engine.errors import UserError
from engine.methods import method_class, method_entry, parse_config
from engine.methods.classification import Classification
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


@dataclass(frozen=True)
class Answers:
    """What a classifier says of n images.

    Attributes:
        classes: The C class names.
        logits: (n, C) float32, before the softmax.
        features: (n, d) float32, what its backbone makes of the images.
    """

    classes: tuple[str, ...]
    logits: np.ndarray
    features: np.ndarray


def classifier(run_id: str) -> Classification:
    """The kept network of a finished classification, ready on its device.

    Raises:
        UserError: The run cannot be used, or classifies nothing.
    """
    entry = method_entry(RunStore().recipe(run_id).method)
    method = trained(run_id) if entry.method else None
    if not isinstance(method, Classification):
        raise UserError("This run has learned no classes: choose a classification run.")
    return method


def in_low_precision(run_id: str, method: Method) -> bool:
    """Whether the run's own features were computed in bfloat16, as those of a frozen backbone may be."""
    return method.reads_features and "bfloat16" in str(RunStore().environment(run_id).get("precision"))


def answer(run_id: str, stored: np.ndarray) -> Answers:
    """What a trained classifier says of images, as its own evaluation would.

    Args:
        run_id: A finished run.
        stored: (n, S, S, 3) uint8 with S of `stored_size` of the run's image size.

    Raises:
        UserError: The run cannot be used, or classifies nothing.
    """
    method = classifier(run_id)
    low = in_low_precision(run_id, method)
    size, device = method.task.image_size, method.backbone.mean.device
    logits, features = [np.zeros((0, len(method.task.classes)), np.float32)], []
    for start in range(0, len(stored), CHUNK):
        images = center(torch.from_numpy(np.array(stored[start : start + CHUNK])).to(device), size)
        with torch.inference_mode():
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                read = method.backbone.head_features(images)
            read = read.float()
            logits.append(method.head(read).cpu().numpy())
        features.append((read.mean((2, 3)) if read.ndim == 4 else read).cpu().numpy())
    empty = np.zeros((0, method.backbone.width), np.float32)
    return Answers(method.task.classes, np.concatenate(logits), np.concatenate(features or [empty]))


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
    side = stored_size(classifier(run_id).task.image_size)
    stored = [np.asarray(fitted(image.convert("RGB"), side)) for image in images]
    found = answer(run_id, np.stack(stored) if stored else np.zeros((0, side, side, 3), np.uint8))
    return found.classes, torch.from_numpy(found.logits).softmax(1).numpy()

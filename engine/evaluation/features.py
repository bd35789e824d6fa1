"""Features of a data set's images from an encoder, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from engine.data.augment import View, augment, center
from engine.data.pixels import allocate
from engine.data.writer import disk_full_as_sentence
from engine.evaluation.known_features import features_folder
from engine.files import replace
from engine.models.network import Encoder

VERSION = 1
BATCH_PIXELS = 16 * 224 * 224
LARGE_BATCH = 512

Progress = Callable[[int, int], None]  # images done, images in all


def encoder_identity(encoder: Encoder) -> str:
    """Hash of an encoder's weights: equal weights, equal features, whatever the name."""
    digest = hashlib.sha256(f"{encoder.arch} {encoder.image_size}".encode())
    for name, tensor in encoder.trunk.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def cached_features(
    encoder: Encoder,
    pixels: np.ndarray,
    fingerprint: str,
    *,
    identity: str | None = None,
    for_head: bool = False,
    view: View | None = None,
    copy: int = 0,
    seed: int = 0,
    rows: np.ndarray | None = None,
    low_precision: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> np.ndarray | None:
    """Features of all images, from the cache or computed now in batches and kept there.

    Args:
        encoder: In which state; it is put into evaluation mode.
        pixels: (N, S, S, 3) uint8 images of the data set.
        fingerprint: The data set's.
        identity: `encoder_identity(encoder)` where the caller has it.
        for_head: What a head reads (a map for SqueezeNet) instead of one vector an image.
        view: A random view in place of the plain image.
        copy: Number of the augmented copy.
        seed: Of the random view.
        rows: (n,) the images wanted; the others stay zero. All, if None.
        low_precision: Multiply in bfloat16; for ResNet-18 at 224 px features move by about 0.5 % of their
            length.
        progress: Called with images done and in all.
        stop: Asked after each batch.

    Returns:
        (N, …) float32, mapped from disk; None if it was stopped.
    """
    random = view is not None and view.is_random
    question = {
        "version": VERSION,
        "data": fingerprint,
        "encoder": identity or encoder_identity(encoder),
        "size": encoder.image_size,
        "stored": pixels.shape[1],
        "for_head": for_head,
        "view": [repr(view), copy, seed] if random else None,
        "rows": None if rows is None else hashlib.sha256(rows.tobytes()).hexdigest(),
        **({"precision": "bfloat16"} if low_precision else {}),
    }
    key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:40]
    path = features_folder(fingerprint) / f"{key}.npy"
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        path.parent.mkdir(parents=True, exist_ok=True)
    wanted = np.arange(len(pixels)) if rows is None else rows
    draws = (view, mixed(seed, copy)) if view is not None and random else None
    temporary = path.with_name(f".{key}.{os.getpid()}.{secrets.token_hex(3)}.tmp")
    try:
        if not _compute(encoder, pixels, wanted, for_head, draws, low_precision, temporary, progress, stop):
            return None
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def mixed(seed: int, copy: int) -> torch.Generator:
    """The generator of one augmented copy."""
    state = np.random.SeedSequence([seed, 7, copy]).generate_state(1)
    return torch.Generator().manual_seed(int(state[0]))


@torch.inference_mode()
def _compute(
    encoder: Encoder,
    pixels: np.ndarray,
    rows: np.ndarray,
    for_head: bool,
    draws: tuple[View, torch.Generator] | None,
    low_precision: bool,
    path: Path,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
) -> bool:
    """Write the features of `rows` as an .npy file; False if stopped."""
    encoder.eval()
    device = encoder.mean.device
    size = encoder.image_size
    batch = max(1, min(LARGE_BATCH, BATCH_PIXELS // size**2))
    out: np.memmap | None = None
    for start in range(0, len(rows), batch):
        if stop and stop():
            return False
        some = rows[start : start + batch]
        images = torch.from_numpy(np.ascontiguousarray(pixels[some])).to(device)
        x = augment(images, *_view_args(draws, size)) if draws else center(images, size)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=low_precision):
            found = encoder.head_features(x) if for_head else encoder(x)
        features = found.float().cpu().contiguous().numpy()
        if out is None:
            shape = (len(pixels), *features.shape[1:])
            with disk_full_as_sentence():
                out = allocate(path, shape, np.float32)
        out[some] = features
        if progress:
            progress(min(start + batch, len(rows)), len(rows))
    if out is not None:
        out.flush()
    return out is not None


def _view_args(draws: tuple[View, torch.Generator], size: int) -> tuple[View, int, torch.Generator]:
    return draws[0], size, draws[1]

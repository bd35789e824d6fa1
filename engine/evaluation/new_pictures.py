"""Pictures that no map was made with: read and encoded like its images, without trusting anything in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.archives import open_source
from engine.data.decode import open_image
from engine.data.layout import is_ignored, readable
from engine.data.pixels import fitted
from engine.data.progress import Progress, Report, Stop, never, silent, tell_or_stop
from engine.data.source import Entry
from engine.errors import UserError
from engine.models.encoder import PIXELS
from engine.runs.recipe import Recipe

MOST_PICTURES = 200  # placed at a time
SKIPPED_NAMED = 20


@dataclass(frozen=True)
class Pictures:
    """New pictures, as an encoder reads them.

    Attributes:
        names: Of the m files; data, never paths.
        pixels: (m, s, s, 3) uint8, the middle of each.
        skipped: Names and reasons of files that could not be used, the first few.
        more: Whether further files were left unread.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    skipped: tuple[tuple[str, str], ...] = ()
    more: bool = False


def side_of(recipe: Recipe) -> int:
    """The side at which a map's images were read before the encoder took their middle."""
    from engine.data.augment import stored_size

    return recipe.image_size if (recipe.backbone or PIXELS) == PIXELS else stored_size(recipe.image_size)


def pictures_in(path: Path, side: int, tell: Report = silent, stop: Stop = never) -> Pictures:
    """The pictures of a zip or tar, the first `MOST_PICTURES` of them.

    Args:
        path: Of the archive; nothing in it is trusted or written anywhere.
        side: As `read_pictures`.
        tell: Told how far it is.
        stop: Asked before each file.

    Raises:
        UserError: It is no archive, is over a limit, or holds no picture.
        engine.data.progress.Stopped: It was asked to stop.
    """
    source = open_source(path)
    return read_pictures(source.entries(lambda name: not is_ignored(readable(name))), side, tell, stop)


def read_pictures(entries: Iterable[Entry], side: int, tell: Report = silent, stop: Stop = never) -> Pictures:
    """Decode files and cut the middle out of each, as is done with the images of a data set.

    Args:
        entries: Names and bytes; files without bytes are skipped for their reason.
        side: Pixels, see `side_of`.
        tell: Told how far it is.
        stop: Asked before each file.

    Raises:
        UserError: None of them is a picture.
        engine.data.progress.Stopped: It was asked to stop.
    """
    names: list[str] = []
    pixels: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    for entry in entries:
        tell_or_stop(tell, stop, Progress("reading pictures", len(pixels)))
        name = readable(entry.name)
        if len(pixels) == MOST_PICTURES:
            return Pictures(tuple(names), np.stack(pixels), tuple(skipped), more=True)
        if is_ignored(name) or (entry.data is None and entry.reason is None):
            continue
        try:
            if entry.data is None:
                raise UserError(entry.reason or "")
            pixels.append(np.asarray(fitted(open_image(entry.data, at_least=side), side)))
            names.append(name)
        except UserError as error:
            if len(skipped) < SKIPPED_NAMED:
                skipped.append((name[:120], str(error)))
    if not pixels:
        reason = f"'{skipped[0][0][:60]}': {skipped[0][1]}" if skipped else "there is nothing in it"
        raise UserError(
            f"There is no picture to place ({reason}): choose JPEG or PNG files, or a zip of them."
        )
    return Pictures(tuple(names), np.stack(pixels), tuple(skipped))


def encode_pictures(recipe: Recipe, pixels: np.ndarray) -> np.ndarray:
    """Features of new pictures from a map's encoder, neither read from the cache nor kept there.

    Args:
        recipe: The map's.
        pixels: (m, s, s, 3) uint8 with s of `side_of`.

    Returns:
        (m, d) float32.

    Raises:
        UserError: The encoder cannot be built.
    """
    name = recipe.backbone or PIXELS
    if name == PIXELS:
        return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
    import torch

    from engine.data.augment import center
    from engine.evaluation.features import BATCH_PIXELS, LARGE_BATCH
    from engine.models.encoder import build_encoder
    from engine.training import machine

    device = machine.choose_device()
    machine.prepare(device)
    encoder = build_encoder(name, recipe.image_size, recipe.seed).to(device).eval()
    batch = max(1, min(LARGE_BATCH, BATCH_PIXELS // recipe.image_size**2))
    made = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            images = torch.from_numpy(pixels[start : start + batch]).to(device)
            x = center(images, recipe.image_size).contiguous(memory_format=torch.channels_last)
            made.append(encoder(x).float().cpu().numpy())
    return np.concatenate(made).reshape(len(pixels), -1)

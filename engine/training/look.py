"""A finished autoencoder put to use: rebuilt images, decoded codes, what lies between, repaired pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.data.augment import center, stored_size
from engine.data.dataset import Dataset, open_dataset
from engine.data.pixels import fitted, pixels
from engine.errors import UserError
from engine.evaluation.kept import remembered
from engine.evaluation.latent import LatentSpace, between
from engine.methods import method_class, parse_config
from engine.methods.autoencoder import Autoencoder, as_bytes
from engine.methods.inpainting import hide
from engine.methods.method import Task
from engine.models.encoder import build_encoder
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.training.task import is_gray
from engine.training.trained import trained

if TYPE_CHECKING:
    from PIL import Image

CHUNK = 64
Rectangle = tuple[float, float, float, float]  # left, top, width, height as shares of the side


def autoencoder(run: str) -> Autoencoder:
    """The kept network of a finished autoencoder run, ready on its device.

    Raises:
        UserError: The run has not finished, is of another kind, or its files are gone.
    """
    method = trained(run)
    if not isinstance(method, Autoencoder):
        raise UserError("This run is no autoencoder: choose one from the Autoencoders page.")
    return method


def _device(method: Autoencoder) -> torch.device:
    return next(method.parameters()).device


def latent_space(run: str) -> LatentSpace:
    """The codes of all images of a finished run.

    Raises:
        UserError: The run has kept none.
    """
    return _space(run)


def _read_codes(found: dict[str, np.ndarray]) -> LatentSpace:
    if "code" not in found:
        raise UserError("This run has kept no codes: only a finished autoencoder has them.")
    return LatentSpace(found["code"], found["index"], found["label"])


_space = remembered(_read_codes, "This run has kept no codes: only a finished run has them.", most=8)


def images_of(dataset: Dataset, method: Autoencoder, index: np.ndarray) -> Tensor:
    """(n, 3, H, W) images of a data set as the network reads them, on its device."""
    size = method.task.image_size
    stored = np.ascontiguousarray(pixels(dataset, stored_size(size))[index])
    return center(torch.from_numpy(stored).to(_device(method)), size)


def rebuild(run: str, index: np.ndarray) -> dict[str, np.ndarray]:
    """What a run makes of images of its data set.

    Args:
        run: A finished autoencoder run.
        index: (n,) places in the data set.

    Returns:
        "original", "given", "made": (n, H, W, 3) uint8; "error": (n, H, W) squared error; "score": (n,) loss.
    """
    method = autoencoder(run)
    dataset = open_dataset(RunStore().recipe(run).dataset)
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(index), CHUNK):
        some = np.asarray(index[start : start + CHUNK])
        with torch.inference_mode():
            images = images_of(dataset, method, some)
            look = method.look(images, torch.from_numpy(some))
        found = {
            "original": as_bytes(images),
            "given": as_bytes(look.given),
            "made": as_bytes(look.made),
            "error": look.error[:, 0].float().cpu().numpy(),
            "score": look.score.float().cpu().numpy(),
        }
        for name, array in found.items():
            parts.setdefault(name, []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def decode(run: str, codes: np.ndarray) -> np.ndarray:
    """(n, d) codes -> (n, H, W, 3) uint8 pictures.

    Raises:
        UserError: This method cannot make a picture of a code alone.
    """
    method = autoencoder(run)
    codes = np.asarray(codes, dtype=np.float32)
    if codes.ndim != 2 or codes.shape[1] != method.arch.latent or not np.isfinite(codes).all():
        raise UserError(f"A code of this run is {method.arch.latent} numbers.")
    with torch.inference_mode():
        return as_bytes(method.decode(torch.from_numpy(codes).to(_device(method))))


def walk(run: str, positions: list[float], base: int | None = None) -> tuple[np.ndarray, float]:
    """The picture at a position on the principal axes, and how strange a place it is.

    Args:
        run: A finished autoencoder run.
        positions: On the first axes, in spreads.
        base: The image from which the other axes are taken; None for the mean of all.

    Returns:
        (H, W, 3) uint8, and the distance to the nearest image in usual distances.
    """
    space = latent_space(run)
    if not 1 <= len(positions) <= len(space.axes):
        raise UserError(f"A position here has 1 to {len(space.axes)} numbers.")
    start = None if base is None else space.codes[space.row(base)]
    code = space.at(np.clip(np.nan_to_num(positions), -100, 100)[None], start)
    return decode(run, code)[0], float(space.strangeness(code)[0])


def interpolate(run: str, first: int, second: int, steps: int = 9) -> dict[str, np.ndarray]:
    """From one image to another, through the codes and through the pixels.

    Returns:
        "codes", "pixels": (steps, H, W, 3) uint8; "strangeness": (steps,) of the codes on the way.
    """
    space = latent_space(run)
    codes = between(space.codes[space.row(first)], space.codes[space.row(second)], steps)
    both = rebuild(run, np.array([first, second]))["original"].astype(np.float32)
    faded = between(both[0], both[1], steps).round().astype(np.uint8)
    return {"codes": decode(run, codes), "pixels": faded, "strangeness": space.strangeness(codes)}


def add_difference(run: str, plus: int, minus: int, image: int, amounts: np.ndarray) -> dict[str, np.ndarray]:
    """An image's code plus the mean code of one class less that of another, in several amounts.

    Args:
        run: A finished autoencoder run.
        plus: Class whose mean is added.
        minus: Class whose mean is taken away.
        image: Place in the data set.
        amounts: (m,) how often the difference is added.

    Returns:
        "made": (m, H, W, 3) uint8; "strangeness": (m,); "means": (2, H, W, 3) the two decoded class means.
    """
    space = latent_space(run)
    high, low = space.class_mean(plus), space.class_mean(minus)
    code = space.codes[space.row(image)]
    codes = code + np.asarray(amounts, dtype=np.float32)[:, None] * (high - low)
    means = decode(run, np.stack([high, low]))
    return {"made": decode(run, codes), "strangeness": space.strangeness(codes), "means": means}


def sample(run: str, n: int, seed: int, temperature: float = 1.0) -> np.ndarray:
    """(n, H, W, 3) new pictures: from the prior of a variational autoencoder, else from a fitted normal."""
    method = autoencoder(run)
    if RunStore().recipe(run).method != "variational_autoencoder":
        return decode(run, latent_space(run).fitted_samples(n, seed, temperature))
    draws = np.random.default_rng(seed).standard_normal((n, method.arch.latent))
    return decode(run, temperature * draws)


def repair(
    run: str,
    picture: Image.Image,
    *,
    hole: Rectangle | None = None,
    noise: float | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """What a run makes of a picture it has never seen.

    Args:
        run: A finished autoencoder run.
        picture: Of any size and mode.
        hole: What to hide; for in-painting only. None takes the recipe's own hole.
        noise: How much noise to add; for denoising only. None takes the recipe's own level, 0 adds none.
        seed: Of noise and masks.

    Returns:
        "original", "given", "made": (H, W, 3) uint8; "error": (H, W) squared error.
    """
    from engine.methods.denoising import DenoisingAutoencoder, add_noise
    from engine.methods.inpainting import Inpainting

    method = autoencoder(run)
    size = method.task.image_size
    stored = np.asarray(fitted(picture.convert("RGB"), stored_size(size)))[None]
    images = center(torch.from_numpy(stored.copy()).to(_device(method)), size)
    if method.task.gray:
        images = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    damaged: tuple[Tensor, Tensor | None] | None = None
    if hole is not None and isinstance(method, Inpainting):
        mask = _mask(hole, size).to(images.device)
        damaged = hide(images, mask), mask
    if noise is not None and isinstance(method, DenoisingAutoencoder):
        draws = torch.Generator().manual_seed(seed)
        damaged = add_noise(images, method.config.noise, noise, draws), None
    with torch.inference_mode():
        look = method.look(images, torch.tensor([seed]), damaged)
    return {
        "original": as_bytes(images)[0],
        "given": as_bytes(look.given)[0],
        "made": as_bytes(look.made)[0],
        "error": look.error[0, 0].float().cpu().numpy(),
    }


def _mask(hole: Rectangle, size: int) -> Tensor:
    """(1, 1, size, size) with 1 in the rectangle, at least one pixel of it."""
    left, top, width, height = (min(1.0, max(0.0, float(part))) for part in hole)
    first = min(size - 1, int(left * size)), min(size - 1, int(top * size))
    last = max(first[0] + 1, round((left + width) * size)), max(first[1] + 1, round((top + height) * size))
    mask = torch.zeros(1, 1, size, size)
    mask[:, :, first[1] : last[1], first[0] : last[0]] = 1
    return mask


@dataclass(frozen=True)
class Preview:
    """What a recipe would do to a few images, before any training.

    Attributes:
        given: (n, H, W, 3) uint8, what would go in.
        wanted: (n, H, W, 3) uint8, what should come out.
        inputs: Numbers an image that the encoder sees.
        latent: Numbers a code.
        encoder: Parameters before the code.
        decoder: Parameters after it.
    """

    given: np.ndarray
    wanted: np.ndarray
    inputs: int
    latent: int
    encoder: int
    decoder: int


def preview(recipe: Recipe, dataset: Dataset, index: np.ndarray) -> Preview:
    """Build the recipe's network untrained and show what it would be given.

    Raises:
        UserError: The recipe cannot be carried out on these images.
    """
    size = recipe.image_size
    side = stored_size(size)
    stored = np.stack([np.asarray(fitted(dataset.image(int(i), at_least=side), side)) for i in index])
    task = Task(tuple(dataset.classes), (), len(dataset), size, is_gray(stored))
    config, kind = parse_config(recipe.method, recipe.config), method_class(recipe.method)
    method = kind(build_encoder(kind.own_backbone(config, task), size), config, task).eval()
    assert isinstance(method, Autoencoder)
    with torch.inference_mode():
        images = center(torch.from_numpy(stored), size)
        draws = method.draws(torch.from_numpy(index))
        seen, _ = method.damage(images, draws)
        given, wanted = method.shown(seen), method.picture(method.targets(images), images)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in method.parts().items()}
    arch = method.arch
    return Preview(
        as_bytes(given), as_bytes(wanted), arch.inputs, arch.latent, sizes["encoder"], sizes["decoder"]
    )

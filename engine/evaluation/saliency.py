"""Grad-CAM: where in a picture a classifier finds what speaks for a class, beside an untrained twin's answer.

R. Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization,
https://arxiv.org/abs/1610.02391. The twin is the model randomisation test of J. Adebayo et al. 2018, Sanity
Checks for Saliency Maps, https://arxiv.org/abs/1810.03292: a map that looks the same with random weights
tells of the picture, not of what was learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.data.augment import center
from engine.errors import UserError
from engine.evaluation.inside import Tap, hooked, taps
from engine.methods import method_class, parse_config
from engine.methods.classification import Classification
from engine.models.autoencoders import SplitTrunk
from engine.models.cache import MODELS
from engine.models.encoder import build_encoder
from engine.models.network import Encoder
from engine.runs.store import RunStore
from engine.training.machine import choose_device
from engine.training.trained import classifier

TWIN_SEED = 1_000_003  # no run's own seed is likely to be it
NO_PLACES = (
    "This network flattens the picture at once and knows no places, so there is no map of what speaks for a "
    "class."
)


@dataclass(frozen=True)
class Saliency:
    """What speaks for a class, and where.

    Attributes:
        share: (H, W) float32 between 0 and 1, the strongest place is 1; all 0 where nothing speaks for it.
        height: Places of the map it was computed on, from top to bottom.
        width: And from left to right.
        block: The block of the network that was read.
    """

    share: np.ndarray
    height: int
    width: int
    block: str

    @property
    def empty(self) -> bool:
        """Whether nothing in the block speaks for the class."""
        return not bool(self.share.any())


def class_map(
    score: Callable[[Tensor], Tensor],
    modules: Sequence[nn.Module],
    maps: Callable[[int, Tensor], Tensor],
    images: Tensor,
    target: int,
) -> list[Tensor]:
    """Equations 1 and 2 of the paper: ReLU(Σ_k α_k A_k), α_k the mean gradient of the class's score by A_k.

    Args:
        score: (1, 3, H, W) images to (1, C) logits; runs the modules.
        modules: Whose outputs are the A.
        maps: Brings module i's output to (1, K, h, w).
        images: (1, 3, H, W).
        target: The class.

    Returns:
        (h, w) for each module.
    """
    kept: dict[int, Tensor] = {}

    def see(place: int, output: Tensor) -> Tensor:
        kept[place] = output.detach().clone().requires_grad_()
        return kept[place].clone()  # a copy: what follows may work in place

    with torch.enable_grad(), hooked(modules, see):
        logits = score(images)
        slopes = torch.autograd.grad(logits[0, target], list(kept.values()))
    found = []
    for place, slope in zip(kept, slopes, strict=True):
        activation, gradient = maps(place, kept[place].detach()), maps(place, slope)
        weights = gradient.mean((2, 3), keepdim=True)  # α_k, (1, K, 1, 1)
        found.append((weights * activation).sum(1)[0].relu())
    return found


def places_of(encoder: Encoder) -> tuple[Tap, ...]:
    """The last maps before the features, one where the network is a chain.

    Raises:
        UserError: It has none.
    """
    there = [tap for tap in taps(encoder) if tap.places > 1]
    if not there:
        raise UserError(NO_PLACES)
    if isinstance(encoder.trunk, SplitTrunk):
        return tuple(there)  # two networks side by side
    return (_before_attention(there[-1]),)


def _before_attention(tap: Tap) -> Tap:
    """A ViT's head reads the class token alone, so its patches speak last as they enter the last layer."""
    if tap.layout != "class":
        return tap
    last = int(tap.block.removeprefix("layer ")) - 1
    name = f"encoder.layers.encoder_layer_{last}.ln_1"
    return Tap(tap.block, name, tap.channels, tap.height, tap.width, tap.layout)


def grad_cam(method: Classification, images: Tensor, target: int) -> Saliency:
    """The map of one class for one image, drawn to the image's size.

    Args:
        method: In evaluation mode.
        images: (1, 3, H, W) in [0, 1], on its device.
        target: The class.

    Raises:
        UserError: The network knows no places.
    """
    read = places_of(method.backbone)
    modules = [method.backbone.trunk.get_submodule(tap.module) for tap in read]
    size = tuple(images.shape[2:])
    found = class_map(method, modules, lambda place, output: read[place].maps(output), images, target)
    drawn = [F.interpolate(m[None, None], size, mode="bilinear", align_corners=False)[0, 0] for m in found]
    whole = torch.stack(drawn).sum(0)
    share = (whole / whole.max().clamp(min=1e-30)).cpu().numpy().astype(np.float32)
    block = " and ".join(tap.block for tap in read)
    return Saliency(share, read[-1].height, read[-1].width, block)


def random_twin(run_id: str) -> Classification:
    """The network of a run with all weights drawn anew, head included; kept ready like the run's own.

    Raises:
        UserError: The run classifies nothing.
    """
    known = classifier(run_id)

    def build() -> Classification:
        recipe = RunStore().recipe(run_id)
        encoder = build_encoder(f"random:{known.backbone.arch}", recipe.image_size, TWIN_SEED)
        config = parse_config(recipe.method, recipe.config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(TWIN_SEED)
            twin = method_class(recipe.method)(encoder, config, known.task)
        assert isinstance(twin, Classification)
        return twin.to(choose_device()).eval()

    return MODELS.get(("twin", run_id), build)


@dataclass(frozen=True)
class Explained:
    """Why a run says a class of a picture, beside the same question to its untrained twin.

    Attributes:
        image: (H, W, 3) uint8, what the network reads of the picture.
        target: The class asked about.
        own: The run's map.
        twin: The map of the same network with random weights.
        agreement: Spearman's rank correlation of the two; None where one of them is empty.
    """

    image: np.ndarray
    target: int
    own: Saliency
    twin: Saliency
    agreement: float | None


def seen_of(stored: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3) uint8, the middle of an (S, S, 3) picture that a network reads."""
    start = round((len(stored) - size) / 2)
    return stored[start : start + size, start : start + size]


def explain(run_id: str, stored: np.ndarray, target: int) -> Explained:
    """Grad-CAM of a run and of its untrained twin.

    Args:
        run_id: A finished classification.
        stored: (S, S, 3) uint8 with S of `engine.evaluation.trial.side_of`.
        target: The class asked about.

    Raises:
        UserError: The run cannot be used, or its network knows no places.
    """
    method, twin = classifier(run_id), random_twin(run_id)
    size = method.task.image_size
    images = center(torch.from_numpy(stored[None]).to(method.backbone.mean.device), size)
    own, other = (grad_cam(one, images, target) for one in (method, twin))
    agreement = rank_agreement(own.share, other.share)
    return Explained(seen_of(stored, size), target, own, other, agreement)


def rank_agreement(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's rank correlation of two maps: 1 is the same order of places, 0 none in common.

    Args:
        one: (H, W).
        other: (H, W).

    Returns:
        None where one of them is the same everywhere.
    """
    if not np.ptp(one) or not np.ptp(other):
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), other.ravel()).statistic)

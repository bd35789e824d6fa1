"""Views of batches: right distribution, right filter, one draw an image, repeated by the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional as F

from engine.data.augment import (
    VIEWS,
    View,
    augment,
    blur,
    center,
    color_jitter,
    crop_boxes,
    crop_resize,
    rotate,
    shift_hue,
    stored_size,
    to_gray,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, side: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, side, side, 3), dtype=torch.uint8, generator=seeded(seed))


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if view.is_random])
def test_copies_of_one_image_get_different_views(name: str) -> None:
    same = noise(1, 48).expand(32, -1, -1, -1)
    views = augment(same, VIEWS[name], 32, seeded())
    assert len({view.numpy().tobytes() for view in views}) >= 30


@pytest.mark.parametrize("name", VIEWS)
def test_a_seed_gives_the_same_views_again_and_another_seed_others(name: str) -> None:
    images = noise(5, 40)
    first, again, other = (augment(images, VIEWS[name], 32, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != VIEWS[name].is_random
    assert first.shape == (5, 3, 32, 32) and first.min() >= 0 and first.max() <= 1


def test_the_evaluation_view_is_the_middle_of_the_image() -> None:
    images = noise(3, 256)
    expected = F.center_crop(images.permute(0, 3, 1, 2), [224, 224]).float() / 255
    assert torch.equal(center(images, 224), expected)
    assert torch.equal(augment(images, VIEWS["none"], 224, seeded()), expected)


@pytest.mark.parametrize(("size", "stored"), [(32, 32), (96, 96), (224, 256), (299, 342)])
def test_large_images_are_stored_with_the_usual_margin(size: int, stored: int) -> None:
    assert stored_size(size) == stored


def test_a_crop_is_resized_as_pil_would() -> None:
    images = noise(4, 64)
    boxes = torch.tensor([[3.0, 5, 50, 41], [0, 0, 64, 64], [10, 20, 12, 9], [1, 0, 33, 60]])
    flip = torch.tensor([False, True, False, True])
    ours = crop_resize(images, boxes, flip, 24)
    for i, (top, left, height, width) in enumerate(boxes.int().tolist()):
        picture = Image.fromarray(images[i].numpy()).crop((left, top, left + width, top + height))
        expected = np.asarray(picture.resize((24, 24), Image.Resampling.BILINEAR)).astype(float) / 255
        expected = expected[:, ::-1] if flip[i] else expected
        assert np.abs(ours[i].permute(1, 2, 0).numpy() - expected).max() < 1.6 / 255  # PIL rounds twice


def test_a_crop_is_resized_as_torchvision_would() -> None:
    images = noise(1, 64)
    ours = crop_resize(images, torch.tensor([[3.0, 5, 50, 41]]), torch.tensor([False]), 24)
    picture = images.permute(0, 3, 1, 2).float() / 255
    expected = F.resized_crop(picture, 3, 5, 50, 41, [24, 24], antialias=True)
    assert torch.allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize(("scale", "ratio"), [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.2, 1.0), (0.5, 2.0))])
def test_crops_are_distributed_as_torchvisions(
    scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    n, side = 4000, 224
    ours = crop_boxes(n, side, scale, ratio, seeded()).numpy()
    torch.manual_seed(0)
    blank = torch.zeros(3, side, side)
    theirs = np.array(
        [RandomResizedCrop.get_params(blank, list(scale), list(ratio)) for _ in range(n)], dtype=float
    )
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    assert ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 1e-3


def test_a_crop_that_can_not_fit_takes_the_whole_image() -> None:
    boxes = crop_boxes(8, 32, (1.0, 1.0), (3.0, 3.0), seeded())
    assert torch.equal(boxes, torch.tensor([[0.0, 0, 32, 32]]).expand(8, -1))


@pytest.mark.parametrize("turn", [-0.4, -0.1, 0.0, 0.07, 0.5])
def test_hue_is_turned_as_torchvision_would(turn: float) -> None:
    x = torch.rand(3, 3, 8, 8, generator=seeded())
    assert torch.allclose(shift_hue(x, torch.full((3,), turn)), F.adjust_hue(x, turn), atol=2e-5)


@pytest.mark.parametrize(
    ("view", "adjust", "low", "high"),
    [
        (View(brightness=0.4, jitter=1.0), F.adjust_brightness, 0.6, 1.4),
        (View(contrast=0.4, jitter=1.0), F.adjust_contrast, 0.6, 1.4),
        (View(saturation=0.4, jitter=1.0), F.adjust_saturation, 0.6, 1.4),
    ],
    ids=["brightness", "contrast", "saturation"],
)
def test_every_colour_change_is_one_of_torchvisions(view: View, adjust, low: float, high: float) -> None:
    """There is a factor within the bounds for which torchvision's function gives our image."""
    x = torch.rand(4, 3, 12, 12, generator=seeded()) * 0.6 + 0.1
    ours = color_jitter(x, view, seeded(3))
    found = []
    for i in range(len(x)):
        factors = np.linspace(low, high, 1601)
        errors = [float((adjust(x[i], f) - ours[i]).abs().max()) for f in factors]
        assert min(errors) < 1e-3
        found.append(factors[int(np.argmin(errors))])
    assert np.ptp(found) > 0.05


def test_gray_is_torchvisions() -> None:
    x = torch.rand(2, 3, 6, 6, generator=seeded())
    assert torch.allclose(to_gray(x)[:, None], F.rgb_to_grayscale(x), atol=1e-4)


def test_blur_is_a_gaussian_and_leaves_flat_images_alone() -> None:
    flat = torch.full((2, 3, 20, 20), 0.3)
    assert torch.allclose(blur(flat, torch.tensor([0.5, 3.0])), flat, atol=1e-6)
    x = torch.rand(1, 3, 40, 40, generator=seeded())
    expected = F.gaussian_blur(x, [13, 13], [2.0, 2.0])
    assert torch.allclose(blur(x, torch.tensor([2.0])), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("chance", "changed"),
    [
        (View(solarise=0.2), lambda x, y: (y - x).abs().amax((1, 2, 3)) > 0.01),
        (View(gray=0.2), lambda x, y: (y[:, 0] - y[:, 1]).abs().amax((1, 2)) < 1e-6),
        (View(blur=0.2, sigma=(20.0, 20.0)), lambda x, y: (y - x).abs().amax((1, 2, 3)) > 0.01),
        (View(flip=0.2), lambda x, y: (y - x).abs().amax((1, 2, 3)) > 0.01),
    ],
    ids=["solarise", "gray", "blur", "flip"],
)
def test_things_happen_as_often_as_they_should(chance: View, changed) -> None:
    n = 2000
    images = noise(n, 8)
    share = changed(center(images, 8), augment(images, chance, 8, seeded())).float().mean()
    assert abs(float(share) - 0.2) < 3 * (0.2 * 0.8 / n) ** 0.5


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_are_exact(turns: int) -> None:
    x = torch.rand(2, 3, 9, 9, generator=seeded())
    found = rotate(x, torch.full((2,), 90.0 * turns))
    assert torch.allclose(found, torch.rot90(x, turns, (2, 3)), atol=1e-5)


def test_an_image_turns_as_torchvisions_does_inside_its_corners() -> None:
    x = torch.rand(1, 3, 32, 32, generator=seeded())
    found = rotate(x, torch.tensor([30.0]))
    expected = F.rotate(x, 30.0, interpolation=InterpolationMode.BILINEAR)
    assert torch.allclose(found[..., 8:24, 8:24], expected[..., 8:24, 8:24], atol=1e-4)


def test_each_image_turns_by_its_own_angle_within_the_limit() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).repeat(64, 1)[None, :, :, None].expand(200, -1, -1, 3)
    views = augment(ramp, View(rotate=40), 64, seeded())
    middle = views[:, 0, 16:48, 16:48]
    down, right = torch.gradient(middle, dim=(1, 2))
    angles = torch.rad2deg(torch.atan2(-down.mean((1, 2)), right.mean((1, 2))))
    assert angles.abs().max() <= 40.5
    assert ks_2samp(angles.numpy(), np.linspace(-40, 40, 2000)).pvalue > 0.01

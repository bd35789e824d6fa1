"""Inside networks: every family has a tap a block, maps are those of a plain pass, filters are weights."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from engine.data.augment import center
from engine.errors import UserError
from engine.evaluation.inside import Tap, block_maps, first_filters, hooked, look_inside, taps
from engine.models.encoder import build_encoder
from engine.models.network import Encoder
from engine.models.trunks import blocks, skeleton

# an architecture of each family, the side it is tried at, and the last map before its features
FAMILIES = {
    "cnn-small": (32, (128, 4, 4)),
    "resnet20": (32, (64, 8, 8)),
    "resnet18": (64, (512, 2, 2)),
    "alexnet": (224, (256, 13, 13)),
    "vgg11": (64, (512, 4, 4)),
    "squeezenet1_1": (64, (512, 3, 3)),
    "densenet121": (64, (1024, 2, 2)),
    "mobilenet_v2": (64, (1280, 2, 2)),
    "mobilenet_v3_small": (64, (576, 2, 2)),
    "efficientnet_b0": (64, (1280, 2, 2)),
    "convnext_tiny": (64, (768, 2, 2)),
    "mnasnet0_5": (64, (1280, 2, 2)),
    "regnet_y_400mf": (64, (440, 2, 2)),
    "shufflenet_v2_x0_5": (64, (1024, 2, 2)),
    "googlenet": (64, (1024, 2, 2)),
    "inception_v3": (299, (2048, 8, 8)),
    "swin_t": (64, (768, 2, 2)),
    "maxvit_t": (224, (512, 7, 7)),
    "vit_b_16": (64, (768, 4, 4)),
    "ae-conv-32-colour-8-16": (32, (32, 4, 4)),
    "ae-vit-32-colour-16-16": (32, (16, 8, 8)),
}


def weightless(arch: str, side: int) -> Encoder:
    """An encoder with shapes and no memory."""
    return Encoder(arch, skeleton(arch, side), side).to("meta")


@pytest.mark.parametrize("arch", FAMILIES)
def test_every_block_of_every_family_can_be_read(arch: str) -> None:
    side, last = FAMILIES[arch]
    encoder = weightless(arch, side)
    found = taps(encoder)
    assert [tap.block for tap in found] == [block.name for block in blocks(arch, encoder.trunk)]
    with_places = [tap for tap in found if tap.places > 1]
    assert (with_places[-1].channels, with_places[-1].height, with_places[-1].width) == last
    maps, features = block_maps(encoder, found, torch.zeros(2, 3, side, side, device="meta"))
    assert [tuple(m.shape) for m in maps] == [(2, tap.channels, tap.height, tap.width) for tap in found]
    assert features.shape == (2, encoder.width)
    assert all(not module._forward_hooks for module in encoder.modules()), "nothing is left behind"


def test_a_network_that_flattens_has_numbers_but_no_places() -> None:
    found = taps(build_encoder("random:ae-mlp-28-gray-32-8", 28))
    assert [(tap.block, tap.channels, tap.places) for tap in found] == [("body", 32, 1), ("code", 8, 1)]


def test_maps_are_those_of_a_plain_pass() -> None:
    encoder = build_encoder("random:cnn-small", 32).eval()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps, features = block_maps(encoder, taps(encoder), images)
    with torch.no_grad():
        x = encoder.normalise(images)
        for name, found in zip(("stem", "stage1", "stage2"), maps, strict=True):
            x = encoder.trunk.get_submodule(name)(x)
            assert torch.allclose(found, x, atol=1e-5)
    assert torch.allclose(features, x.mean((2, 3)), atol=1e-5)


def test_what_follows_in_place_does_not_change_what_was_read() -> None:
    encoder = build_encoder("random:resnet18-small", 8).eval()
    maps, _ = block_maps(encoder, taps(encoder)[:1], torch.rand(1, 3, 8, 8))
    assert taps(encoder)[0].module == "bn1"
    assert float(maps[0].min()) < 0, "before the ReLU that works in place"


def test_tokens_are_laid_out_by_rows_without_the_class_token() -> None:
    tokens = torch.arange(7.0).reshape(1, 7, 1)
    with_class = Tap("layer 1", "x", 1, 2, 3, "class").maps(tokens)
    assert with_class.tolist() == [[[[1, 2, 3], [4, 5, 6]]]]
    assert Tap("norm", "x", 1, 1, 7, "tokens").maps(tokens).tolist() == [[[[0, 1, 2, 3, 4, 5, 6]]]]
    last = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert Tap("stage", "x", 3, 1, 2, "last").maps(last).tolist() == [[[[0, 3]], [[1, 4]], [[2, 5]]]]


def test_a_hook_sees_only_its_own_thread() -> None:
    layer, seen = nn.Linear(2, 2), []
    with hooked([layer], lambda place, output: seen.append(place)):
        other = threading.Thread(target=lambda: layer(torch.zeros(1, 2)))
        other.start()
        other.join()
        assert seen == []
        layer(torch.zeros(1, 2))
    layer(torch.zeros(1, 2))
    assert seen == [0]


def test_filters_are_the_first_weights_with_grey_for_zero() -> None:
    encoder = build_encoder("random:cnn-small", 32)
    weight = torch.zeros(32, 3, 4, 4)
    weight[0, 0, 1, 2], weight[0, 2, 3, 0] = 2.0, -1.0
    encoder.trunk.get_parameter("stem.0.weight").data.copy_(weight)
    found = first_filters(encoder)
    assert found.pictures.shape == (32, 4, 4, 3) and found.layer == "stem.0"
    assert found.pictures[0, 1, 2].tolist() == [255, 128, 128]
    assert found.pictures[0, 3, 0].tolist() == [128, 128, 64]
    assert (found.pictures[1:] == 128).all()


def test_filters_of_dense_and_patch_layers_lie_as_their_pixels_do() -> None:
    dense = build_encoder("random:ae-mlp-8-colour-4-2", 8)
    weight = dense.trunk.get_parameter("body.1.weight")
    weight.data.zero_()
    image = torch.zeros(1, 3, 8, 8)
    image[0, 1, 2, 5] = 1.0
    weight.data[0] = image.flatten()
    assert np.argwhere(first_filters(dense).pictures[0] == 255).tolist() == [[2, 5, 1]]

    patches = build_encoder("random:ae-vit-32-colour-8-8", 32)
    weight = patches.trunk.get_parameter("embed.weight")
    weight.data.zero_()
    side = int(patches.trunk.patch)  # type: ignore[arg-type]
    image = torch.zeros(1, 3, 32, 32)
    image[0, 2, 1, 3] = 1.0  # in the first patch, whose token alone wakes up
    from engine.models.autoencoders import patchify

    weight.data[0] = patchify(image, side)[0, 0]
    assert np.argwhere(first_filters(patches).pictures[0] == 255).tolist() == [[1, 3, 2]]


def test_grey_filters_are_grey_and_others_are_refused() -> None:
    pictures = first_filters(build_encoder("random:ae-conv-32-gray-4-4", 32)).pictures
    assert (pictures == pictures[..., :1]).all()
    odd = weightless("cnn-small", 32)
    odd.trunk = nn.Sequential(nn.Conv2d(5, 2, 3))
    with pytest.raises(UserError, match="no picture"):
        first_filters(odd)


def test_looking_inside_orders_channels_by_their_mean() -> None:
    encoder = build_encoder("random:cnn-small", 32, seed=3)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = look_inside(encoder, picture)
    assert found.random and [layer.tap.block for layer in found.layers] == ["stem", "stage1", "stage2"]
    maps, _ = block_maps(encoder, taps(encoder), center(torch.from_numpy(picture[None]), 32))
    for layer, wanted in zip(found.layers, maps, strict=True):
        assert np.array_equal(layer.maps, wanted[0].numpy())
        means = layer.maps.mean((1, 2))[layer.order]
        assert (np.diff(means) <= 0).all()

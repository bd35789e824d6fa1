"""BatchNorm over parts of a batch, standardised kernels, and networks without batch statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.models.normalisation import (
    SplitBatchNorm2d,
    StandardisedConv2d,
    norm1d,
    norm2d,
    split_batch_norm,
)
from engine.models.projection_heads import dense_head
from engine.models.small_nets import SMALL_NETS


def images(n: int, channels: int = 3, side: int = 5, seed: int = 0) -> torch.Tensor:
    scale = torch.arange(1, n + 1).view(n, 1, 1, 1)  # every image has statistics of its own
    return scale * torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed)) + scale


def split(channels: int, parts: int) -> SplitBatchNorm2d:
    layer = nn.Sequential(nn.BatchNorm2d(channels))
    split_batch_norm(layer, parts)
    assert isinstance(layer[0], SplitBatchNorm2d)
    return layer[0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("n", "parts"), [(12, 4), (8, 2), (6, 3), (6, 1)])
def test_each_part_is_normalised_apart(n: int, parts: int, layout: torch.memory_format) -> None:
    x = images(n)
    out = split(3, parts).train()(x.contiguous(memory_format=layout)).detach().numpy()
    for s in range(parts):  # image i belongs to part i mod parts
        group, expected = out[s::parts], x[s::parts].numpy()
        assert group.mean((0, 2, 3)) == pytest.approx(np.zeros(3), abs=1e-5)
        assert group.std((0, 2, 3)) == pytest.approx(np.ones(3), abs=1e-3)
        mean, std = expected.mean((0, 2, 3), keepdims=True), expected.std((0, 2, 3), keepdims=True)
        assert group == pytest.approx((expected - mean) / np.sqrt(std**2 + 1e-5), abs=1e-4)


def test_parts_see_less_than_the_whole_batch() -> None:
    x = images(8)
    assert not torch.allclose(split(3, 4).train()(x), nn.BatchNorm2d(3).train()(x), atol=0.05)


def test_running_figures_are_the_means_of_the_parts_and_evaluation_uses_them() -> None:
    x, layer = images(8), split(3, 4).train()
    layer(x)
    means = np.mean([x[s::4].numpy().mean((0, 2, 3)) for s in range(4)], axis=0)
    variances = np.mean([x[s::4].numpy().var((0, 2, 3), ddof=1) for s in range(4)], axis=0)
    assert layer.running_mean.numpy() == pytest.approx(0.1 * means, rel=1e-4)
    assert layer.running_var.numpy() == pytest.approx(0.9 + 0.1 * variances, rel=1e-4)
    plain = nn.BatchNorm2d(3).eval()
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval()(x), plain(x))


def test_scale_and_shift_belong_to_their_channel() -> None:
    layer, x = split(3, 2).train(), images(4)
    plain = layer(x).detach()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2, 3]))
        layer.bias.copy_(torch.tensor([0.0, 10, 20]))
    scale, shift = layer.weight.view(1, 3, 1, 1), layer.bias.view(1, 3, 1, 1)
    assert torch.allclose(layer(x), plain * scale + shift, atol=1e-5)


def test_a_batch_that_is_no_multiple_is_cut_into_as_many_parts_as_divide_it() -> None:
    x = images(6)
    assert torch.equal(split(3, 4).train()(x), split(3, 2).train()(x))
    assert torch.allclose(split(3, 4).train()(images(5)), nn.BatchNorm2d(3).train()(images(5)), atol=1e-5)


def test_splitting_keeps_weights_and_leaves_other_norms_alone() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(1, 4), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    split_batch_norm(net, 4)
    split_batch_norm(net, 2)  # once more: only the number changes
    assert type(net[1]) is SplitBatchNorm2d and net[1].splits == 2
    assert type(net[2]) is nn.GroupNorm and type(net[3]) is nn.BatchNorm1d
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_standardised_kernels_do_not_know_their_scale_or_mean() -> None:
    layer, x = StandardisedConv2d(3, 6, 3, padding=1, bias=False), images(2)
    weight = layer.weight.detach().numpy()
    centred = weight - weight.mean((1, 2, 3), keepdims=True)
    used = centred / np.sqrt(centred.var((1, 2, 3), keepdims=True) + 1e-5) / np.sqrt(27)
    before = layer(x)
    expected = nn.functional.conv2d(x, torch.from_numpy(used.astype(np.float32)), padding=1)
    assert torch.allclose(before, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        layer.weight.mul_(5).add_(3)
    assert torch.allclose(layer(x), before, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", [name for name in SMALL_NETS if name.endswith(("-groupnorm", "-nonorm"))])
def test_a_network_without_batch_statistics_sees_each_image_alone(name: str) -> None:
    torch.manual_seed(0)
    net = SMALL_NETS[name]().train()
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in net.modules())
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together, alone = net(x), torch.cat([net(image[None]) for image in x])
    assert together.shape == (3, net(x[:1]).shape[1])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(("kind", "layers"), [("batch", nn.BatchNorm1d), ("group", nn.LayerNorm)])
def test_a_head_normalises_its_hidden_layers_only(kind: str, layers: type[nn.Module]) -> None:
    head = dense_head((8, 6, 6, 4), kind)
    assert [type(layer) for layer in head] == [nn.Linear, layers, nn.ReLU] * 2 + [nn.Linear]
    assert [layer.bias is not None for layer in head if isinstance(layer, nn.Linear)] == [False, False, True]


def test_a_head_without_norm_has_biases_and_ends_plain() -> None:
    head = dense_head((8, 6, 4), "none", last_norm=True, last_bias=False)
    assert head[0].bias is not None and type(head[-1]) is nn.Linear
    assert isinstance(head[1], nn.Identity)
    ended = dense_head((8, 6, 4), last_norm=True)[-1]
    assert isinstance(ended, nn.BatchNorm1d) and not ended.affine
    assert len(dense_head((8, 4))) == 1


def test_what_stands_for_batch_norm() -> None:
    assert isinstance(norm2d("batch", 8), nn.BatchNorm2d) and isinstance(norm1d("none", 8), nn.Identity)
    assert norm2d("group", 64).num_groups == 4 and norm2d("group", 8).num_groups == 1

"""Grad-CAM against networks whose map is known in closed form, for every backbone, beside its twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from engine.data.augment import center
from engine.errors import UserError
from engine.evaluation.saliency import (
    class_map,
    explain,
    grad_cam,
    places_of,
    random_twin,
    rank_agreement,
    seen_of,
)
from engine.evaluation.trial import read_picture
from engine.methods import parse_config
from engine.methods.classification import Classification
from engine.methods.method import Task
from engine.models.encoder import build_encoder
from engine.models.network import Encoder
from engine.training.trained import classifier
from tests.evaluation.tried import SIDE, small_shapes, tried_run


def untrained(arch: str, side: int, **config: Any) -> Classification:
    torch.manual_seed(0)
    task = Task(("a", "b", "c"), (1, 1, 1), 3, side)
    settings = parse_config("classification", config)
    return Classification(build_encoder(f"random:{arch}", side), settings, task).eval()


class Tiny(nn.Module):
    """Two maps, the red and the blue of the image; a ReLU in place; a mean; a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1, bias=False)
        self.maps.weight.data = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]).reshape(2, 3, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[3.0, -1.0], [-2.0, 5.0]])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.maps(x)).mean((2, 3)))


@pytest.mark.parametrize("target", [0, 1])
def test_of_a_mean_and_a_dense_layer_it_is_the_weighted_sum_of_the_maps(target: int) -> None:
    net, images = Tiny(), torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    (found,) = class_map(net, [net.maps], lambda place, output: output, images, target)
    weights = net.head.weight[target].detach() / 20  # the mean over 20 places has a slope of 1/20 at each
    wanted = (weights[0] * images[0, 0] + weights[1] * images[0, 2]).relu()
    assert torch.allclose(found, wanted, atol=1e-7)
    assert net.maps.weight.grad is None, "the network's own gradients stay as they are"


def test_of_a_small_cnn_it_is_what_the_head_weighs(workspace: Path) -> None:
    for mode in ("extract", "everything"):
        method = untrained("cnn-small", 32, mode=mode)
        images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        found = grad_cam(method, images, 2)
        with torch.no_grad():
            trunk = method.backbone.trunk
            a = method.backbone.normalise(images)
            for name in ("stem", "stage1", "stage2"):
                a = trunk.get_submodule(name)(a)
            weights = method.head.linear.weight[2]  # type: ignore[union-attr, index]
            coarse = torch.einsum("k,khw->hw", weights, a[0]).relu()  # type: ignore[arg-type]
            wide = nn.functional.interpolate(coarse[None, None], (32, 32), mode="bilinear")[0, 0]
        assert (found.height, found.width, found.block) == (4, 4, "stage2")
        assert found.share == pytest.approx((wide / wide.max()).numpy(), abs=1e-5)
        assert found.share.max() == 1 and found.share.min() >= 0 and not found.empty


def test_where_nothing_speaks_for_the_class_the_map_is_empty() -> None:
    method = untrained("cnn-small", 32)
    method.head.linear.weight.data[1] = -1.0  # type: ignore[union-attr, index]
    found = grad_cam(method, torch.rand(1, 3, 32, 32), 1)
    assert found.empty and found.share.shape == (32, 32)


def test_a_vision_transformer_is_read_by_its_patches_before_the_last_attention() -> None:
    torch.manual_seed(0)
    trunk = VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4)
    nn.init.normal_(trunk.heads.head.weight)
    encoder = Encoder("vit_b_16", trunk, 32).eval()
    (tap,) = places_of(encoder)
    assert tap.module == "encoder.layers.encoder_layer_2.ln_1"
    assert (tap.height, tap.width) == (4, 4)
    images = torch.rand(1, 3, 32, 32)
    norm = trunk.get_submodule(tap.module)
    (found,) = class_map(trunk, [norm], lambda place, output: tap.maps(output), images, 1)

    kept: list[Tensor] = []
    handle = norm.register_forward_hook(lambda module, given, out: kept.append(out) or out.retain_grad())
    trunk(images)[0, 1].backward()
    handle.remove()
    patches, slopes = kept[0][0, 1:].detach(), kept[0].grad[0, 1:]  # type: ignore[index]
    wanted = (patches @ slopes.mean(0)).relu().reshape(4, 4)
    assert float(wanted.max()) > 0 and torch.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("arch", "side", "grid"),
    [
        ("resnet20", 32, (8, 8)),
        ("squeezenet1_1", 64, (3, 3)),
        ("mnasnet0_5", 64, (2, 2)),
        ("shufflenet_v2_x0_5", 64, (2, 2)),
        ("mobilenet_v3_small", 64, (2, 2)),
        ("resnet18-small", 16, (2, 2)),
        ("ae-conv-32-colour-8-16", 32, (4, 4)),
        ("ae-vit-32-colour-16-16", 32, (8, 8)),
        ("ae-split-32-light-8-16", 32, (4, 4)),
    ],
)
def test_it_runs_on_every_kind_of_backbone(arch: str, side: int, grid: tuple[int, int]) -> None:
    method = untrained(arch, side)
    weight = next(method.head.parameters()).data
    weight[0], weight[1] = 1.0, -1.0  # one of these classes is spoken for, whatever the map holds
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = [grad_cam(method, images, target) for target in range(3)]
    assert {(one.height, one.width) for one in found} == {grid}
    assert all(np.isfinite(one.share).all() and one.share.shape == (side, side) for one in found)
    assert any(not one.empty for one in found)
    assert all(not module._forward_hooks for module in method.modules())


def test_where_the_last_map_is_one_place_an_earlier_one_is_read() -> None:
    method = untrained("resnet18-small", 8)  # layer4 has a single place
    found = grad_cam(method, torch.rand(1, 3, 8, 8), 0)
    assert (found.block, found.height, found.width) == ("layer3", 2, 2)


def test_a_network_without_places_says_so() -> None:
    method = untrained("ae-mlp-28-gray-32-8", 28)
    with pytest.raises(UserError, match="no places"):
        grad_cam(method, torch.rand(1, 3, 28, 28), 0)


def test_a_run_is_explained_beside_its_untrained_twin(workspace: Path) -> None:
    dataset = small_shapes()
    run = tried_run(dataset)
    own, twin = classifier(run), random_twin(run)
    before, other = own.state_dict(), twin.state_dict()
    assert before.keys() == other.keys()
    for name in ("backbone.trunk.stem.0.weight", "head.linear.weight"):
        assert not torch.equal(before[name], other[name]), "the head is drawn anew as well"
    assert random_twin(run) is twin, "it is kept"
    stored = read_picture(dataset.raw_bytes(3), SIDE)
    found = explain(run, stored, 4)
    images = center(torch.from_numpy(stored[None]), SIDE)
    for one, network in ((found.own, own), (found.twin, twin)):
        assert np.array_equal(one.share, grad_cam(network, images, 4).share)
    if not (found.own.empty or found.twin.empty):
        wanted = spearmanr(found.own.share.ravel(), found.twin.share.ravel()).statistic
        assert found.agreement == pytest.approx(wanted)
    assert np.array_equal(found.image, stored)


def test_the_middle_that_a_network_reads_is_that_of_the_evaluation() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (146, 146, 3), np.uint8)
    wanted = center(torch.from_numpy(stored[None]), 128)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    assert np.array_equal(seen_of(stored, 128), wanted)


def test_maps_that_rank_alike_agree_and_empty_ones_cannot_be_compared() -> None:
    one = np.arange(12.0).reshape(3, 4)
    assert rank_agreement(one, one**3) == pytest.approx(1)
    assert rank_agreement(one, -one) == pytest.approx(-1)
    assert rank_agreement(one, np.zeros((3, 4))) is None

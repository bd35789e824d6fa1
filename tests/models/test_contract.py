"""Every entry of BACKBONES: its figures are torchvision's, it builds, reads images, has the right head."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from engine.errors import UserError
from engine.models.backbones import BACKBONES
from engine.models.encoder import build_encoder
from engine.models.heads import build_head, describe_network
from engine.models.loading import load_trunk
from engine.models.trunks import blocks, last_layer_name, skeleton

LIBRARY = [arch for arch, info in BACKBONES.items() if not info.small]
FRONT = ["alexnet", "vgg16", "resnet18", "resnet34", "resnet50", "squeezenet1_0", "squeezenet1_1"]
FRONT += ["densenet121", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny", "vit_b_16"]
ONE_OF_A_KIND = (
    "resnet18",
    "densenet121",
    "googlenet",
    "alexnet",
    "regnet_y_400mf",
    "efficientnet_b0",
    "swin_t",
)
QUICK = [a for a, info in BACKBONES.items() if a in ONE_OF_A_KIND or info.parameters < 2_600_000]
HEAVY = [arch for arch in BACKBONES if arch not in QUICK]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def small_size(arch: str) -> int:
    info = BACKBONES[arch]
    return max(info.min_size, info.size_step)


def test_the_registry_is_torchvisions_list_and_shows_the_usual_ones_first() -> None:
    assert set(LIBRARY) == set(models.list_models(module=models))
    assert all(BACKBONES[arch].front for arch in FRONT)
    assert {"cnn-small", "resnet20", "resnet18-small"} == set(BACKBONES) - set(LIBRARY)
    first = [info.front for info in BACKBONES.values()]
    assert first == sorted(first, reverse=True)


@pytest.mark.parametrize("arch", LIBRARY)
def test_the_table_holds_torchvisions_figures(arch: str) -> None:
    info, weights = BACKBONES[arch], next(iter(models.get_model_weights(arch)))
    auxiliary = 3_326_696 if arch == "inception_v3" else 0  # the meta data count a head that we leave out
    assert info.parameters == weights.meta["num_params"] - auxiliary
    assert weights.url.endswith("/" + info.weights_file)
    assert info.default_size == weights.transforms.keywords["crop_size"]
    assert info.gflops == pytest.approx(weights.meta["_ops"])
    assert info.weights_mb == round(weights.meta["_file_size"])
    assert info.default_size % info.size_step == 0 and info.min_size <= info.default_size


@pytest.mark.parametrize("arch", BACKBONES)
def test_shapes_parameters_and_blocks_fit(arch: str) -> None:
    info, trunk = BACKBONES[arch], skeleton(arch)
    assert count(trunk) + count(build_head(arch, 1000)) == info.parameters
    parts = blocks(arch, trunk)
    owners = [sum(part.holds(name) for part in parts) for name, _ in trunk.named_parameters()]
    assert set(owners) == {1} and len(parts) >= 3
    assert all(any(part.holds(name) for name, _ in trunk.named_parameters()) for part in parts)
    with torch.no_grad():
        features = trunk.eval()(torch.zeros(2, 3, info.default_size, info.default_size, device="meta"))
        assert features.shape[:2] == (2, info.width)
        for classes in (1, 2, 7):
            assert build_head(arch, classes).to("meta")(features).shape == (2, classes)


@pytest.mark.parametrize("arch", LIBRARY)
def test_the_head_is_the_layer_that_was_taken_away(arch: str) -> None:
    if BACKBONES[arch].family == "RegNet":
        pytest.skip("RegNet cannot be built without memory")
    options = {"aux_logits": False, "init_weights": False} if arch in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        whole = models.get_model(arch, weights=None, **options)
        head = build_head(arch, 1000)
    taken = whole.get_submodule(last_layer_name(arch))
    assert [p.shape for p in taken.parameters()] == [p.shape for p in head.parameters()]
    ours = set(skeleton(arch).state_dict())
    assert ours == {name for name in whole.state_dict() if not name.startswith(last_layer_name(arch) + ".")}


@pytest.mark.parametrize("arch", [*QUICK, *(pytest.param(arch, marks=pytest.mark.slow) for arch in HEAVY)])
def test_it_builds_and_gives_finite_features_of_the_stated_width(arch: str) -> None:
    info = BACKBONES[arch]
    encoder = build_encoder(f"random:{arch}", small_size(arch), seed=1).eval()
    images = torch.rand(2, 3, small_size(arch), small_size(arch), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = encoder(images)
        logits = build_head(arch, 3).eval()(encoder.head_features(images))
    assert features.shape == (2, encoder.width) == (2, info.width)
    assert bool(features.isfinite().all()) and logits.shape == (2, 3)
    assert encoder.provenance == "random" and encoder.arch == arch


@pytest.mark.parametrize("arch", ["cnn-small", "resnet18", "mnasnet0_5"])
def test_a_kept_state_without_step_counts_comes_back(arch: str) -> None:
    kept, other = build_encoder(f"random:{arch}", 32, 1), build_encoder(f"random:{arch}", 32, 2)
    state = {name: t for name, t in kept.trunk.state_dict().items() if "num_batches" not in name}
    load_trunk(other, state)
    now = other.trunk.state_dict()
    assert state and all(torch.equal(now[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("arch", ["cnn-small", "squeezenet1_1", "mobilenet_v3_small"])
def test_a_seed_draws_the_same_weights_and_leaves_others_draws_alone(arch: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (build_encoder(f"random:{arch}", 64, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    pairs = zip(first.trunk.state_dict().values(), again.trunk.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.trunk.parameters()), next(other.trunk.parameters()))


@pytest.mark.parametrize(
    ("arch", "size", "words"),
    [
        ("alexnet", 62, "63 to 1024 px"),
        ("inception_v3", 64, "75 to 1024 px"),
        ("vit_b_16", 100, "steps of 16"),
        ("maxvit_t", 256, "choose 224"),
        ("densenet121", 16, "32 to 1024 px"),
    ],
)
def test_sizes_that_can_not_be_read_are_refused_with_those_that_can(arch: str, size: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build_encoder(f"random:{arch}", size)


@pytest.mark.parametrize(
    ("arch", "total", "extract"),
    [
        ("alexnet", 57_012_034, 8_194),
        ("vgg16", 134_268_738, 8_194),
        ("resnet18", 11_177_538, 1_026),
        ("squeezenet1_0", 736_450, 1_026),
        ("densenet121", 6_955_906, 2_050),
    ],
)
def test_two_classes_cost_what_the_tutorial_says(arch: str, total: int, extract: int) -> None:
    network = describe_network(arch, 2, "extract", 224)
    learns = network["learns"]
    assert learns["total"] == learns["everything"] == total and learns["extract"] == extract
    assert extract < learns["last_block"] < total
    trained = [row for row in network["layers"] if row["trains"]]
    assert sum(row["parameters"] for row in trained) == extract
    assert sum(row["parameters"] for row in network["layers"]) == total


@pytest.mark.parametrize("arch", ["resnet18", "vit_b_16", "swin_t", "googlenet", "cnn-small"])
def test_the_layer_table_follows_an_image_through_the_network(arch: str) -> None:
    info = BACKBONES[arch]
    network = describe_network(arch, 5, "last_block", info.default_size)
    assert network["layers"][-1]["shape"] == [5]
    trains = sum(row["parameters"] for row in network["layers"] if row["trains"])
    assert trains == network["learns"]["last_block"]
    assert sum(row["parameters"] for row in network["layers"]) == network["learns"]["total"]

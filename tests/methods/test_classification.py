"""Classification: what is frozen does not move, what learns does, and the cache stands for the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.data.augment import VIEWS, center
from engine.evaluation.features import cached_features, encoder_identity
from engine.methods import METHODS, parse_config
from engine.methods.classification import Classification, class_weights
from engine.methods.classification_config import ClassificationConfig
from engine.methods.method import Task
from engine.models.encoder import build_encoder
from engine.training.optim import Plan, build_optimizer
from engine.training.step import Batch

SMALL = {"resnet18": 32, "densenet121": 32, "mobilenet_v3_small": 32, "squeezenet1_1": 32, "cnn-small": 32}


def classifier(arch: str, size: int, classes: int = 3, **settings: object) -> Classification:
    config = parse_config("classification", settings)
    task = Task(tuple("abcdefgh"[:classes]), (4,) * classes, 4 * classes, size)
    torch.manual_seed(0)
    return Classification(build_encoder(f"random:{arch}", size, 0), config, task)  # type: ignore[arg-type]


def batch(size: int, n: int = 6, classes: int = 3) -> Batch:
    images = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))
    return Batch((images,), torch.arange(n) % classes, torch.arange(n))


def learn(method: Classification, size: int, steps: int = 2) -> None:
    optimizer = build_optimizer(method, Plan.of(method.config))
    for group in optimizer.param_groups:
        group["lr"] = 0.05
    method.train()
    given = batch(size)
    if method.reads_features:
        with torch.no_grad():
            given = Batch((method.backbone.head_features(given.views[0]),), given.labels, given.index)
    for _ in range(steps):
        optimizer.zero_grad()
        method.training_step(given).loss.backward()
        optimizer.step()


@pytest.mark.parametrize("arch", SMALL)
@pytest.mark.parametrize("mode", ["extract", "last_block", "everything"])
def test_what_is_frozen_stays_bit_for_bit_and_what_learns_moves(arch: str, mode: str) -> None:
    size = SMALL[arch]
    method = classifier(arch, size, mode=mode, optimizer="sgd")
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    learn(method, size)
    trainable = {name for name, p in method.named_parameters() if p.requires_grad}
    last, moved = method.backbone.blocks[-1], []
    for name, tensor in method.state_dict().items():
        trunk = name.removeprefix("backbone.trunk.")
        frozen = trunk != name and (mode == "extract" or (mode == "last_block" and not last.holds(trunk)))
        if frozen:
            assert torch.equal(tensor, before[name]), name
            assert name not in trainable and name not in method.changing_state()
        elif name in trainable:
            moved.append(not torch.equal(tensor, before[name]))
    # Squeeze gates that random weights hold shut pass no gradient to the layers they guard.
    assert np.mean(moved) > 0.7
    expected = method.learns()[mode]
    assert sum(p.numel() for p in method.parameters() if p.requires_grad) == expected
    if mode == "extract":
        assert {name.split(".")[0] for name in trainable} == {"head"}


def test_fine_tuning_moves_every_parameter_and_every_statistic() -> None:
    method = classifier("resnet18", 32, mode="everything")
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    learn(method, 32)
    still = [n for n, t in method.state_dict().items() if torch.equal(t, before[n]) and "mean" not in n]
    assert still == []


def test_frozen_dropout_is_off_and_learning_dropout_on() -> None:
    frozen, whole = (classifier("alexnet", 64, mode=mode).train() for mode in ("extract", "everything"))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(frozen.backbone(images), frozen.backbone(images))
        assert not torch.equal(whole.backbone(images), whole.backbone(images))
    block = classifier("resnet18", 32, mode="last_block").train()
    modules = {name: m.training for name, m in block.backbone.trunk.named_modules()}
    assert modules["layer4.0.bn1"] and not modules["layer3.0.bn1"] and not modules["bn1"]


FRONT = [
    "resnet18",
    "squeezenet1_0",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "alexnet",
    "cnn-small",
    "resnet20",
]
SLOW = [
    "resnet34",
    "resnet50",
    "vgg16",
    "densenet121",
    "squeezenet1_1",
    "mobilenet_v3_large",
    "convnext_tiny",
]
SLOW += ["vit_b_16", "resnet18-small"]


@pytest.mark.parametrize("arch", [*FRONT, *(pytest.param(arch, marks=pytest.mark.slow) for arch in SLOW)])
def test_cached_features_and_head_equal_the_whole_network(workspace: Path, arch: str) -> None:
    size = 64
    method = classifier(arch, size, mode="extract").eval()
    pixels = np.random.default_rng(0).integers(0, 256, (7, size, size, 3), dtype=np.uint8)
    found = cached_features(method.backbone, pixels, "f", for_head=True)
    with torch.no_grad():
        ours = method.head(torch.from_numpy(np.array(found)))
        whole = method(center(torch.from_numpy(pixels), size))
    assert torch.allclose(ours, whole, atol=1e-5)
    assert found.shape[1] == method.backbone.width


@pytest.mark.parametrize("arch", FRONT)
def test_features_in_low_precision_are_kept_apart_and_near(workspace: Path, arch: str) -> None:
    encoder = build_encoder(f"random:{arch}", 64, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    full = np.array(cached_features(encoder, pixels, "f"), dtype=np.float64)
    low = np.array(cached_features(encoder, pixels, "f", low_precision=True), dtype=np.float64)
    error = np.linalg.norm(low - full, axis=1) / np.linalg.norm(full, axis=1)
    assert (error > 0).all() and (error < 0.03).all()


def test_features_are_computed_once_and_follow_their_question(workspace: Path) -> None:
    encoder = build_encoder("random:cnn-small", 32, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    counted: list[int] = []

    def ask(**changes: object) -> np.ndarray:
        options = {"progress": lambda done, total: counted.append(done), **changes}
        return np.array(cached_features(encoder, pixels, "f", **options))

    first, again = ask(), ask()
    assert np.array_equal(first, again) and len(counted) == 1
    views = [ask(view=VIEWS["standard"], copy=c, seed=s) for c, s in ((1, 0), (2, 0), (1, 1))]
    assert len({v.tobytes() for v in (first, *views)}) == 4 and len(counted) == 4
    some = ask(view=VIEWS["standard"], copy=1, rows=np.array([2, 5]))
    assert np.all(some[[0, 1, 3, 4, 6, 7, 8]] == 0) and np.all(some[[2, 5]].any(1))
    before = encoder_identity(encoder)
    with torch.no_grad():
        next(encoder.trunk.parameters()).add_(1)
    assert encoder_identity(encoder) != before and not np.array_equal(ask(), first)
    with torch.no_grad():
        next(encoder.trunk.parameters()).add_(1)
    assert cached_features(encoder, pixels, "f", stop=lambda: True) is None


def test_the_loss_is_cross_entropy_with_smoothing_and_weights_as_formulas() -> None:
    method = classifier("cnn-small", 32, label_smoothing=0.2, class_balance="weighted_loss")
    weights = class_weights((9, 3, 0))
    method.class_weights = weights
    given = batch(32)
    method.eval()
    with torch.no_grad():
        logits = method(given.views[0])
        loss = float(method.training_step(given).loss)
        plain = method.evaluation_step(given)
    assert weights.tolist() == pytest.approx([12 / (2 * 9), 12 / (2 * 3), 0])
    log = logits.log_softmax(1)
    target = torch.full((6, 3), 0.2 / 3) + 0.8 * F.one_hot(given.labels, 3)
    each = -(target * weights * log).sum(1)
    assert loss == pytest.approx(float(each.sum() / weights[given.labels].sum()), rel=1e-4)
    assert float(plain.loss) == pytest.approx(float(F.cross_entropy(logits, given.labels)), rel=1e-5)
    probabilities: Tensor = plain.outputs["probabilities"]
    assert torch.allclose(probabilities.sum(1), torch.ones(6), atol=1e-5)
    hits = (probabilities.argmax(1) == given.labels).float().mean()
    assert float(plain.logs["accuracy"]) == pytest.approx(float(hits))


def test_balanced_sampling_draws_rare_classes_more() -> None:
    method = classifier("cnn-small", 32, class_balance="balanced_sampling")
    weights = method.sampling_weights(np.array([0, 0, 0, 1, 2, 2]))
    assert weights is not None and weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 0.5, 0.5])
    assert classifier("cnn-small", 32).sampling_weights(np.array([0, 1])) is None


def test_the_tutorial_preset_is_the_tutorial() -> None:
    config = ClassificationConfig(**ClassificationConfig.PRESETS["Tutorial"])
    assert (config.optimizer, config.learning_rate, config.momentum) == ("sgd", 0.001, 0.9)
    assert (config.batch_size, config.epochs, config.schedule) == (8, 15, "constant")
    assert (config.weight_decay, config.label_smoothing, config.warmup_epochs) == (0, 0, 0)
    standard = VIEWS[config.augment]
    assert standard.scale == (0.08, 1.0) and standard.flip == 0.5 and standard.jitter == 0
    assert ClassificationConfig.PRESET_RECIPES["Tutorial"]["image_size"] == 224


@pytest.mark.parametrize("name", METHODS)
def test_presets_are_valid_settings(name: str) -> None:
    from engine.methods import config_class

    for values in config_class(name).PRESETS.values():
        parse_config(name, values)

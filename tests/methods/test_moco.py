"""MoCo against its formula, its key encoder and queue step by step, and settings that do not go together."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine.errors import UserError
from engine.methods import config_class, parse_config
from engine.methods.method import Task
from engine.methods.moco import MoCo, info_nce
from engine.models.encoder import build_encoder
from engine.models.normalisation import SplitBatchNorm2d
from tests.methods.stepping import SIZE, batch, optimizer_of, step

A = np.array([[1, 2, 3, 4], [-1, 0, 2, 1], [0.5, -1.5, 1, 0], [2, 1, -1, 0.5]])
B = np.array([[1, 2, 2, 4], [-1, 1, 2, 1], [0, -1, 1, 0.5], [2, 0, -1, 1]])
QUEUE = np.vstack([np.eye(4), [1, 1, 1, 1], [1, -1, 1, -1]])
BATCH = 8


def by_hand(q: np.ndarray, k: np.ndarray, queue: np.ndarray, tau: float) -> float:
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, k, queue)]
    losses = []
    for own, key in zip(unit[0], unit[1], strict=True):
        right = math.exp(float(own @ key) / tau)
        losses.append(
            -math.log(right / (right + sum(math.exp(float(own @ other) / tau) for other in unit[2])))
        )
    return float(np.mean(losses))


def ours(q: np.ndarray, k: np.ndarray, queue: np.ndarray, tau: float) -> float:
    return float(info_nce(*(torch.from_numpy(x) for x in (q, k, queue)), tau))


def made(n_train: int = 24, **settings: Any) -> MoCo:
    given = {"batch_size": BATCH, "queue_size": 4 * BATCH, "batch_norm_splits": 4, **settings}
    config, task = parse_config("moco", given), Task((), (), n_train, SIZE)
    torch.manual_seed(0)
    encoder = build_encoder(MoCo.backbone_name(None, config, task), SIZE, 0)
    return MoCo(encoder, config, task).train()  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("tau", "expected"), [(0.07, 0.247248), (0.1, 0.363496), (0.2, 0.645220), (1, 1.461609)]
)
def test_known_tensors_have_their_known_loss(tau: float, expected: float) -> None:
    assert ours(A, B, QUEUE, tau) == pytest.approx(expected, abs=1e-6)
    assert ours(A, B, QUEUE, tau) == pytest.approx(by_hand(A, B, QUEUE, tau), abs=1e-12)
    assert ours(A * 3, B / 7, QUEUE * 2, tau) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("keys", "chance"), [(4096, 8.318010), (65536, 11.090370)])
def test_chance_and_the_least_possible_are_those_of_the_queue(keys: int, chance: float) -> None:
    lines = made(queue_size=keys, temperature=0.2).chance()
    assert lines["chance, log(1+K)"] == pytest.approx(chance, abs=1e-6)
    assert lines["least possible"] == pytest.approx(math.log(1 + keys * math.exp(-10)), abs=1e-9)


def test_orthogonal_and_opposite_keys_cost_what_they_should() -> None:
    apart = np.eye(14)
    assert ours(apart[:4], apart[4:8], apart[8:], 0.5) == pytest.approx(math.log(7), abs=1e-12)
    for keys, tau, expected in ((4096, 0.1, 0.170551), (65536, 0.07, 0.040135), (65536, 0.2, 6.092617)):
        axes = np.eye(2)
        found = ours(axes[:1], axes[:1], np.tile(axes[1:], (keys, 1)), tau)
        assert found == pytest.approx(expected, abs=1e-6)
    opposite = ours(axes[:1], axes[:1], np.tile(-axes[:1], (32, 1)), 0.1)
    assert opposite == pytest.approx(made(temperature=0.1).chance()["least possible"], rel=1e-6)


@pytest.mark.parametrize("kappa", [2.0, 8.0])
@pytest.mark.parametrize("keys", [7, 255])
def test_what_the_loss_says_of_shared_information_is_a_lower_bound(kappa: float, keys: int) -> None:
    """On the circle with noise of von Mises, cos / τ at τ = 1/κ is the best critic there is."""
    random = np.random.default_rng(0)
    grid = np.linspace(-np.pi, np.pi, 20_001)[:-1]
    density = np.exp(kappa * np.cos(grid))
    density /= density.mean()  # relative to the even one
    information = float((density * np.log(density)).mean())
    estimates = []
    for _ in range(300):
        angle = random.uniform(-np.pi, np.pi, 16)
        noisy = angle + random.vonmises(0, kappa, 16)
        others = random.uniform(-np.pi, np.pi, keys)
        q, k, queue = (np.stack([np.cos(x), np.sin(x)], axis=1) for x in (angle, noisy, others))
        estimates.append(math.log(1 + keys) - ours(q, k, queue, 1 / kappa))
    mean, error = np.mean(estimates), np.std(estimates) / math.sqrt(len(estimates))
    assert max(estimates) <= math.log(1 + keys)
    assert mean <= information + 3 * error
    if keys == 255:
        assert mean > information - 0.05, "many negatives bring it close"


def test_only_queries_get_a_gradient() -> None:
    q, k, queue = (torch.from_numpy(x).requires_grad_() for x in (A, B, QUEUE))
    info_nce(q, k, queue, 0.2).backward()
    assert k.grad is None and queue.grad is None and float(q.grad.norm()) > 0
    fixed = torch.from_numpy(B), torch.from_numpy(QUEUE)
    assert torch.autograd.gradcheck(lambda x: info_nce(x, *fixed, 0.3), (q,))


def test_the_optimiser_holds_no_key_parameter_and_every_one_has_its_twin() -> None:
    method = made()
    held = {id(p) for group in optimizer_of(method).param_groups for p in group["params"]}
    for keys, queries in ((method.key_encoder, method.backbone), (method.key_head, method.projection_head)):
        named, twins = dict(keys.named_parameters()), dict(queries.named_parameters())
        assert {name: p.shape for name, p in named.items()} == {name: p.shape for name, p in twins.items()}
        assert all(torch.equal(named[name], twins[name]) for name in named), "it begins as a copy"
        assert not held & {id(p) for p in named.values()}
        assert held >= {id(p) for p in twins.values()}
    method.training_step(batch()).given_loss.backward()
    assert all(p.grad is None for part in (method.key_encoder, method.key_head) for p in part.parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_the_key_encoder_follows_before_it_makes_keys(momentum: float) -> None:
    method = made(ema_momentum=momentum)
    start = [p.clone() for p in method.key_encoder.parameters()]
    statistics = {name: value.clone() for name, value in method.key_encoder.named_buffers()}
    with torch.no_grad():
        for p in method.backbone.parameters():
            p.add_(1)
    online = [p.detach().clone() for p in method.backbone.parameters()]
    method.training_step(batch())
    for before, theirs, now in zip(start, online, method.key_encoder.parameters(), strict=True):
        if momentum in (0, 1):
            assert torch.equal(now, theirs if momentum == 0 else before)
        assert torch.allclose(now, momentum * before + (1 - momentum) * theirs, atol=1e-6)
    own = dict(method.key_encoder.named_buffers())
    theirs = dict(method.backbone.named_buffers())
    for name in own:
        if "running_mean" in name:
            assert not torch.equal(own[name], statistics[name]), "its own passes move its statistics"
            assert not torch.equal(own[name], theirs[name])


def test_keys_are_put_back_in_the_order_of_their_images() -> None:
    method, (images, _) = made(), batch().views
    method.eval()  # without batch statistics the order has no say
    keys = method._keys(images)
    with torch.no_grad():
        expected = F.normalize(method.key_head(method.key_encoder(images)), dim=1)
    assert torch.allclose(keys, expected, atol=1e-5)
    assert keys.norm(dim=1).tolist() == pytest.approx([1] * BATCH, abs=1e-5)
    apart = (keys[:, None] - keys[None]).norm(dim=2).fill_diagonal_(1)
    assert float(apart.min()) > 1e-3, "images have keys of their own"


def test_shuffling_means_something_only_where_batch_norm_is_split() -> None:
    def twice(splits: int) -> tuple[torch.Tensor, torch.Tensor]:
        method = made(batch_norm_splits=splits)
        return method._keys(batch().views[0]), method._keys(batch().views[0])

    assert torch.allclose(*twice(1), atol=1e-5)
    assert not torch.allclose(*twice(4), atol=1e-3)


def test_queries_and_keys_are_both_split() -> None:
    method = made(batch_norm_splits=4)
    for part in (method.backbone, method.key_encoder):
        layers = [layer for layer in part.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        assert layers and all(type(layer) is SplitBatchNorm2d and layer.splits == 4 for layer in layers)
    assert not any(isinstance(layer, SplitBatchNorm2d) for layer in made(batch_norm_splits=1).modules())


@pytest.mark.parametrize("n_train", [2, 3, 7, 8, 9])
def test_no_part_of_a_batch_is_an_image_alone(n_train: int) -> None:
    settings = config_class("moco").suggested(n_train)
    method = made(n_train, **settings)
    layers = [layer for layer in method.modules() if isinstance(layer, SplitBatchNorm2d)]
    assert all(method.batch_size // layer.splits >= 2 for layer in layers)
    assert bool(method.training_step(batch(n=method.batch_size)).given_loss.isfinite())
    alone = made(batch_norm_splits=BATCH)
    assert {layer.splits for layer in alone.modules() if isinstance(layer, SplitBatchNorm2d)} == {BATCH // 2}


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_step_compares_with_the_queue_as_it_was_and_then_adds_its_keys(symmetric: bool) -> None:
    method = made(symmetric=symmetric, temperature=0.2)
    added = BATCH * (2 if symmetric else 1)
    optimizer = optimizer_of(method)
    for turn in range(1, 6):
        before = method.queue.keys.clone()
        loss = method.training_step(batch(turn)).given_loss
        assert torch.equal(method.queue.keys, before), "an image's key is not among its own negatives"
        fresh = torch.cat(method._fresh)
        loss.backward()
        optimizer.step()
        method.after_step()
        start = (turn - 1) * added % 32
        assert torch.equal(method.queue.keys[start : start + added], fresh) and len(fresh) == added
        assert int(method.queue.pointer) == turn * added % 32
        method.after_step()  # a step that made no keys adds none
        assert int(method.queue.pointer) == turn * added % 32


def test_the_symmetric_loss_is_the_mean_of_both_directions() -> None:
    method, given = made(symmetric=True, batch_norm_splits=1, temperature=0.2), batch()
    with torch.no_grad():
        found = float(method.training_step(given).given_loss)
        q = [method.project(view).double().numpy() for view in given.views]
        k = [method._keys(view).double().numpy() for view in given.views]
    queue = method.queue.keys.double().numpy()
    expected = (by_hand(q[0], k[1], queue, 0.2) + by_hand(q[1], k[0], queue, 0.2)) / 2
    assert found == pytest.approx(expected, rel=1e-4)


def test_adding_keys_before_going_backward_changes_no_gradient() -> None:
    slopes = []
    for early in (False, True):
        method = made()
        torch.manual_seed(1)
        loss = method.training_step(batch()).given_loss
        if early:
            method.after_step()
        loss.backward()
        slopes.append([p.grad.clone() for p in method.projection_head.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*slopes, strict=True))


def test_the_picture_of_an_epoch_knows_how_old_each_key_is() -> None:
    method = made()
    optimizer = optimizer_of(method)
    for turn in range(1, 7):
        step(method, batch(turn), optimizer)
    ages = method.frame(batch(), lambda: batch().views)["queue_age"]
    assert ages.tolist() == [1] * BATCH + [0] * BATCH + [3] * BATCH + [2] * BATCH
    young = made()
    step(young, batch(), optimizer_of(young))
    ages = young.frame(batch(), lambda: batch().views)["queue_age"]
    assert ages.tolist() == [0] * BATCH + [-1] * (3 * BATCH), "−1 is a random key from the beginning"


def test_one_batch_is_learned_while_the_queue_holds_other_keys() -> None:
    method = made(learning_rate=0.005)
    others, optimizer, given = method.queue.keys.clone(), optimizer_of(method), batch()
    losses = []
    for _ in range(60):
        losses.append(step(method, given, optimizer))
        method.queue.keys.copy_(others)  # in place of the batch's own keys
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert min(losses) > method.chance()["least possible"]


def test_a_linear_head_is_version_one_and_two_layers_version_two() -> None:
    assert [type(layer).__name__ for layer in made(head="linear").projection_head] == ["Linear"]
    kinds = [type(layer).__name__ for layer in made(head="mlp").projection_head]
    assert kinds == ["Linear", "Identity", "ReLU", "Linear"], "without BatchNorm"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"queue_size": 100}, "multiple of the 8 keys that a step adds, got 100: use 96."),
        ({"queue_size": 24, "symmetric": True}, "multiple of the 16 keys that a step adds, got 24: use 32."),
        ({"batch_norm_splits": 3}, "batch_size must be a multiple of batch_norm_splits"),
    ],
)
def test_settings_that_do_not_go_together_are_one_sentence(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as error:
        made(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("n_train", [3, 5, 23, 24, 30])
def test_a_batch_larger_than_the_set_is_a_sentence_whose_advice_works(n_train: int, symmetric: bool) -> None:
    settings = {"batch_size": 32, "queue_size": 256, "batch_norm_splits": 8, "symmetric": symmetric}
    with pytest.raises(UserError, match=f"only {n_train} training images to a step.*: use ") as error:
        made(n_train, **settings)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    advice = dict(re.findall(r"(\w+_\w+) (\d+)", str(error.value).split(": use ")[1]))
    assert set(advice) >= {"batch_size", "queue_size"}
    method = made(n_train, **{**settings, **{name: int(value) for name, value in advice.items()}})
    assert bool(method.training_step(batch(n=method.batch_size)).given_loss.isfinite())

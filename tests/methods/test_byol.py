"""BYOL's loss against NumPy, what gets a gradient, how the target follows, and recipes broken on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import UserError
from engine.methods import parse_config
from engine.methods.byol import BYOL, byol_loss
from engine.methods.method import Task
from engine.methods.self_supervised import view_of
from engine.methods.simsiam import simsiam_loss
from engine.models.encoder import build_encoder
from engine.training.optim import Plan, build_optimizer
from engine.training.step import Batch
from tests.methods.stepping import SIZE, batch, optimizer_of, step

A = np.array([[1, 2, 3, 4], [-1, 0, 2, 1], [0.5, -1.5, 1, 0], [2, 1, -1, 0.5]])
B = np.array([[1, 2, 2, 4], [-1, 1, 2, 1], [0, -1, 1, 0.5], [2, 0, -1, 1]])
BATCH = 8


def by_hand(p: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(N,) ‖p̂ − ẑ‖², equation 2."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, z)]
    return ((unit[0] - unit[1]) ** 2).sum(1)


def ours(p: np.ndarray, z: np.ndarray) -> float:
    return float(byol_loss(torch.from_numpy(p), torch.from_numpy(z)))


def made(n_train: int = 24, **settings: Any) -> BYOL:
    config, task = parse_config("byol", {"batch_size": BATCH, **settings}), Task((), (), n_train, SIZE)
    torch.manual_seed(0)
    encoder = build_encoder(BYOL.backbone_name(None, config, task), SIZE, 0)
    return BYOL(encoder, config, task).train()  # type: ignore[arg-type,return-value]


def targets(method: BYOL) -> list[nn.Parameter]:
    return [*method.target_encoder.parameters(), *method.target_head.parameters()]


def onlines(method: BYOL) -> list[nn.Parameter]:
    return [*method.backbone.parameters(), *method.projection_head.parameters()]


def test_known_tensors_have_their_known_loss() -> None:
    np.testing.assert_allclose(by_hand(A, B), [0.028199, 0.148360, 0.218258, 0.203708], atol=1e-6)
    assert ours(A, B) == pytest.approx(by_hand(A, B).mean(), abs=1e-12) == pytest.approx(0.149631, abs=1e-6)
    for i, expected in enumerate(by_hand(A, B)):
        assert ours(A[i : i + 1], B[i : i + 1]) == pytest.approx(expected, abs=1e-12)
    assert ours(A, B) / A.shape[1] == pytest.approx(0.037408, abs=1e-6), "what a mean square would have given"


def test_its_ends_and_what_it_does_not_see() -> None:
    assert ours(A, A) == pytest.approx(0, abs=1e-12) and ours(A, -A) == pytest.approx(4)
    assert ours(np.eye(4), np.roll(np.eye(4), 1, axis=0)) == pytest.approx(2)
    assert ours(3 * A, B / 7) == pytest.approx(ours(A, B)) == pytest.approx(ours(B, A))
    for seed in range(20):
        p, z = np.random.default_rng(seed).normal(size=(2, 6, 5))
        assert 0 <= ours(p, z) <= 4


def test_simsiams_loss_is_half_of_it_less_one() -> None:
    found = float(simsiam_loss(torch.from_numpy(A), torch.from_numpy(B)))
    assert found == pytest.approx(-0.925184, abs=1e-6) == ours(A, B) / 2 - 1


def test_a_step_goes_both_ways_and_predicts_from_the_online_side() -> None:
    method, given = made(), batch()
    with torch.no_grad():
        for p in targets(method):
            p.add_(0.05 * torch.randn_like(p))  # so that target and online differ
        found = float(method.training_step(given).given_loss)
        z = [method.project(view) for view in given.views]
        p = [method.predictor(each).double().numpy() for each in z]
        t = [method.target_head(method.target_encoder(view)).double().numpy() for view in given.views]
    expected = by_hand(p[0], t[1]).mean() + by_hand(p[1], t[0]).mean()
    assert found == pytest.approx(expected, rel=1e-4)
    assert abs(found - (by_hand(p[0], t[0]).mean() + by_hand(p[1], t[1]).mean())) > 1e-4
    assert 0 <= found <= 8


def test_no_gradient_reaches_the_target_and_the_optimiser_holds_none_of_it() -> None:
    method = made()
    made_targets = method._targets(batch().views)
    assert not any(target.requires_grad for target in made_targets)
    method.training_step(batch()).given_loss.backward()
    assert all(p.grad is None for p in targets(method))
    assert all(p.grad is not None for p in [*onlines(method), *method.predictor.parameters()])
    held = {id(p) for group in optimizer_of(method).param_groups for p in group["params"]}
    assert held == {id(p) for p in [*onlines(method), *method.predictor.parameters()]}


def test_the_predictor_and_nothing_else_learns_faster() -> None:
    method = made(predictor_rate=5.0)
    optimizer = build_optimizer(method, Plan.of(method.config), method.constant_rate, method.rate_factors)
    fast = {id(p) for group in optimizer.param_groups if group["factor"] == 5 for p in group["params"]}
    assert fast == {id(p) for p in method.predictor.parameters()} and fast


def test_every_target_parameter_has_its_twin_and_the_predictor_has_none() -> None:
    method = made()
    for target, online in (
        (method.target_encoder, method.backbone),
        (method.target_head, method.projection_head),
    ):
        theirs = dict(online.named_parameters())
        named = dict(target.named_parameters())
        assert list(named) == list(theirs)
        assert all(torch.equal(named[name], theirs[name]) for name in named)
    twins = sum(p.numel() for p in targets(method))
    predictor = sum(p.numel() for p in method.predictor.parameters())
    assert sum(p.numel() for p in method.parameters()) == 2 * twins + predictor


def test_without_predictor_and_stop_gradient_the_slope_is_twice_that_with_it() -> None:
    slopes = []
    for stopped in (True, False):
        # momentum 0 before any step: the target equals the online network
        method = made(predictor=False, stop_gradient=stopped, ema_momentum=0.0, ema_schedule="constant")
        method.training_step(batch()).given_loss.backward()
        slopes.append(torch.cat([p.grad.flatten() for p in onlines(method)]))
    assert torch.allclose(slopes[1], 2 * slopes[0], rtol=1e-4, atol=1e-6)
    assert float(slopes[0].norm()) > 1e-3


def test_the_target_follows_after_the_step_and_keeps_its_own_statistics() -> None:
    method = made(ema_momentum=0.9, ema_schedule="constant", optimizer="sgd", learning_rate=0.5)
    before = [p.detach().clone() for p in targets(method)]
    optimizer, given = optimizer_of(method), batch()
    method.training_step(given).given_loss.backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, targets(method), strict=True)), "not yet"
    buffers = {name: value.clone() for name, value in method.target_encoder.named_buffers()}
    method.after_step()
    moved = 0.0
    for start, online, now in zip(before, onlines(method), targets(method), strict=True):
        assert torch.allclose(now, 0.9 * start + 0.1 * online, atol=1e-6)
        moved += float((now - start).abs().sum())
    assert moved > 0
    for name, value in method.target_encoder.named_buffers():
        assert torch.equal(value, buffers[name]), "running figures come from its own passes alone"
    online_buffers = dict(method.backbone.named_buffers())
    layer = next(name for name in buffers if name.endswith("running_mean"))
    step(method, batch(1), optimizer)
    assert not torch.equal(dict(method.target_encoder.named_buffers())[layer], online_buffers[layer])


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_at_zero_the_target_is_a_copy_and_at_one_it_never_learns(momentum: float) -> None:
    method = made(ema_momentum=momentum, ema_schedule="constant")
    start = [p.detach().clone() for p in targets(method)]
    optimizer = optimizer_of(method)
    for turn in range(3):
        step(method, batch(turn), optimizer)
    expected = start if momentum else onlines(method)
    assert all(torch.equal(a, b) for a, b in zip(targets(method), expected, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(start, onlines(method), strict=True))


def test_the_momentum_rises_along_a_cosine_over_the_whole_run() -> None:
    method = made(n_train=25, epochs=4, ema_momentum=0.9)  # 3 whole batches an epoch, one image waits
    assert method.total_steps == 12
    optimizer, seen = optimizer_of(method), []
    for turn in range(12):
        logged = method.training_step(batch(turn)).logs["target_momentum"]
        seen.append(float(logged))
        step(method, batch(turn), optimizer)
    expected = [1 - 0.1 * (np.cos(np.pi * k / 12) + 1) / 2 for k in range(12)]
    assert seen == pytest.approx(expected, abs=1e-6)
    assert method.ema_rate == 1 and int(method.step) == 12
    constant = made(ema_momentum=0.9, ema_schedule="constant")
    step(constant, batch(), optimizer_of(constant))
    assert constant.ema_rate == 0.9


def test_its_views_are_drawn_differently() -> None:
    config = parse_config("byol", {"blur": 1.0, "second_blur": 0.1, "second_solarise": 0.2})
    first, second = view_of(config), view_of(config, second=True)  # type: ignore[arg-type]
    assert (first.blur, first.solarise, second.blur, second.solarise) == (1.0, 0.0, 0.1, 0.2)
    assert made(blur=1.0, second_blur=0.1, second_solarise=0.2).views == (first, second)
    alike = parse_config("simclr", {"blur": 0.3})
    assert view_of(alike) == view_of(alike, second=True)  # type: ignore[arg-type]
    paper = {**type(config).PRESETS["Views of the paper"]}
    again = made(**paper).views
    assert (again[0].blur, again[1].blur, again[1].solarise, again[0].scale) == (1.0, 0.1, 0.2, (0.08, 1.0))


@pytest.mark.parametrize(
    "settings",
    [
        {"stop_gradient": False},
        {"predictor": False},
        {"stop_gradient": False, "predictor": False},
        {"ema_momentum": 0.0, "ema_schedule": "constant", "predictor": False},
        {"ema_momentum": 0.0},
        {"ema_momentum": 1.0},
        {"norm": "group"},
        {"norm": "none"},
        {"norm": "none", "predictor": False, "stop_gradient": False},
    ],
    ids=lambda settings: " ".join(f"{name}={value}" for name, value in settings.items()),
)
def test_broken_recipes_run_all_the_same(settings: dict[str, Any]) -> None:
    method = made(**settings)
    optimizer = optimizer_of(method)
    losses = [step(method, batch(turn), optimizer) for turn in range(4)]
    assert all(0 <= loss <= 8 for loss in losses)
    if settings.get("norm"):
        kinds = (nn.modules.batchnorm._BatchNorm,)
        assert not any(isinstance(layer, kinds) for layer in method.modules())
    if not settings.get("predictor", True):
        assert isinstance(method.predictor, nn.Identity)
    found = method.eval().evaluation_step(Batch((batch().views[0],), torch.zeros(BATCH), torch.arange(BATCH)))
    assert found.loss is None and set(found.outputs) == {"feature", "embedding"}


def test_without_stop_gradient_the_targets_are_the_online_networks_own() -> None:
    method, given = made(stop_gradient=False), batch()
    with torch.no_grad():
        for p in targets(method):
            p.fill_(float("nan"))
        assert bool(method.training_step(given).given_loss.isfinite())


@pytest.mark.parametrize("norm", ["group", "none"])
def test_other_norms_are_offered_for_small_random_networks_only(norm: str) -> None:
    config = parse_config("byol", {"norm": norm})
    task = Task((), (), 24, 32)
    ending = {"group": "-groupnorm", "none": "-nonorm"}[norm]
    assert BYOL.backbone_name("random:resnet20", config, task) == "random:resnet20" + ending
    for name in ("random:resnet18", "torchvision:resnet18", "random:cnn-small-nonorm"):
        with pytest.raises(UserError, match=f"norm={norm} is offered for cnn-small and resnet20") as error:
            BYOL.backbone_name(name, config, task)
        assert "\n" not in str(error.value)

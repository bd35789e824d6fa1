"""SimSiam: its loss, its stopped gradient, its normalised projector and the predictor's constant rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.methods import parse_config
from engine.methods.method import Task
from engine.methods.simsiam import SimSiam, simsiam_loss
from engine.models.encoder import build_encoder
from engine.training.optim import Plan, build_optimizer
from engine.training.step import Batch

A = np.array([[1, 2, 3, 4], [-1, 0, 2, 1], [0.5, -1.5, 1, 0], [2, 1, -1, 0.5]])
B = np.array([[1, 2, 2, 4], [-1, 1, 2, 1], [0, -1, 1, 0.5], [2, 0, -1, 1]])
SIZE, BATCH = 16, 8


def by_hand(p: np.ndarray, z: np.ndarray) -> float:
    cosines = [a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for a, b in zip(p, z, strict=True)]
    return -float(np.mean(cosines))


def ours(p: np.ndarray, z: np.ndarray) -> float:
    return float(simsiam_loss(torch.from_numpy(p), torch.from_numpy(z)))


def made(**settings: Any) -> SimSiam:
    config, task = parse_config("simsiam", {"batch_size": BATCH, **settings}), Task((), (), 24, SIZE)
    torch.manual_seed(0)
    encoder = build_encoder(SimSiam.backbone_name(None, config, task), SIZE, 0)
    return SimSiam(encoder, config, task).train()  # type: ignore[arg-type,return-value]


def batch(seed: int = 0) -> Batch:
    views = torch.rand(2, BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return Batch(tuple(views), torch.zeros(BATCH), torch.arange(BATCH))


def test_known_tensors_have_their_known_loss() -> None:
    assert ours(A, B) == pytest.approx(-0.925184, abs=1e-6) == by_hand(A, B)
    assert ours(A, A) == pytest.approx(-1) and ours(A, -A) == pytest.approx(1)
    assert ours(5 * A, B / 3) == pytest.approx(ours(A, B))


def test_a_step_is_the_mean_of_both_directions() -> None:
    method, given = made(), batch()
    with torch.no_grad():
        found = float(method.training_step(given).given_loss)
        z = [method.project(view) for view in given.views]
        p = [method.predictor(each) for each in z]
    zs, ps = ([each.double().numpy() for each in side] for side in (z, p))
    assert found == pytest.approx((by_hand(ps[0], zs[1]) + by_hand(ps[1], zs[0])) / 2, rel=1e-4)


def test_a_stopped_gradient_comes_through_the_prediction_alone() -> None:
    given = batch()
    slopes = {}
    for stopped in (True, False):
        method = made(stop_gradient=stopped)
        z = [method.project(view) for view in given.views]
        sides = [each.detach() for each in z] if stopped else z
        p = [method.predictor(each) for each in z]
        (simsiam_loss(p[0], sides[1]) + simsiam_loss(p[1], sides[0])).div(2).backward()
        expected = [q.grad.clone() for q in method.parameters()]
        method = made(stop_gradient=stopped)
        method.training_step(given).given_loss.backward()
        assert all(torch.equal(q.grad, e) for q, e in zip(method.parameters(), expected, strict=True))
        slopes[stopped] = torch.cat([q.grad.flatten() for q in method.backbone.parameters()])
    assert float((slopes[True] - slopes[False]).norm()) > 0.05 * float(slopes[True].norm())


def test_without_a_predictor_stopping_only_halves_the_gradient() -> None:
    slopes = []
    for stopped in (True, False):
        method = made(predictor=False, stop_gradient=stopped)
        assert isinstance(method.predictor, nn.Identity)
        method.training_step(batch()).given_loss.backward()
        slopes.append(torch.cat([p.grad.flatten() for p in method.parameters()]))
    assert torch.allclose(slopes[1], 2 * slopes[0], rtol=1e-3, atol=1e-6)


def test_the_projector_ends_in_a_norm_without_scale_and_shift_and_the_predictor_does_not() -> None:
    method = made()
    *_, last = method.projection_head
    assert isinstance(last, nn.BatchNorm1d) and not last.affine
    assert [layer.bias for layer in method.projection_head if isinstance(layer, nn.Linear)] == [None] * 3
    assert isinstance(method.predictor[-1], nn.Linear) and method.predictor[-1].bias is not None
    assert method.predictor[0].bias is None
    z = method.project(batch().views[0]).detach()
    assert z.mean(0).abs().max() < 1e-4 and float(z.std(0, correction=0).mean()) == pytest.approx(1, abs=0.05)


def test_the_rate_of_the_predictor_alone_stays_what_it_was() -> None:
    method = made(epochs=10, warmup_epochs=2, learning_rate=0.5)
    optimizer = build_optimizer(method, Plan.of(method.config), method.constant_rate)
    names = {id(p): name for name, p in method.named_parameters()}
    fixed = {names[id(p)] for g in optimizer.param_groups if not g["scheduled"] for p in g["params"]}
    assert fixed == {name for name in names.values() if name.startswith("predictor.")} != set()
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(names), "each parameter is in one group"


@pytest.mark.parametrize(
    "settings",
    [{"stop_gradient": False}, {"predictor": False}, {"norm": "group"}, {"norm": "none"}],
    ids=str,
)
def test_broken_recipes_run_all_the_same(settings: dict[str, Any]) -> None:
    method = made(**settings)
    optimizer = build_optimizer(method, Plan.of(method.config), method.constant_rate)
    for turn in range(3):
        optimizer.zero_grad()
        loss = method.training_step(batch(turn)).given_loss
        loss.backward()
        optimizer.step()
        method.after_step()
        assert -1.001 <= float(loss.detach()) <= 1.001
    if "norm" in settings:
        assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in method.modules())


def test_the_lines_beside_the_loss_are_its_ends() -> None:
    assert made().chance() == {"unrelated views": 0.0, "least possible": -1.0}

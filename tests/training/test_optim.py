"""Schedules at their corners, parameter groups, and LARS against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from engine.methods import parse_config
from engine.training.optim import LARS, Plan, build_optimizer


def plan(**changes: object) -> Plan:
    values = {
        "epochs": 10, "batch_size": 8, "optimizer": "sgd", "learning_rate": 0.5, "momentum": 0.9,
        "weight_decay": 0.1, "schedule": "cosine", "warmup_epochs": 2,
    }  # fmt: skip
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


def test_warm_up_climbs_to_the_full_rate_and_the_cosine_falls_to_zero() -> None:
    p, steps = plan(), 7
    assert p.rate(0, steps) == pytest.approx(0.5 / 14)
    assert p.rate(13, steps) == pytest.approx(0.5)
    assert p.rate(14, steps) == pytest.approx(0.5)
    assert p.rate(14 + 28, steps) == pytest.approx(0.25)
    assert p.rate(70, steps) == pytest.approx(0.0, abs=1e-12)
    rates = [p.rate(step, steps) for step in range(70)]
    assert rates[:14] == sorted(rates[:14]) and rates[14:] == sorted(rates[14:], reverse=True)


@pytest.mark.parametrize(("epochs", "warmup", "effective"), [(1, 1, 0), (2, 1, 1), (5, 5, 4), (3, 1000, 2)])
def test_the_last_epoch_is_never_warm_up(epochs: int, warmup: int, effective: int) -> None:
    long, short = (plan(epochs=epochs, warmup_epochs=n) for n in (warmup, effective))
    rates = [long.rate(step, 4) for step in range(4 * epochs)]
    assert rates == [short.rate(step, 4) for step in range(4 * epochs)]
    assert max(rates) == 0.5 and rates[4 * effective] == 0.5


def test_steps_divide_by_ten_after_each_third_and_constant_stays() -> None:
    p = plan(schedule="step", warmup_epochs=0, epochs=9)
    assert [round(p.rate(epoch * 4, 4), 6) for epoch in range(9)] == [0.5] * 3 + [0.05] * 3 + [0.005] * 3
    assert {plan(schedule="constant", warmup_epochs=0).rate(step, 3) for step in range(30)} == {0.5}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lars"])
def test_biases_and_norms_are_not_decayed_and_frozen_weights_not_held(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    net[0].weight.requires_grad = False
    optimizer = build_optimizer(net, plan(optimizer=name))
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    held = {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert decayed == {id(net[2].weight)}
    assert held == {id(p) for p in net.parameters() if p.requires_grad}


def test_the_first_lars_step_is_the_rate_times_trust_times_the_size_of_the_weights() -> None:
    torch.manual_seed(0)
    weight, bias = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(6))
    before_w, before_b = weight.detach().clone(), bias.detach().clone()
    groups = [
        {"params": [weight], "weight_decay": 0.01, "adapt": True},
        {"params": [bias], "weight_decay": 0.0, "adapt": False},
    ]
    optimizer = LARS(groups, lr=0.3, trust=0.001)
    weight.grad, bias.grad = torch.randn(6, 5), torch.randn(6)
    optimizer.step()
    moved = (weight.detach() - before_w).norm()
    assert float(moved) == pytest.approx(0.3 * 0.001 * float(before_w.norm()), rel=1e-4)
    direction = weight.grad + 0.01 * before_w
    cosine = torch.cosine_similarity((before_w - weight.detach()).flatten(), direction.flatten(), dim=0)
    assert float(cosine) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(bias, before_b - 0.3 * bias.grad)


def test_lars_momentum_follows_the_recursion() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([{"params": [weight], "adapt": False}], lr=0.1, momentum=0.5)
    expected, velocity = torch.ones(2, 2), torch.zeros(2, 2)
    for k in range(3):
        weight.grad = torch.full((2, 2), float(k + 1))
        optimizer.step()
        velocity = 0.5 * velocity + weight.grad
        expected = expected - 0.1 * velocity
    assert torch.allclose(weight, expected)
    assert math.isfinite(float(weight.detach().sum()))


@pytest.mark.parametrize(("name", "end"), [("simclr", 0.0), ("barlow_twins", 0.001), ("vicreg", 0.001)])
def test_the_cosine_ends_where_the_method_says(name: str, end: float) -> None:
    settings = {"epochs": 5, "learning_rate": 0.4, "warmup_epochs": 1, "schedule": "cosine"}
    p = Plan.of(parse_config(name, settings))
    assert p.final_rate == end
    assert p.rate(50, 10) == pytest.approx(0.4 * end, abs=1e-12) and p.rate(10, 10) == pytest.approx(0.4)
    middle = 0.4 * (end + (1 - end) / 2)
    assert p.rate(30, 10) == pytest.approx(middle)
    rates = [p.rate(step, 10) for step in range(10, 51)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lars"])
def test_a_part_with_a_constant_rate_has_groups_of_its_own(name: str) -> None:
    net = nn.ModuleDict({
        "encoder": nn.Linear(4, 3), "predictor": nn.Linear(3, 3), "predictors": nn.Linear(3, 3),
    })  # fmt: skip
    optimizer = build_optimizer(net, plan(optimizer=name), ("predictor.",))
    fixed = {id(p) for g in optimizer.param_groups if not g["scheduled"] for p in g["params"]}
    assert fixed == {id(p) for p in net["predictor"].parameters()}
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(part.weight) for part in net.values()}
    assert all(g["scheduled"] for g in build_optimizer(net, plan(optimizer=name)).param_groups)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lars"])
def test_a_part_that_learns_faster_has_groups_of_its_own(name: str) -> None:
    net = nn.ModuleDict({"encoder": nn.Linear(4, 3), "predictor": nn.Linear(3, 3)})
    optimizer = build_optimizer(net, plan(optimizer=name), factors={"predictor.": 10.0})
    fast = {id(p) for g in optimizer.param_groups if g["factor"] == 10.0 for p in g["params"]}
    assert fast == {id(p) for p in net["predictor"].parameters()}
    rest = {id(p) for g in optimizer.param_groups if g["factor"] == 1.0 for p in g["params"]}
    assert rest == {id(p) for p in net["encoder"].parameters()}
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(part.weight) for part in net.values()}

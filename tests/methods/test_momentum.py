"""Running means against their closed form, and the queue: first in, first out, nothing older than it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.methods.momentum import KeyQueue, cosine_momentum, ema_update, frozen_copy


def keys(n: int, seed: int = 0) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_a_hundred_steps_towards_a_constant_are_the_closed_form() -> None:
    target, online = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for _ in range(100):
        ema_update([target], [online], 0.99)
    assert target.tolist() == pytest.approx([0.633968] * 3, abs=1e-6)
    assert target.tolist() == pytest.approx([1 - 0.99**100] * 3, abs=1e-12)


@pytest.mark.parametrize(("momentum", "steps"), [(0.99, 68.97), (0.996, 172.94), (0.999, 692.80)])
def test_half_the_way_takes_the_known_number_of_steps(momentum: float, steps: float) -> None:
    target, online, taken = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), 0
    while float(target) < 0.5:
        ema_update([target], [online], momentum)
        taken += 1
    assert taken == np.ceil(steps)


def test_at_zero_the_target_is_a_copy_and_at_one_it_never_moves() -> None:
    odd = torch.tensor([1e30, -3e-38, 0.1, float("inf")])  # a mean with these would not be exact
    start = torch.tensor([7.0, 1e-20, 0.3, 2.0])
    copied, kept = start.clone(), start.clone()
    ema_update([copied], [odd], 0)
    ema_update([kept], [odd], 1)
    assert torch.equal(copied, odd) and torch.equal(kept, start)


def test_byols_momentum_has_its_known_values_and_never_falls() -> None:
    known = {0: 0.996, 250: 0.996586, 500: 0.998, 750: 0.999414, 1000: 1}
    for step, value in known.items():
        assert cosine_momentum(0.996, step, 1000) == pytest.approx(value, abs=1e-6)
    path = [cosine_momentum(0.9, step, 50) for step in range(60)]
    assert path == sorted(path) and path[50:] == [1.0] * 10
    assert cosine_momentum(0, 0, 0) == 0


def test_a_frozen_copy_is_equal_apart_and_takes_no_gradient() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    twin = frozen_copy(net)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert not any(p.requires_grad for p in twin.parameters())
    assert all(p.requires_grad for p in net.parameters())
    twin(torch.randn(5, 4))
    assert not twin[1].running_mean.equal(net[1].running_mean), "the copy's statistics are its own"
    with torch.no_grad():
        net[0].weight.zero_()
    assert float(twin[0].weight.abs().sum()) > 0


def test_the_queue_starts_with_random_keys_of_unit_length() -> None:
    queue = KeyQueue(64, 5)
    assert queue.keys.norm(dim=1).tolist() == pytest.approx([1] * 64, abs=1e-6)
    assert queue.born.tolist() == [-1] * 64 and int(queue.pointer) == 0
    assert float((queue.keys @ queue.keys.T).fill_diagonal_(0).max()) < 0.999


def test_the_oldest_keys_are_overwritten_first() -> None:
    queue, size, step = KeyQueue(12, 4), 12, 3
    remembered: list[torch.Tensor] = []
    for turn in range(1, 11):
        fresh = keys(step, turn)
        queue.enqueue(fresh, turn)
        remembered.append(fresh)
        assert int(queue.pointer) == turn * step % size
        there = {tuple(row.tolist()) for row in queue.keys}
        expected = remembered[-size // step :]
        assert {tuple(row.tolist()) for part in expected for row in part} <= there
        if turn > size // step:
            assert tuple(remembered[turn - size // step - 1][0].tolist()) not in there, "the first is gone"
        born = queue.born.tolist()
        assert born.count(turn) == step and min(born) == (turn - 3 if turn >= 4 else -1)
    for row, turn in zip(queue.keys, queue.born, strict=True):
        assert bool((remembered[int(turn) - 1] == row).all(1).any()), "a key is as old as it says"


def test_a_queue_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(ValueError, match="queue of 10 keys is no multiple of the 4"):
        KeyQueue(10, 4).enqueue(keys(4), 1)


def test_a_queue_of_one_batch_holds_that_batch() -> None:
    queue = KeyQueue(4, 4)
    for turn in range(3):
        queue.enqueue(keys(4, turn), turn)
        assert torch.equal(queue.keys, keys(4, turn)) and int(queue.pointer) == 0

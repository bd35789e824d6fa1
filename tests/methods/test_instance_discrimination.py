"""Instance discrimination: the softmax over the bank in NumPy, and a bank that remembers the right images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.methods import parse_config
from engine.methods.instance_discrimination import InstanceDiscrimination, instance_loss
from engine.methods.method import Task
from engine.models.encoder import build_encoder
from engine.training.optim import Plan, build_optimizer
from engine.training.sources import PixelSource
from engine.training.step import Batch

SIZE, N, BATCH = 16, 20, 6


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def by_hand(z: np.ndarray, bank: np.ndarray, rows: np.ndarray, tau: float) -> float:
    losses = []
    for own, row in zip(z, rows, strict=True):
        weights = [math.exp(float(own @ entry) / tau) for entry in bank]
        losses.append(-math.log(weights[row] / sum(weights)))
    return float(np.mean(losses))


def made(**settings: Any) -> InstanceDiscrimination:
    config = parse_config("instance_discrimination", {"batch_size": BATCH, **settings})
    torch.manual_seed(0)
    encoder = build_encoder("random:cnn-small", SIZE, 0)
    return InstanceDiscrimination(encoder, config, Task((), (), N, SIZE)).train()  # type: ignore


def source(method: InstanceDiscrimination) -> PixelSource:
    """Twenty images of one split, spread over a data set of fifty."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, SIZE, SIZE, 3), dtype=np.uint8)
    index = np.sort(np.random.default_rng(1).choice(50, N, replace=False))
    labels = np.zeros(N, np.int64)
    return PixelSource(pixels, index, labels, SIZE, method.views, BATCH, 0, whole_batches=True)


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_the_loss_is_the_softmax_over_all_of_the_bank(tau: float) -> None:
    random = np.random.default_rng(0)
    z, bank, rows = unit(random.normal(size=(4, 5))), unit(random.normal(size=(9, 5))), np.array([8, 0, 3, 3])
    found = instance_loss(*(torch.from_numpy(x) for x in (z, bank, rows)), tau)
    assert float(found) == pytest.approx(by_hand(z, bank, rows, tau), abs=1e-12)


def test_the_bank_takes_no_gradient() -> None:
    z, bank = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    rows = torch.arange(5)
    instance_loss(z, bank, rows, 0.2).backward()
    assert bank.grad is None
    assert torch.autograd.gradcheck(lambda x: instance_loss(x, bank.detach(), rows, 0.2), (z,))


def test_chance_and_the_least_possible() -> None:
    lines = made(temperature=0.5).chance()
    rows, apart = torch.arange(3), torch.eye(23, dtype=torch.float64)
    known_nothing = instance_loss(apart[:3], apart[3:], rows, 0.5)
    assert lines["chance, log(images)"] == pytest.approx(math.log(N)) == float(known_nothing)
    best = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[1.0, 0.0]] + [[-1.0, 0.0]] * (N - 1)).double()
    assert float(instance_loss(*best, torch.zeros(1, dtype=torch.long), 0.5)) == pytest.approx(
        lines["least possible"], abs=1e-12
    )


def test_the_bank_begins_as_random_directions_one_an_image() -> None:
    bank = made(output_size=12).bank
    assert bank.shape == (N, 12)
    assert bank.norm(dim=1).tolist() == pytest.approx([1] * N, abs=1e-6)
    assert float((bank @ bank.T).fill_diagonal_(0).max()) < 0.99


@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0])
def test_the_entries_of_the_images_seen_move_after_the_step_and_no_others(kept: float) -> None:
    method = made(bank_momentum=kept)
    given = next(source(method).epoch(1))
    rows = given.rows.numpy()
    before = method.bank.clone()
    result = method.training_step(given)
    assert torch.equal(method.bank, before), "the loss compares with what was known before"
    with torch.no_grad():
        z = unit(method.project(given.views[0]).double().numpy())
    old = before.double().numpy()
    loss = float(result.given_loss.detach())
    assert loss == pytest.approx(by_hand(z, old, rows, 0.1), rel=1e-4)
    result.given_loss.backward()
    method.after_step()
    expected = old.copy()
    expected[rows] = unit(kept * old[rows] + (1 - kept) * z)
    assert method.bank.numpy() == pytest.approx(expected, abs=1e-5)
    others = np.setdiff1d(np.arange(N), rows)
    assert torch.equal(method.bank[others], before[others]) and len(others) == N - BATCH
    method.after_step()  # nothing was seen since
    assert method.bank.numpy() == pytest.approx(expected, abs=1e-5)


def test_an_image_is_known_by_its_place_in_the_split_not_in_the_data_set() -> None:
    method = made()
    s = source(method)
    assert method.one_view and len(method.views) == 1
    seen = []
    for epoch in (1, 2, 3):
        for given in s.epoch(epoch):
            assert len(given.rows) == BATCH and int(given.rows.max()) < N
            assert np.array_equal(s.index[given.rows.numpy()], given.index.numpy())
            method.training_step(given)
            method.after_step()
            seen += given.rows.tolist()
    assert set(seen) == set(range(N)), "images that an epoch leaves out come in another"


def test_images_find_their_own_entry_after_a_while() -> None:
    method = made(learning_rate=0.005, jitter=0.0, flip=0.0, grayscale=0.0, crop_min=1.0)
    s, optimizer = source(method), build_optimizer(method, Plan.of(method.config))
    for epoch in range(1, 31):
        for given in s.epoch(epoch):
            optimizer.zero_grad()
            loss = method.training_step(given).given_loss
            loss.backward()
            optimizer.step()
            method.after_step()
    method.eval()
    (plain,) = s.plain()
    with torch.no_grad():
        z = torch.nn.functional.normalize(method.project(plain.views[0]), dim=1)
    found = (z @ method.bank.T).argmax(1)
    assert float((found == plain.rows).float().mean()) > 0.8
    assert float(loss.detach()) < 0.6 * math.log(N)


def test_a_batch_without_rows_is_a_mistake_of_the_caller() -> None:
    views = (torch.rand(4, 3, SIZE, SIZE),)
    with pytest.raises(AssertionError, match="place in the training split"):
        made().training_step(Batch(views, torch.zeros(4), torch.arange(4)))

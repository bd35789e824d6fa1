"""Order and draws follow from seed and epoch; every image comes once; no batch of one is left over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.data.augment import VIEWS, center
from engine.training.sources import FeatureSource, PixelSource, batches, count_batches, epoch_order


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("size", [1, 2, 8, 200])
def test_batches_hold_every_image_once_and_never_one_alone(n: int, size: int) -> None:
    cut = batches(np.arange(n), size)
    assert np.array_equal(np.concatenate(cut), np.arange(n))
    assert len(cut) == count_batches(n, size)
    if n > 1 and size > 1:
        assert min(len(rows) for rows in cut) > 1
    assert max(len(rows) for rows in cut) <= size + 1


def test_epochs_have_their_own_order_which_the_seed_repeats() -> None:
    first, again = epoch_order(50, 3, 1), epoch_order(50, 3, 1)
    assert np.array_equal(first, again) and sorted(first) == list(range(50))
    assert not np.array_equal(first, epoch_order(50, 3, 2))
    assert not np.array_equal(first, epoch_order(50, 4, 1))


def test_weights_balance_what_is_drawn() -> None:
    labels = np.array([0] * 900 + [1] * 100)
    order = epoch_order(1000, 0, 1, 1.0 / np.bincount(labels)[labels])
    assert abs((labels[order] == 1).mean() - 0.5) < 3 * (0.25 / 1000) ** 0.5


def source(seed: int = 0) -> PixelSource:
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    index = np.array([3, 5, 7, 11, 13, 17, 19])
    return PixelSource(images, index, np.arange(7) % 2, 16, (VIEWS["standard"],) * 2, 3, seed)


def test_an_epoch_can_be_repeated_whatever_came_before() -> None:
    fresh, used = source(), source()
    for epoch in (1, 2):
        list(used.epoch(epoch))
    for a, b in zip(fresh.epoch(3), used.epoch(3), strict=True):
        assert torch.equal(a.index, b.index)
        assert all(torch.equal(x, y) for x, y in zip(a.views, b.views, strict=True))


def test_batches_carry_the_right_images_with_their_labels_and_two_different_views() -> None:
    s = source()
    seen = list(s.epoch(1))
    assert len(seen) == s.steps
    assert sorted(torch.cat([b.index for b in seen]).tolist()) == list(s.index)
    label = dict(zip(s.index, s.labels, strict=True))
    for batch in seen:
        assert [label[int(i)] for i in batch.index] == batch.labels.tolist()
        assert len(batch.views) == 2 and not torch.equal(*batch.views)
    (plain,) = s.plain()
    assert torch.equal(plain.views[0], center(torch.from_numpy(s.pixels[s.index]), 16))


def test_features_stand_for_their_images_and_copies_are_mixed() -> None:
    plain = np.arange(10, dtype=np.float32)[:, None]
    copies = [plain + 100, plain + 200]
    index = np.array([1, 4, 6, 8])
    s = FeatureSource(copies, plain, index, np.zeros(4, np.int64), batch_size=2)
    drawn = set()
    for epoch in range(1, 9):
        for batch in s.epoch(epoch):
            values = batch.views[0][:, 0].long()
            assert torch.equal(values % 100, batch.index)
            drawn |= set((values // 100).tolist())
    assert drawn == {1, 2}
    assert torch.equal(next(s.plain()).views[0][:, 0].long(), torch.from_numpy(index))
    s = FeatureSource([], plain, index, np.zeros(4, np.int64), batch_size=2)
    assert {int(v) for b in s.epoch(1) for v in b.views[0]} == set(index)

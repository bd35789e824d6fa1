"""The study at the end of a run: who learns and who asks, few labels, factors, and what lacks labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from engine.evaluation.few_labels import few_of
from engine.methods import method_class, parse_config
from engine.methods.method import Method, Task
from engine.models.encoder import build_encoder
from engine.training import study as module
from engine.training.sources import PixelSource
from engine.training.study import Spaces, principal, spaces_of, study, study_splits
from engine.training.task import Split

SIZE = 16


def split(*index: int) -> Split:
    return Split(np.array(index, np.int64), np.array(index, np.int64) % 2)


def never() -> bool:
    return False


def made_spaces(n: int = 90, m: int = 60, labels: str = "all") -> Spaces:
    """One space that holds class and factors, one that is noise."""
    random = np.random.default_rng(0)
    learn, ask, known = {}, {}, []
    for count, parts in ((n, learn), (m, ask)):
        y, size, angle = np.arange(count) % 3, random.uniform(0, 1, count), random.uniform(0, 360, count)
        turned = np.radians(angle)
        told = [*(3 * np.eye(3)[y]).T, size, np.cos(turned), np.sin(turned)]
        parts["feature"] = np.stack(told, axis=1) + 0.02 * random.normal(size=(count, 6))
        parts["pixels"] = random.normal(size=(count, 6))
        known.append((y, size, angle))
    if labels == "none":
        known = [(np.full(len(y), -1), *rest) for y, *rest in known]
    if labels == "some":
        known = [(np.where(np.arange(len(y)) % 4 == 0, -1, y), *rest) for y, *rest in known]
    FACTORS["size"] = np.concatenate([known[0][1], known[1][1]])
    FACTORS["angle"] = np.concatenate([known[0][2], known[1][2]])
    return Spaces(learn, ask, known[0][0], known[1][0], (np.arange(n), np.arange(n, n + m)), "test")


FACTORS: dict[str, np.ndarray] = {}


def by_hand(spaces: Spaces, name: str) -> float:
    """Weighted votes of the 20 nearest, with the bank's mean taken out."""
    bank, asked = spaces.learn[name], spaces.ask[name]
    known, wanted = spaces.learned >= 0, spaces.asked >= 0
    bank, labels, asked, truth = bank[known], spaces.learned[known], asked[wanted], spaces.asked[wanted]
    middle, right = bank.mean(0), 0
    for row, label in zip(asked, truth, strict=True):
        q, votes = row - middle, [0.0] * 3
        cosines = [float((b - middle) @ q / np.linalg.norm(b - middle) / np.linalg.norm(q)) for b in bank]
        for i in sorted(range(len(bank)), key=lambda i: -cosines[i])[:20]:
            votes[labels[i]] += math.exp(cosines[i] / 0.1)
        right += int(np.argmax(votes) == label)
    return right / len(asked)


def test_test_images_ask_then_validation_then_every_fifth_training_image() -> None:
    train, nobody = split(*range(10, 22)), split()
    found = study_splits({"train": train, "val": split(1, 2), "test": split(5)})
    assert (
        found[2] == "test" and found[1].index.tolist() == [5] and found[0].index.tolist() == [*range(10, 22)]
    )
    found = study_splits({"train": train, "val": split(1, 2), "test": nobody})
    assert found[2] == "val" and found[1].index.tolist() == [1, 2]
    learn, ask, name = study_splits({"train": train, "val": nobody, "test": nobody})
    assert name == "train" and ask.index.tolist() == [10, 15, 20]
    assert sorted([*learn.index, *ask.index]) == [*range(10, 22)], "no image asks about itself"
    assert (learn.labels == learn.index % 2).all() and (ask.labels == ask.index % 2).all()


def test_large_splits_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARN", 5)
    monkeypatch.setattr(module, "ASK", 2)
    learn, ask, _ = study_splits({"train": split(*range(41)), "val": split(), "test": split(*range(50, 60))})
    assert learn.index.tolist() == [0, 10, 20, 30, 40] and ask.index.tolist() == [50, 59]


def test_few_labels_are_so_many_of_every_class_at_random() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [4] * 20)
    rows = few_of(labels, 10, 0)
    assert np.array_equal(rows, np.unique(rows))
    assert np.bincount(labels[rows]).tolist() == [10, 3, 0, 0, 10]
    assert np.array_equal(rows, few_of(labels, 10, 0)) and not np.array_equal(rows, few_of(labels, 10, 1))


def test_pixels_keep_their_main_directions() -> None:
    random = np.random.default_rng(0)
    x, other = (random.normal(size=(n, 3)) @ random.normal(size=(3, 40)) + 5 for n in (60, 25))
    short, other_short = principal(x, other, 8)
    assert short.shape == (60, 8) and other_short.shape == (25, 8)
    u, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(short[:, :3]), np.abs(u * s)[:, :3], rtol=1e-5, atol=1e-6)
    expected = (other - x.mean(0)) @ vt[:3].T
    np.testing.assert_allclose(np.abs(other_short[:, :3]), np.abs(expected), rtol=1e-5, atol=1e-6)
    for parts in (40, 60):
        assert principal(x, other, parts)[0] is x and principal(x, other, parts)[1] is other


@pytest.mark.parametrize("labels", ["all", "some"])
def test_every_space_is_probed_by_neighbours_lines_and_few_labels(labels: str) -> None:
    spaces, told = made_spaces(labels=labels), []
    found = study(spaces, 3, {}, 0, lambda done, total: told.append((done, total)), never)
    assert told == [(1, 2), (2, 2)] and found["factors"] == []
    assert (found["learned"], found["asked"], found["split"]) == (90, 60, "test")
    good, noise = found["rows"]
    assert (good["space"], noise["space"], good["width"]) == ("feature", "pixels", 6)
    asked = int((spaces.asked >= 0).sum())
    for row in (good, noise):
        assert row["knn"]["accuracy"] == pytest.approx(by_hand(spaces, row["space"]), abs=1e-9)
        assert row["knn"]["n"] == row["linear"]["n"] == asked
        assert row["linear"]["train_n"] == int((spaces.learned >= 0).sum())
        few = row["few"]
        assert few["labels"] == 10 and few["low"] <= few["mean"] <= few["high"]
    assert good["knn"]["accuracy"] == good["linear"]["accuracy"] == good["few"]["low"] == 1
    assert noise["linear"]["accuracy"] < 0.6 and noise["few"]["mean"] < 0.6


def test_without_labels_only_factors_are_read() -> None:
    spaces = made_spaces(labels="none")
    found = study(spaces, 3, FACTORS, 0, lambda done, total: None, never)
    assert all(set(row) == {"space", "title", "width"} for row in found["rows"])
    factors = {row["factor"]: row for row in found["factors"]}
    assert {name: row["kind"] for name, row in factors.items()} == {"size": "number", "angle": "angle"}
    for row in factors.values():
        assert row["scores"]["feature"] > 0.95 and row["scores"]["pixels"] < 0.2 and row["chance"] == 0


def test_a_factor_belongs_to_the_images_of_the_study_wherever_they_lie() -> None:
    spaces = made_spaces(labels="none")
    order = np.random.default_rng(1).permutation(400)[:150]
    factor = np.full(400, np.nan)
    factor[order] = FACTORS["size"]
    moved = Spaces(
        spaces.learn, spaces.ask, spaces.learned, spaces.asked, (order[:90], order[90:]), spaces.split
    )
    (row,) = study(moved, 0, {"size": factor}, 0, lambda done, total: None, never)["factors"]
    assert row["scores"]["feature"] > 0.95


def test_a_factor_with_one_value_among_these_images_is_left_out() -> None:
    spaces = made_spaces(labels="none")
    asked_alike = np.concatenate([FACTORS["size"][:90], np.ones(60)])
    factors = {"fixed": np.ones(150), "asked alike": asked_alike, "size": FACTORS["size"]}
    found = study(spaces, 0, factors, 0, lambda done, total: None, never)
    assert [row["factor"] for row in found["factors"]] == ["size"]


def test_one_class_to_learn_from_is_told_and_stops_nothing() -> None:
    spaces = made_spaces()
    alike = Spaces(spaces.learn, spaces.ask, spaces.learned * 0, spaces.asked, spaces.places, "test")
    for row in study(alike, 3, {}, 0, lambda done, total: None, never)["rows"]:
        assert "at least two classes" in row["problem"] and "linear" not in row
        assert row["knn"]["accuracy"] == pytest.approx(1 / 3)


def made() -> Method:
    config = parse_config("simclr", {"batch_size": 4, "output_size": 8})
    torch.manual_seed(0)
    kind: Any = method_class("simclr")
    return kind(build_encoder("random:cnn-small", SIZE, 0), config, Task((), (), 12, SIZE))


def test_all_spaces_show_the_same_images_in_the_same_order() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, SIZE, SIZE, 3), dtype=np.uint8)

    def source(images: Split) -> PixelSource:
        return PixelSource(pixels, images.index, images.labels, SIZE, ())

    method, before = made(), made()
    with torch.no_grad():
        for p in method.parameters():
            p.mul_(1.5)
    splits = {"train": split(3, 9, 4, 20, 7, 11), "val": split(), "test": split(1, 29)}
    found = spaces_of(method, before, splits, source, never)
    assert found is not None and found.split == "test"
    for index, space in ((splits["train"].index, found.learn), (splits["test"].index, found.ask)):
        images = torch.from_numpy(pixels[index]).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            h, start = method.backbone.eval()(images), before.backbone.eval()(images)
            z = method.projection_head.eval()(h)  # type: ignore[operator,union-attr]
        assert list(space) == ["feature", "embedding", "pixels", "untrained"]
        assert space["feature"] == pytest.approx(h.numpy(), abs=1e-5)
        assert space["embedding"] == pytest.approx(z.numpy(), abs=1e-5)
        assert space["untrained"] == pytest.approx(start.numpy(), abs=1e-5)
        assert space["pixels"] == pytest.approx(images.flatten(1).numpy(), abs=1e-6)
    assert np.array_equal(found.places[0], splits["train"].index) and found.asked.tolist() == [1, 1]
    assert spaces_of(method, before, splits, source, lambda: True) is None

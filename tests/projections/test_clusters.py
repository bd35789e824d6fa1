"""Verdicts on selections whose truth is known, and their figures against scikit-learn and plain loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples

from engine.errors import UserError
from engine.projections import clusters
from engine.projections.clusters import (
    CLOSED,
    LEAST_CUT,
    OPEN,
    border,
    company,
    is_it_real,
    judge,
    silhouette,
)
from engine.projections.points import Points
from engine.projections.projection import Stopped, Watch

WIDTHS = [2, 5, 10, 64, 300]


def gaussian(n: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def pca(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def torn(x: np.ndarray, selection: np.ndarray) -> np.ndarray:
    """A map doctored to show a selection far from the rest."""
    y = x[:, :2].copy()
    y[selection, 0] -= 50
    return y


@pytest.mark.parametrize("width", WIDTHS)
def test_a_far_blob_is_real_in_any_number_of_dimensions(width: int) -> None:
    x = gaussian(600, width)
    x[:100, 0] += 12
    found = is_it_real(Points(x), pca(x), np.arange(100), [pca(x), gaussian(600, 2)])
    assert found.verdict == "real" and found.sentence.startswith("Real: ")
    assert found.border <= CLOSED and found.company > 0.95 and found.silhouette > 0
    assert (found.kept_on, found.members, found.k) == (1, 100, 10)
    assert "1 of 2 other maps keeps it together" in found.sentence


@pytest.mark.parametrize("width", WIDTHS)
def test_a_random_half_of_one_blob_is_only_on_the_map_that_was_doctored(width: int) -> None:
    x = gaussian(600, width)
    half = np.random.default_rng(1).permutation(600)[:300]
    found = is_it_real(Points(x), torn(x, half), half, [pca(x)])
    assert found.verdict == "only on this map" and found.sentence.startswith("Only on this map: ")
    assert found.silhouette == pytest.approx(0, abs=0.05) and found.silhouette_on_map > 0.9
    assert found.company == pytest.approx(found.chance, abs=0.05) and found.company_on_map == 1
    assert found.company_elsewhere[0] == pytest.approx(found.chance, abs=0.05) and found.kept_on == 0


@pytest.mark.parametrize("width", [5, 10, 64, 300])
def test_half_of_a_blob_cut_through_the_middle_is_only_on_the_map_that_tore_it(width: int) -> None:
    x = gaussian(800, width)
    left = np.flatnonzero(x[:, 1] < 0)
    found = is_it_real(Points(x), torn(x, left), left)
    assert found.verdict == "only on this map" and OPEN <= found.border < 1.5
    assert found.company > found.chance  # neighbours lie on one side of a cut, and still it is no border


@pytest.mark.parametrize("seed", range(5))
def test_no_piece_of_one_blob_is_ever_called_real(seed: int) -> None:
    x = gaussian(500, 6, seed)
    ball = np.argsort(((x - x[seed]) ** 2).sum(1))[:80]
    tail = np.argsort(x[:, 0])[:60]
    for piece in (ball, tail):
        assert is_it_real(Points(x), torn(x, piece), piece).verdict == "only on this map"


def test_a_round_patch_of_an_even_plane_has_no_border_though_most_neighbours_are_inside() -> None:
    x = np.random.default_rng(0).random((1000, 2)).astype(np.float32)
    patch = np.flatnonzero(((x - 0.5) ** 2).sum(1) < 0.04)
    found = is_it_real(Points(x), torn(x, patch), patch, [x])
    assert found.company > 0.8 and found.border > 1 and found.verdict != "real"


def test_a_ring_around_a_blob_is_real_whatever_the_silhouette_says() -> None:
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 300)
    ring = 10 * np.stack([np.cos(angles), np.sin(angles)], 1)
    x = np.concatenate([ring, np.zeros((200, 2))]) + 0.3 * gaussian(500, 2)
    found = is_it_real(Points(x), x, np.arange(300))
    assert found.silhouette < 0 and found.verdict == "real"


def test_a_class_of_digits_is_real_and_two_halves_of_it_are_not() -> None:
    x, digit = load_digits(return_X_y=True)
    x, digit = x[:600].astype(np.float32), digit[:600]
    points, y = Points(x), TSNE(random_state=0, perplexity=20).fit_transform(x)
    zeros = np.flatnonzero(digit == 0)
    assert is_it_real(points, y, zeros, [pca(x)]).verdict == "real"
    halved = is_it_real(points, torn(y, zeros[::2]), zeros[::2], [y, pca(x)])
    assert halved.verdict == "only on this map"


def test_copies_are_no_company() -> None:
    x = np.repeat(gaussian(100, 8), 25, axis=0)
    half = np.flatnonzero(np.arange(2500) // 25 % 2 == 0)
    found = is_it_real(Points(x), torn(x, half), half)
    assert found.verdict == "only on this map" and found.company < 0.65
    assert (found.members, found.asked) == (1250, 50)
    with pytest.raises(UserError, match="different points"):
        is_it_real(Points(x), torn(x, half), np.arange(75))


def test_a_group_that_no_map_shows_and_a_piece_that_all_show_are_unclear() -> None:
    x = gaussian(400, 8)
    x[:60, 0] += 12
    hidden = is_it_real(Points(x), gaussian(400, 2), np.arange(60), [gaussian(400, 2, seed=2)])
    assert hidden.verdict == "unclear" and hidden.sentence.startswith("Unclear: ")
    piece = np.arange(60, 120)
    shown = is_it_real(Points(x), torn(x, piece), piece, [torn(x, piece)])
    assert shown.verdict == "unclear"
    scattered = is_it_real(Points(x), x[:, :2], piece)
    assert scattered.verdict == "unclear" and "nor does this map" in scattered.sentence


def test_every_verdict_has_its_thresholds() -> None:
    assert judge(CLOSED, True, 0, 3) == judge(CLOSED, False, 1, 3) == judge(0.0, True, 0, 0) == "real"
    assert judge(CLOSED + 0.01, True, 3, 3) == judge(OPEN - 0.01, True, 0, 3) == "unclear"
    assert judge(OPEN, True, 0, 0) == judge(OPEN, True, 1, 2) == "only on this map"
    assert judge(OPEN, True, 2, 3) == judge(OPEN, False, 0, 3) == judge(0.0, False, 0, 3) == "unclear"


def test_the_silhouette_is_scikit_learns_mean_over_the_members() -> None:
    x = gaussian(300, 4)
    x[:90] += 2
    inside = np.arange(300) < 90
    true = silhouette_samples(x.astype(np.float64), inside)[:90].mean()
    assert silhouette(x, inside) == pytest.approx(true, abs=1e-9)
    assert silhouette(np.zeros((40, 2)), np.arange(10)) == 0


def test_a_sampled_silhouette_is_close_to_that_of_all() -> None:
    x = gaussian(5000, 3)
    x[:2500] += 2
    inside = np.arange(5000) < 2500
    true = silhouette_samples(x, inside)[:2500].mean()
    assert silhouette(x, inside, seed=0) == pytest.approx(true, abs=0.02)
    assert silhouette(x, inside, seed=0) == silhouette(x, inside, seed=0) != silhouette(x, inside, seed=1)


def test_company_is_a_count_over_the_members_neighbours() -> None:
    y, members = gaussian(120, 2), np.arange(0, 120, 3)
    shares = []
    for i in members:
        near = [j for j in np.argsort(((y - y[i]) ** 2).sum(1)) if j != i][:7]
        shares.append(np.mean([j % 3 == 0 for j in near]))
    assert company(y, members, k=7) == pytest.approx(np.mean(shares))
    far = np.concatenate([y[:4] + 50, y[:1] + 50.1, y])
    assert company(far, np.arange(5), k=10) == 1  # five points have but four others to keep company


def test_the_border_is_links_out_over_links_across() -> None:
    x = gaussian(200, 3) * [5, 1, 1]  # the longest axis is the first
    inside = x[:, 1] > 0
    out, across = [], []
    rows = np.flatnonzero(inside)
    upper = x[:, 0] > np.median(x[rows, 0])
    for i in rows:
        far = ((x - x[i]) ** 2).sum(1)
        out.append(np.mean(~inside[np.argsort(far)[1:11]]))
        own = rows[np.argsort(far[rows])[1:11]]
        across.append(np.mean(upper[own] != upper[i]))
    assert border(x, inside) == pytest.approx(np.mean(out) / max(np.mean(across), LEAST_CUT), rel=0.1)


def test_a_report_is_json_and_its_sentence_is_short() -> None:
    x = gaussian(100, 4)
    found = is_it_real(Points(x), x[:, :2], np.arange(20), [x[:, 2:]] * 3)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["verdict"] == found.verdict and len(told["company_elsewhere"]) == 3
    assert len(found.sentence) < 300


@pytest.mark.parametrize("wrong", [np.arange(3), np.arange(98), np.arange(0), np.zeros(100, bool)])
def test_too_few_points_inside_or_outside_are_a_sentence(wrong: np.ndarray) -> None:
    x = gaussian(100, 4)
    with pytest.raises(UserError, match="Select at least 5 points"):
        is_it_real(Points(x), x[:, :2], wrong)


def test_what_is_no_selection_is_a_sentence() -> None:
    x = gaussian(100, 4)
    for wrong, words in ((np.array([1, 2, 3, 4, 100]), "outside"), (np.ones(99, bool), "no list")):
        with pytest.raises(UserError, match=words):
            is_it_real(Points(x), x[:, :2], wrong)
    with pytest.raises(UserError, match="2 or 3 coordinates"):
        is_it_real(Points(x), x[:, :2], np.arange(20), [x[:99, :2]])


def test_it_tells_how_far_it_is_and_hears_a_stop_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MEMBERS", 20)
    x = gaussian(200, 40)
    asked = (Points(x), pca(x), np.arange(100), [x[:, :2], x[:, 2:4]])
    told: list[float] = []
    found = is_it_real(*asked, watch=Watch(told.append))
    assert found == is_it_real(*asked) and found.company == pytest.approx(looped_company(x, 100), abs=1e-12)
    assert told == sorted(told) and told[0] == 0 and len(told) >= 3 + 5 + 1
    for after in range(len(told)):
        heard: list[float] = []
        with pytest.raises(Stopped):
            is_it_real(*asked, watch=Watch(heard.append, stopped=lambda: len(heard) >= after))  # noqa: B023
        assert heard == told[:after]


def looped_company(x: np.ndarray, members: int, k: int = 10) -> float:
    """Share of the first points' nearest others that are among them, one by one."""
    shares = []
    for i in range(members):
        far = ((x.astype(np.float64) - x[i]) ** 2).sum(1)
        far[i] = np.inf
        shares.append(np.mean(np.argsort(far)[:k] < members))
    return float(np.mean(shares))

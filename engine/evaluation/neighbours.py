"""Nearest neighbours in a representation: who they are, and whether they have the same class.

Z. Wu et al. 2018, Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
https://arxiv.org/abs/1805.01978, votes with weights of exp(similarity / temperature).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from engine.errors import UserError
from engine.evaluation.metrics import wilson_interval

Metric = Literal["cosine", "euclidean"]

FEW = 2000  # images below which K_FEW neighbours vote
K_FEW, K_MOST = 20, 200
TEMPERATURE = 0.1
CHUNK_CELLS = 2**24  # similarities held at a time: 64 MB


@dataclass(frozen=True)
class KnnResult:
    """How often the neighbours' vote is right.

    Attributes:
        accuracy: Share of queries answered with their own class.
        low: Lower end of its 95 % interval (Wilson).
        high: Upper end.
        n: Queries.
        correct: Queries answered correctly.
        k: Neighbours that voted.
        temperature: A lower one listens more to the nearest.
    """

    accuracy: float
    low: float
    high: float
    n: int
    correct: int
    k: int
    temperature: float


def normalised(x: np.ndarray) -> np.ndarray:
    """Rows scaled to unit length; a row of zeros has no direction and stays zero.

    Args:
        x: (n, d) features.

    Returns:
        (n, d) of the same floating type, a copy.
    """
    x = np.asarray(x)
    x = x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)
    squares = np.einsum("nd,nd->n", x, x, dtype=np.float64)  # float32 would overflow or lose small rows
    lengths = np.sqrt(squares)[:, None]
    return (x / np.where(lengths > 0, lengths, 1)).astype(x.dtype)


def finite_features(x: np.ndarray, of: str) -> np.ndarray:
    """The features as a matrix, checked.

    Args:
        x: (n, d) or (n, …), flattened.
        of: Whose they are, for the sentence.

    Raises:
        UserError: There are none, or one of them is no number.
    """
    x = np.asarray(x)
    if x.ndim < 2 or not len(x) or not x.size:
        raise UserError(f"There are no features of {of}: choose a split with images.")
    x = x.reshape(len(x), -1)
    if not np.isfinite(x).all():
        raise UserError(
            f"The features of {of} hold values that are no finite numbers: these weights or vectors are "
            "broken, choose others."
        )
    return x


def usual_k(n_bank: int) -> int:
    """How many neighbours vote where nobody says: 20 of a few images, a fiftieth of many, at most 200."""
    k = K_FEW if n_bank < FEW else min(K_MOST, n_bank // 50)
    return max(1, min(k, n_bank))


def knn_scores(
    bank: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    classes: int,
    k: int,
    temperature: float = TEMPERATURE,
) -> np.ndarray:
    """Votes of each query's k nearest bank images by cosine similarity s.

    score_c = Σ exp((s - max s) / T) · 1[y = c]. Taking the largest similarity out changes no order of the
    classes and keeps the exponential from overflowing at a low temperature.

    Args:
        bank: (n, d) features of the images that vote.
        labels: (n,) their classes, 0 to C - 1.
        queries: (m, d) features of the images asked about.
        classes: C.
        k: Neighbours that vote, 1 to n.
        temperature: T, above 0.

    Returns:
        (m, C) float32 votes.

    Raises:
        UserError: k, temperature, labels or features cannot be used.
    """
    bank, queries = finite_features(bank, "the bank"), finite_features(queries, "the queries")
    return _scores(normalised(bank), labels, normalised(queries), classes, k, temperature, alone=False)


def knn_accuracy(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    classes: int,
    k: int | None = None,
    temperature: float = TEMPERATURE,
    leave_one_out: bool = False,
    centre: bool = True,
) -> KnnResult:
    """Share of queries whose neighbours vote for their own class.

    With `centre` the bank's mean is first taken out of both. Pixels are never negative, so all of them point
    the same way and cosine compares little but brightness; features after a ReLU do the same to a lesser
    degree. Centred, raw pixels are the baseline they should be, and every representation is treated alike.

    Args:
        bank: (n, d) features of the images that vote.
        bank_labels: (n,) their classes, 0 to C - 1.
        queries: (m, d) features of the images asked about.
        query_labels: (m,) their true classes.
        classes: C.
        k: Neighbours that vote; `usual_k` if None.
        temperature: Above 0; MoCo's and most libraries' 0.1, where Wu et al. take 0.07.
        leave_one_out: The queries are the bank, row by row, and no image votes for itself: with it, k = 1
            would be right every time.
        centre: Take the bank's mean out.

    Raises:
        UserError: k, temperature, labels or features cannot be used.
    """
    bank, queries = finite_features(bank, "the bank"), finite_features(queries, "the queries")
    if leave_one_out and bank.shape != queries.shape:
        raise UserError("To leave one out, the queries must be the images of the bank, in the same order.")
    middle = bank.mean(0, dtype=np.float64).astype(np.float32) if centre else np.float32(0)
    voters = len(bank) - int(leave_one_out)
    k = usual_k(voters) if k is None else k
    bank, queries = normalised(bank - middle), normalised(queries - middle)
    scores = _scores(bank, bank_labels, queries, classes, k, temperature, alone=leave_one_out)
    n = len(queries)
    correct = int((scores.argmax(1) == check_labels(query_labels, n, classes)).sum())
    return KnnResult(correct / n, *wilson_interval(correct, n), n, correct, k, temperature)


def nearest(
    bank: np.ndarray, query_rows: np.ndarray, k: int, metric: Metric = "cosine"
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other images of some images of the bank, nearest first.

    Args:
        bank: (n, d) features.
        query_rows: (m,) rows of the bank to ask about.
        k: Neighbours wanted, 1 to n - 1.
        metric: "cosine" for 1 - cosine similarity, "euclidean" for the straight distance.

    Returns:
        (m, k) rows of the bank, none of them the query, and (m, k) float32 distances.

    Raises:
        UserError: k, metric or features cannot be used.
    """
    bank = finite_features(bank, "the images")
    rows = np.atleast_1d(np.asarray(query_rows, np.int64))
    _check_k(k, len(bank) - 1)
    if metric not in ("cosine", "euclidean"):
        raise UserError(f"metric must be cosine or euclidean, got '{str(metric)[:40]}'.")
    if metric == "cosine":
        x = torch.from_numpy(normalised(bank).astype(np.float32, copy=False))
        halves = torch.zeros(len(x))
    else:  # ½|a - b|² = ½|a|² + ½|b|² - a·b; the query's own part changes no order
        x = torch.from_numpy((bank - bank.mean(0, dtype=np.float64)).astype(np.float32))
        halves = (x * x).sum(1) / 2
    found = np.empty((len(rows), k), np.int64)
    distances = np.empty((len(rows), k), np.float32)
    for part in _chunks(len(rows), len(bank)):
        query = torch.from_numpy(rows[part])
        closeness = x[query] @ x.T - halves
        closeness[torch.arange(len(query)), query] = -torch.inf
        near = closeness.topk(k).indices
        apart = x[query][:, None] - x[near]  # exact again: differences of large products lose digits
        squares = (apart * apart).sum(2)
        length = squares / 2 if metric == "cosine" else squares.sqrt()  # |â - b̂|² = 2 - 2 cos
        order = length.argsort(dim=1)
        found[part], distances[part] = near.gather(1, order).numpy(), length.gather(1, order).numpy()
    return found, distances


def _scores(
    bank: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    classes: int,
    k: int,
    temperature: float,
    alone: bool,
) -> np.ndarray:
    """(m, C) votes among rows of unit length; `alone` keeps row i of the bank from voting on query i."""
    _check_k(k, len(bank) - int(alone))
    if not (np.isfinite(temperature) and temperature > 0):
        raise UserError(f"temperature must be above 0, got {temperature}.")
    if bank.shape[1] != queries.shape[1]:
        raise UserError(f"The bank has {bank.shape[1]} features an image, the queries {queries.shape[1]}.")
    known = torch.from_numpy(check_labels(labels, len(bank), classes))
    b = torch.from_numpy(bank.astype(np.float32, copy=False))
    q = torch.from_numpy(queries.astype(np.float32, copy=False))
    scores = np.empty((len(q), classes), np.float32)
    for part in _chunks(len(q), len(b)):
        similarity = q[part] @ b.T
        if alone:
            here = torch.arange(len(similarity))
            similarity[here, here + part.start] = -torch.inf
        s, near = similarity.topk(k)  # (m, k), largest first
        weights = ((s - s[:, :1]) / temperature).exp()
        votes = torch.zeros(len(s), classes).scatter_add_(1, known[near], weights)
        scores[part] = votes.numpy()
    return scores


def check_labels(labels: np.ndarray, n: int, classes: int) -> np.ndarray:
    """(n,) int64 class indices.

    Raises:
        UserError: Not one for each image, or not between 0 and C - 1.
    """
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise UserError(f"There must be one label an image: got {labels.size} labels for {n} images.")
    if n and not (0 <= labels.min() and labels.max() < classes):
        raise UserError(f"labels must be within 0 and {classes - 1}: leave images without a class out.")
    return labels.astype(np.int64)


def _check_k(k: int, most: int) -> None:
    if not 1 <= k <= most:
        raise UserError(f"k must be within 1 and {most}, the images that can be neighbours, got {k}.")


def _chunks(m: int, n: int) -> list[slice]:
    """Parts of m queries that have few enough similarities with n images to hold at a time."""
    size = max(1, min(m, CHUNK_CELLS // max(1, n)))
    return [slice(start, min(start + size, m)) for start in range(0, m, size)]

"""Train, validation and test: made from a seed and the images themselves, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)


def stratified(
    labels: np.ndarray, digests: Sequence[bytes], fraction: float, seed: int, among: np.ndarray | None = None
) -> np.ndarray:
    """Choose a fraction of every class, at least one image of it and never all.

    The order within a class is that of a hash of seed and pixels, so the choice depends on no random number
    library and not on the order of the images. Exact duplicates hash alike and stay on one side.

    Args:
        labels: (n,) classes; -1 counts as a class of its own.
        digests: n digests of pixels.
        fraction: Share of each class to choose, 0 to below 1.
        seed: Another seed chooses other images.
        among: (m,) indices to choose from; all if None.

    Returns:
        (k,) sorted indices of the chosen images.
    """
    among = np.arange(len(labels)) if among is None else np.asarray(among)
    if fraction <= 0 or not len(among):
        return np.empty(0, np.int64)
    salt = str(int(seed)).encode() + b":"
    keys = [hashlib.blake2b(salt + digests[int(i)], digest_size=8).digest() for i in among]
    chosen: list[int] = []
    members: dict[int, list[tuple[bytes, int]]] = {}
    for key, i in zip(keys, among.tolist(), strict=True):
        members.setdefault(int(labels[i]), []).append((key, i))
    for group in members.values():
        group.sort()
        cut = _cut([key for key, _ in group], fraction)
        chosen.extend(i for _, i in group[:cut])
    return np.array(sorted(chosen), np.int64)


def _cut(keys: list[bytes], fraction: float) -> int:
    """How many of the sorted keys to take, moved as little as keeps equal keys together where that can be."""
    n = len(keys)
    if n < 2:
        return 0
    cut = min(max(1, round(n * fraction)), n - 1)
    borders = [end for end in range(1, n) if keys[end] != keys[end - 1]]
    return min(borders, key=lambda end: abs(end - cut), default=cut)

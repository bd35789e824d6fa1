"""Kernel PCA, LLE, Isomap and others against plain scikit-learn calls, on the same points in the same run.

python benchmarks/projections_spectral.py [--points 5000] [--rounds 2] [--threads 1] [--methods lle isomap]

The points are codes of 10 numbers: drawn shapes of 16 px, along their principal axes (a linear autoencoder).
Both sides are held to the same number of cores and threads and take turns; the middle of the rounds is told.
Trustworthiness is measured on both maps, and Procrustes says how different they are (0: the same map).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from engine.data.shapes import draw  # noqa: E402
from engine.projections import parse_projection  # noqa: E402
from engine.projections.kernel_pca import median_gamma  # noqa: E402
from engine.projections.make import project  # noqa: E402
from engine.projections.points import Points  # noqa: E402

WIDTH, NEIGHBOURS = 10, 10
AT = 5000  # points that the goals are for
GOALS = {"kernel_pca": 4.0, "lle": 1.8, "isomap": 10.0}
METHODS = (
    "kernel_pca",
    "lle",
    "lle-modified",
    "lle-ltsa",
    "isomap",
    "isomap-exact",
    "laplacian_eigenmaps",
    "mds",
)


def codes(n: int) -> np.ndarray:
    """(n, 10) float32."""
    images = np.concatenate([drawing.images for drawing in draw(n, 16)]).reshape(n, -1) / 255.0
    images -= images.mean(0)
    axes = np.linalg.eigh(images.T @ images)[1][:, ::-1][:, :WIDTH]
    return np.asarray(images @ axes, np.float32)


def peer(method: str, x: np.ndarray) -> Callable[[], np.ndarray]:
    """Scikit-learn's plain call; kernel PCA with our gamma, as its own shows nothing on such points."""
    from sklearn.decomposition import KernelPCA
    from sklearn.manifold import MDS, Isomap, LocallyLinearEmbedding, SpectralEmbedding

    plain: dict[str, Any] = {
        "kernel_pca": lambda: KernelPCA(2, kernel="rbf", gamma=median_gamma(x, 0), random_state=0),
        "lle": lambda: LocallyLinearEmbedding(n_neighbors=NEIGHBOURS, random_state=0),
        "lle-modified": lambda: LocallyLinearEmbedding(
            n_neighbors=NEIGHBOURS, method="modified", random_state=0
        ),
        "lle-ltsa": lambda: LocallyLinearEmbedding(n_neighbors=NEIGHBOURS, method="ltsa", random_state=0),
        "isomap": lambda: Isomap(n_neighbors=NEIGHBOURS),
        "isomap-exact": lambda: Isomap(n_neighbors=NEIGHBOURS),
        "laplacian_eigenmaps": lambda: SpectralEmbedding(n_neighbors=NEIGHBOURS, random_state=0),
        "mds": lambda: MDS(n_init=1, init="classical_mds", random_state=0),
    }
    return lambda: np.asarray(plain[method]().fit_transform(x.astype(np.float64)))


def ours(method: str, x: np.ndarray) -> Callable[[], np.ndarray]:
    """A map from bare points: the neighbours are searched again in every round."""
    name, _, form = method.partition("-")
    values: dict[str, Any] = {"exact": True} if form == "exact" else {"method": form} if form else {}
    return lambda: project(name, Points(x), parse_projection(name, values)).positions


def timed(call: Callable[[], np.ndarray]) -> tuple[float, np.ndarray | str]:
    started = time.perf_counter()
    try:
        found: np.ndarray | str = call()
    except ValueError as error:
        found = str(error)[:60]
    return time.perf_counter() - started, found


def compare(method: str, x: np.ndarray, rounds: int) -> None:
    from scipy.spatial import procrustes
    from sklearn.manifold import trustworthiness

    sides = {"ours": ours(method, x), "scikit-learn": peer(method, x)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    found: dict[str, np.ndarray | str] = {}
    for _ in range(rounds):
        for side, call in sides.items():
            took, found[side] = timed(call)
            seconds[side].append(took)
    middle = {side: statistics.median(took) for side, took in seconds.items()}
    words = [f"{method:20} {middle['ours']:7.2f} s, scikit-learn {middle['scikit-learn']:7.2f} s"]
    goal = f" (goal {GOALS[method]:g})" if method in GOALS and len(x) == AT else ""
    words.append(f"ratio {middle['scikit-learn'] / middle['ours']:5.1f}{goal}")
    for side, positions in found.items():
        if isinstance(positions, str):
            words.append(f"{side} fails: {positions}")
        else:
            words.append(f"trust {side} {trustworthiness(x, positions, n_neighbors=NEIGHBOURS):.3f}")
    one, other = found["ours"], found["scikit-learn"]
    if not isinstance(one, str) and not isinstance(other, str):
        words.append(f"Procrustes {procrustes(one.astype(np.float64), other)[2]:.1e}")
    print("; ".join(words), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:2] + ("isomap",))
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # Linux: the neighbour search sees these cores only
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: args.threads]))
    from threadpoolctl import threadpool_limits

    x = codes(args.points)
    project("kernel_pca", Points(x[:100]))  # so that nobody's clock holds the imports
    for method in args.methods:
        peer(method, x[:100])
    print(f"{args.points:,} points of {WIDTH}, {args.threads} thread(s), load {os.getloadavg()[0]:.1f}")
    with threadpool_limits(args.threads):
        for method in args.methods:
            compare(method, x, args.rounds)


if __name__ == "__main__":
    main()

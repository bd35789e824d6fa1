"""Trustworthiness and continuity of a map: ours against two plain calls of scikit-learn.

python benchmarks/projection_quality.py [--points 5000] [--width 10] [--rounds 3]

Same points, same map (PCA), in turn, in one process; ours is asked once exactly and once over a sample. The
neighbour graph is the one that the methods share, so it is made beforehand, and its time is told. Memory is
the growth of the peak, each side in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from sklearn.manifold import trustworthiness  # noqa: E402

from engine.projections.points import Points  # noqa: E402
from engine.projections.quality import MapQuality, map_quality  # noqa: E402

K = 10
GOALS = {"exact": 2.5, "sampled": 10.0}  # ratio to both calls at 5,000 points, at 10,000


def some_points(n: int, width: int) -> tuple[Points, np.ndarray]:
    """Ten blobs of unequal spread, and their first two principal axes."""
    random = np.random.default_rng(0)
    middles, spreads = random.normal(0, 3, (10, width)), random.uniform(0.5, 2, 10)
    of = random.integers(0, 10, n)
    points = Points(middles[of] + spreads[of, None] * random.standard_normal((n, width)))
    centred = points.x - points.x.mean(0)
    return points, centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def plain(points: Points, positions: np.ndarray) -> tuple[float, float]:
    trust = trustworthiness(points.x, positions, n_neighbors=K)
    return float(trust), float(trustworthiness(positions, points.x, n_neighbors=K))


def timed(work: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def growth(side: str, n: int, width: int) -> float:
    """MB by which one side raises the peak of a fresh process."""
    command = [sys.executable, __file__, "--side", side, "--points", str(n), "--width", str(width)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(side: str, points: Points, positions: np.ndarray) -> object:
    if side == "plain":
        return plain(points, positions)
    return map_quality(points, positions, k=K, exact=side == "exact")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--width", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    points, positions = some_points(args.points, args.width)
    graph, _ = timed(lambda: points.graph(K))
    if args.side:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measure(args.side, points, positions)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
        return
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{args.points:,} points of {args.width} numbers; their graph took {graph:.2f} s")
    memory = {side: growth(side, args.points, args.width) for side in ("plain", *GOALS)}
    seconds: dict[str, list[float]] = {side: [] for side in memory}
    found: dict[str, object] = {}
    for _ in range(args.rounds):
        for side in seconds:
            took, found[side] = timed(lambda side=side: measure(side, points, positions))  # type: ignore[misc]
            seconds[side].append(took)
    middle = {side: float(np.median(took)) for side, took in seconds.items()}
    print(f"load after: {os.getloadavg()[0]:.1f}")
    print(f"plain: {middle['plain']:.2f} s, {memory['plain']:.0f} MB")
    truth = found["plain"]
    assert isinstance(truth, tuple)
    for side, goal in GOALS.items():
        ours = found[side]
        assert isinstance(ours, MapQuality)
        error = max(abs(ours.trustworthiness - truth[0]), abs(ours.continuity - truth[1]))
        print(
            f"{side}: {middle[side]:.2f} s, {memory[side]:.0f} MB, {ours.n_sampled:,} points asked, "
            f"error {error:.1e}, ratio {middle['plain'] / middle[side]:.1f} (goal {goal})"
        )


if __name__ == "__main__":
    main()

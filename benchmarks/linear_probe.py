"""The linear probe on 50,000 × 512 features against scikit-learn's default LogisticRegression.

python benchmarks/linear_probe.py [--images 50000] [--width 512] [--rounds 3]

Same features, same machine, in turn, in one process. Features are drawn: ten class means and noise whose
directions correlate, cut off at zero as after a ReLU, so that a linear model reads most of the classes and
not all. Ours is the whole probe: scaling, six values of C tried on held-out images, the last fit. Theirs is
one fit with C = 1, once as it comes and once on features that were scaled beforehand, which it asks for.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import engine  # noqa: E402, F401  (before torch)

# isort: split
import numpy as np  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from engine.evaluation.probe import linear_probe  # noqa: E402

CLASSES = 10
TEST = 10_000
GOAL, ALIKE = 3.0, 0.002


def features(n: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, width) float32 features of (n,) classes."""
    random = np.random.default_rng(seed)
    strength = np.sqrt(0.97 ** np.arange(width))[:, None]  # of each hidden direction
    mix = (random.standard_normal((width, width)) * strength).astype(np.float32)
    means = (0.22 * random.standard_normal((CLASSES, width)) @ mix).astype(np.float32)
    labels = random.integers(0, CLASSES, n)
    noise = random.standard_normal((n, width), dtype=np.float32)
    return np.maximum(means[labels] + noise @ mix, 0), labels


def timed(work: Callable[[], float]) -> tuple[float, float]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the default stops after 100 steps
    x, y = features(args.images + TEST, args.width)
    train, test = (x[:-TEST], y[:-TEST]), (x[-TEST:], y[-TEST:])
    middle, spread = train[0].mean(0), train[0].std(0)
    scaled = [((part - middle) / spread, labels) for part, labels in (train, test)]
    sides: dict[str, Callable[[], float]] = {
        "ours, C chosen": lambda: linear_probe(*train, *test, CLASSES).accuracy,
        "ours, C = 1": lambda: linear_probe(*train, *test, CLASSES, costs=(1.0,)).accuracy,
        "scikit-learn": lambda: float(LogisticRegression().fit(*train).score(*test)),
        "scikit-learn, scaled": lambda: float(LogisticRegression().fit(*scaled[0]).score(*scaled[1])),
    }
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{args.images:,} × {args.width} features, {CLASSES} classes, {TEST:,} test images")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    reached: dict[str, float] = {}
    for _ in range(args.rounds):
        for name, work in sides.items():
            took, reached[name] = timed(work)
            seconds[name].append(took)
    print(f"load after: {os.getloadavg()[0]:.1f}")
    median = {name: float(np.median(took)) for name, took in seconds.items()}
    for name, took in median.items():
        print(f"{name}: {took:.2f} s, accuracy {reached[name]:.4f}")
    ours = "ours, C chosen"
    for peer in ("scikit-learn", "scikit-learn, scaled"):
        apart = reached[ours] - reached[peer]
        alike = "within" if apart >= -ALIKE else "NOT within"
        print(
            f"{ours} against {peer}: {median[peer] / median[ours]:.1f} × as fast (goal {GOAL:g}), accuracy "
            f"{100 * apart:+.2f} points, {alike} the {100 * ALIKE:g} allowed"
        )


if __name__ == "__main__":
    main()

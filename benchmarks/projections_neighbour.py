"""t-SNE and UMAP: our fit beside the plain library call: same points, one run, one thread each.

python benchmarks/projections_neighbour.py [--points 1000 5000] [--methods tsne umap] [--repeats 1]

The peers are scikit-learn's TSNE and umap-learn's UMAP(random_state=0) with their defaults. Each side has
compiled what it compiles before it is timed; what the first UMAP map of a process waits for is told beside.
Points are ten-dimensional, from ten groups of unlike shape. Processor seconds count where other work slows
the clock.
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

import numpy as np  # noqa: E402

from engine.projections import projection_class  # noqa: E402
from engine.projections.points import Points  # noqa: E402
from engine.projections.projection import Watch  # noqa: E402
from engine.projections.threads import one_thread  # noqa: E402
from engine.projections.umap import prewarm  # noqa: E402

GOALS = {"tsne": 1.5, "umap": 2.0}
TRUST_NEIGHBOURS = 10
SAME = 0.005  # of trustworthiness

Fit = Callable[[np.ndarray], np.ndarray]


def latents(n: int, width: int = 10, groups: int = 10) -> np.ndarray:
    """(n, width) float32 points of Gaussian groups, each stretched in its own way."""
    random = np.random.default_rng(0)
    middles, shapes = 2 * random.normal(size=(groups, width)), random.normal(size=(groups, width, width)) / 2
    group = random.integers(0, groups, n)
    return (middles[group] + np.einsum("nd,nde->ne", random.normal(size=(n, width)), shapes[group])).astype(
        "f4"
    )


def ours(method: str) -> Fit:
    cls = projection_class(method)
    return lambda x: cls(cls.Config()).fit(Points(x), Watch()).positions


def peer(method: str, warming: bool = False) -> Fit:
    if method == "tsne":
        from sklearn.manifold import TSNE

        return TSNE(init="pca", random_state=0).fit_transform  # type: ignore[no-any-return]
    from umap import UMAP

    # many points take the library's approximate neighbours: few have to be told to, when it warms up
    return UMAP(random_state=0, force_approximation_algorithm=warming).fit_transform  # type: ignore[no-any-return]


def timed(fit: Fit, x: np.ndarray, repeats: int) -> tuple[float, float, np.ndarray]:
    """Least wall seconds, least processor seconds, and the map."""
    walls, processor = [], []
    for _ in range(repeats):
        wall, used = time.perf_counter(), time.process_time()
        positions = fit(x)
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - used)
    return min(walls), min(processor), positions


def compare(method: str, n: int, repeats: int) -> None:
    from sklearn.manifold import trustworthiness

    x = latents(n)
    found = {name: timed(fit, x, repeats) for name, fit in (("ours", ours(method)), ("plain", peer(method)))}
    trust = {name: trustworthiness(x, found[name][2], n_neighbors=TRUST_NEIGHBOURS) for name in found}
    for name, (wall, used, _) in found.items():
        print(f"  {name}: {wall:.2f} s, {used:.2f} processor s, trustworthiness {trust[name]:.4f}")
    wall, used = (found["plain"][i] / found["ours"][i] for i in (0, 1))
    drop = trust["plain"] - trust["ours"]
    verdict = "kept" if drop <= SAME else f"lower by {drop:.4f}"
    print(f"  ratio {wall:.1f}, of processor seconds {used:.1f} (goal {GOALS[method]}); trust {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--methods", nargs="+", choices=list(GOALS), default=list(GOALS))
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with one_thread():
        if "umap" in args.methods:
            for state in ("cold", "warm"):
                started = time.perf_counter()
                prewarm()
                print(f"UMAP of 40 points, {state}: {time.perf_counter() - started:.2f} s")
        few = latents(200)
        for method in args.methods:
            ours(method)(few)
            peer(method, warming=True)(few)
            peer(method)(few)
            for n in args.points:
                print(f"{method}, {n:,} points")
                compare(method, n, args.repeats)
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

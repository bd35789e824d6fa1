"""All six usual maps of the same points, ours in total beside the plain library calls in total.

python benchmarks/projections.py [--points 5000] [--width 10] [--threads 1] [--only-ours]

Ours share one neighbour graph; the peers are scikit-learn's PCA, KernelPCA (with our gamma), LLE, Isomap and
TSNE and umap-learn's UMAP(random_state=0). Each side has loaded and compiled before the clock starts, and the
two take turns method by method. Peak memory is that of the whole process so far.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from projections_neighbour import latents  # noqa: E402
from projections_neighbour import peer as neighbour_peer  # noqa: E402
from projections_spectral import peer as spectral_peer  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from engine.methods.latent_map_config import USUAL  # noqa: E402
from engine.projections.make import project  # noqa: E402
from engine.projections.points import Points  # noqa: E402

GOAL = 2.2


def plain(method: str, x: np.ndarray) -> None:
    if method in ("tsne", "umap"):
        neighbour_peer(method)(x)
    elif method == "pca":
        from sklearn.decomposition import PCA

        PCA(2).fit_transform(x)
    else:
        spectral_peer(method, x)()


def seconds(call: object, *given: object) -> float:
    begun = time.perf_counter()
    call(*given)  # type: ignore[operator]
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--width", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-ours", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    x, few = latents(args.points, args.width), latents(300, args.width)
    print(f"{args.points:,} points of {args.width} numbers, load {os.getloadavg()[0]:.1f}")
    mine = theirs = 0.0
    with threadpool_limits(args.threads):
        points = Points(x)
        for method in USUAL:
            project(method, Points(few))
            ours = seconds(project, method, points)
            mine += ours
            words = f"{method:12} {ours:7.3f} s"
            if not args.only_ours:
                plain(method, few)
                if method == "umap":  # many points take approximate neighbours, which are compiled apart
                    neighbour_peer(method, warming=True)(few)
                peer = seconds(plain, method, x)
                theirs += peer
                words += f"  plain {peer:7.3f} s  {peer / ours:5.1f} times"
            print(words, flush=True)
    print(f"in total     {mine:7.2f} s", end="")
    print("" if args.only_ours else f"  plain {theirs:7.2f} s  {theirs / mine:5.1f} times (goal {GOAL})")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()

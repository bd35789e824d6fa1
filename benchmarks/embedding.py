"""Embedding a data set: our cached features, computed anew, against a bare loop in the same precision.

python benchmarks/embedding.py [--arch resnet18] [--size 128] [--images 256] [--rounds 5]

Same encoder, same decoded images, same batch, 32 bits, in turn, in one process. The bare loop cuts, scales
and sends batches through the network and keeps the features in memory; ours also hashes the weights and
writes the features to the cache on disk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import engine  # noqa: E402, F401  (before torch)

# isort: split
import numpy as np  # noqa: E402
import torch  # noqa: E402

from engine.data.augment import center, stored_size  # noqa: E402
from engine.evaluation import features  # noqa: E402
from engine.evaluation.features import cached_features  # noqa: E402
from engine.models.encoder import build_encoder  # noqa: E402
from engine.models.network import Encoder  # noqa: E402
from engine.training import machine  # noqa: E402

GOAL = 1.15


@torch.inference_mode()
def bare(encoder: Encoder, pixels: np.ndarray) -> np.ndarray:
    """(n, d) features, and nothing else."""
    size, found = encoder.image_size, []
    batch = max(1, min(features.LARGE_BATCH, features.BATCH_PIXELS // size**2))
    for start in range(0, len(pixels), batch):
        images = torch.from_numpy(np.ascontiguousarray(pixels[start : start + batch]))
        x = center(images, size).contiguous(memory_format=torch.channels_last)
        found.append(encoder(x).numpy())
    return np.concatenate(found)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    machine.prepare(torch.device("cpu"))
    side = stored_size(args.size)
    pixels = np.random.default_rng(0).integers(0, 256, (args.images, side, side, 3), dtype=np.uint8)
    encoder = build_encoder(f"random:{args.arch}", args.size).eval()
    with tempfile.TemporaryDirectory() as workspace:
        os.environ["REPLAB_WORKSPACE"] = workspace
        print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        bare(encoder, pixels)  # the first pass only warms up
        seconds: dict[str, list[float]] = {"bare": [], "ours": []}
        apart = 0.0
        for number in range(args.rounds):
            took, plain = timed(lambda: bare(encoder, pixels))
            seconds["bare"].append(took)
            name = f"round {number}"  # another name of the data, so that nothing is found in the cache
            took, ours = timed(lambda name=name: cached_features(encoder, pixels, name))  # type: ignore[misc]
            seconds["ours"].append(took)
            assert isinstance(plain, np.ndarray) and isinstance(ours, np.ndarray)
            apart = max(apart, float(np.abs(plain - ours).max()))
        again, _ = timed(lambda: cached_features(encoder, pixels, "round 0"))
        print(f"load after: {os.getloadavg()[0]:.1f}")
    ours_rate, bare_rate = (args.images / float(np.median(seconds[side])) for side in ("ours", "bare"))
    print(f"{args.arch} at {args.size} px, {args.images:,} images; largest difference {apart:.1e}")
    print(f"ours {ours_rate:.1f} images/s, bare loop {bare_rate:.1f} images/s, from the cache {again:.3f} s")
    print(f"ours takes {bare_rate / ours_rate:.3f} × the bare loop's time (goal at most {GOAL})")


if __name__ == "__main__":
    main()

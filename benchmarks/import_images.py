"""Importing a zip of 32-px images: time, memory growth and the second open, beside what a script would do.

python benchmarks/import_images.py [--images 10000]

The peer unpacks the zip with zipfile, scans it with torchvision's ImageFolder and decodes every image once;
it checks nothing, keeps nothing and makes no index, so it is the least that anybody has to pay. Each side
runs in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CLASSES = 10


def write_zip(path: Path, images: int) -> None:
    """A zip of PNG files with pixels of their own, in train/class-k/."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(images):
            picture = io.BytesIO()
            coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
            Image.fromarray(coarse).save(picture, "PNG")
            archive.writestr(f"train/class-{i % CLASSES}/{i:06}.png", picture.getvalue())


def peak() -> int:
    """The most memory this process has held so far, in bytes (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ours(source: Path) -> dict[str, float]:
    from engine.data.intake import add_dataset

    before, started = peak(), time.perf_counter()
    made = add_dataset(source)
    return {"images": len(made), "seconds": time.perf_counter() - started, "growth": peak() - before}


def reopen(source: Path) -> dict[str, float]:
    from engine.data.dataset import list_datasets, open_dataset

    started = time.perf_counter()
    opened = open_dataset(list_datasets()[0].id)
    opened.image(len(opened) - 1)
    return {"images": len(opened), "seconds": time.perf_counter() - started}


def peer(source: Path) -> dict[str, float]:
    from torchvision.datasets import ImageFolder

    before, started = peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(source) as archive:  # the benchmark's own file, not a stranger's
            archive.extractall(folder)
        found = ImageFolder(str(Path(folder) / "train"))
        decoded = sum(1 for _ in (found[i] for i in range(len(found))))
        seconds = time.perf_counter() - started
    return {"images": decoded, "seconds": seconds, "growth": peak() - before}


ROLES = {"ours": ours, "reopen": reopen, "peer": peer}


def child(role: str, source: Path, workspace: str) -> dict[str, float]:
    environment = {
        **os.environ,
        "REPLAB_WORKSPACE": workspace,
        "REPLAB_MIN_FREE_BYTES": "0",
        "REPLAB_MAX_ENTRIES": "1000000",
    }
    command = [sys.executable, __file__, "--role", role, "--source", str(source)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        print(json.dumps(ROLES[args.role](args.source)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "images.zip"
        write_zip(source, args.images)
        print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        mine = child("ours", source, scratch + "/workspace")
        again = child("reopen", source, scratch + "/workspace")
        theirs = child("peer", source, scratch)
    print(
        f"ours: {mine['images']} images in {mine['seconds']:.1f} s, memory grew by "
        f"{mine['growth'] / 2**20:.0f} MiB; second open {again['seconds']:.2f} s"
    )
    print(f"unpack, scan, decode: {theirs['images']} images in {theirs['seconds']:.1f} s")
    print(f"speed ratio {theirs['seconds'] / mine['seconds']:.2f} (ours also checks, measures and indexes)")


if __name__ == "__main__":
    main()

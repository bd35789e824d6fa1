"""The tutorial's autoencoder on MNIST: our run against ImageFolder and DataLoader, on the same images.

python benchmarks/autoencoder.py mnist_png.tar.xz [--epochs 5]

The archive holds train/ and test/ with a folder a digit. The peer is the tutorial's loop: 784-128-128-10 and
back, BCELoss, Adam 1e-3, batches of 128; 0 and 2 loader workers are tried for an epoch each and the
quicker goes on. Ours is the preset "Tutorial" in the usual worker; import and first decode, which
are paid once, are told beside it. Both score the same test images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCH = 128


def peer(folder: Path, epochs: int) -> None:
    """The tutorial's loop, written out; prints what it measured. Imports nothing of ours."""
    import torch
    from torch import nn
    from torchvision import datasets, transforms

    view = transforms.Compose([transforms.Grayscale(1), transforms.ToTensor()])
    train, test = (datasets.ImageFolder(folder / name, view) for name in ("train", "test"))
    torch.manual_seed(0)
    sizes = (784, 128, 128, 10, 128, 128, 784)
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [nn.Linear(inputs, outputs), *([] if i == 2 else [nn.ReLU()])]
    layers[-1] = nn.Sigmoid()
    net, loss_of = nn.Sequential(*layers), nn.BCELoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def epoch(workers: int) -> float:
        loader = torch.utils.data.DataLoader(train, BATCH, shuffle=True, drop_last=True, num_workers=workers)
        started = time.perf_counter()
        for images, _ in loader:
            optimizer.zero_grad()
            loss_of(net(images), images.flatten(1)).backward()
            optimizer.step()
        return time.perf_counter() - started

    tried = {workers: epoch(workers) for workers in (0, 2)}
    best = min(tried, key=lambda workers: tried[workers])
    seconds = sorted([tried[best], *(epoch(best) for _ in range(epochs - 2))])
    with torch.no_grad():
        batches = torch.utils.data.DataLoader(test, 500)
        total = sum(float(loss_of(net(x), x.flatten(1))) * len(x) for x, _ in batches)
    found = {"epoch": seconds[len(seconds) // 2], "tried": tried, "best": best, "test": total / len(test)}
    print(json.dumps(found))


def ours(archive: Path, epochs: int) -> dict[str, Any]:
    """Import, decode, train as the page does; seconds of each, and the test loss."""
    from engine.data.intake import add_dataset
    from engine.data.pixels import pixels
    from engine.methods import config_class
    from engine.runs.executors import executor
    from engine.runs.recipe import check_recipe, make_recipe
    from engine.runs.store import RunStore

    started = time.perf_counter()
    dataset = add_dataset(archive, val_fraction=0.0)
    imported = time.perf_counter() - started
    started = time.perf_counter()
    pixels(dataset, 28)
    decoded = time.perf_counter() - started
    config = {**config_class("autoencoder").PRESETS["Tutorial"], "epochs": epochs}
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "autoencoder"}
    recipe = make_recipe({**fields, "config": config, "backbone": None, "image_size": 28, "seed": 0})
    store = RunStore()
    run = store.create(check_recipe(recipe)).id
    executor(store).submit(run)
    while store.status(run).state in ("queued", "running"):
        time.sleep(0.5)
    results = store.results(run)
    if results is None:
        raise SystemExit(store.status(run).error or store.log_tail(run))
    n = results["splits"]["train"]["n"]
    training = sorted(n / row["images_per_second"] for row in store.curve(run)["epochs"])
    test = results["splits"]["test"]
    return {"import": imported, "decode": decoded, "n": n, "epoch": training[len(training) // 2],
            "test": test["loss"], "floor": test["loss_floor"], "run": results["seconds"]}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(args.archive, args.epochs)
        return
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(args.archive) as packed:
            packed.extractall(Path(folder) / "peer", filter="data")
        images = next(path.parent for path in (Path(folder) / "peer").rglob("train"))
        command = [sys.executable, __file__, str(images), "--peer", "--epochs", str(args.epochs)]
        theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        os.environ["REPLAB_WORKSPACE"] = str(Path(folder) / "workspace")
        os.environ["REPLAB_MAX_ENTRIES"] = "200000"
        found = ours(args.archive.absolute(), args.epochs)
    print(f"load after: {os.getloadavg()[0]:.1f}")
    print(f"ours: {found['epoch']:.2f} s an epoch of {found['n']:,} images, test BCE {found['test']:.4f}")
    once = f"import {found['import']:.1f} s, decode {found['decode']:.1f} s"
    print(f"  once: {once}; the whole run {found['run']:.1f} s")
    tried = ", ".join(f"{seconds:.1f} with {workers}" for workers, seconds in theirs["tried"].items())
    print(f"peer: {theirs['epoch']:.2f} s an epoch (workers: {tried}), test BCE {theirs['test']:.4f}")
    print(f"  the floor of that BCE is {found['floor']:.4f}")
    print(f"ratio {theirs['epoch'] / found['epoch']:.1f} (goal 6)")


if __name__ == "__main__":
    main()

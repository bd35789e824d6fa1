"""A frozen ResNet-18 on ants and bees: our cached features against the PyTorch tutorial's loop.

python benchmarks/transfer_frozen.py hymenoptera_data.zip [--epochs 15] [--peer-epochs 1]

Both go from images on disk to a trained head, each in a process of its own, one after the other, from random
weights (speed does not depend on them). The tutorial's loop sends every image through the network in every
epoch; one epoch of it is measured and multiplied, and the output says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SIZE, BATCH = 224, 8


def processor_seconds() -> float:
    """Time that this process and its finished children kept a core busy: steadier than the clock."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def tree_bytes(pid: int) -> int:
    """Memory of a process and all below it, what they share counted once (Linux)."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for thread in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            continue
    return total


def ours(folder: Path, epochs: int) -> dict[str, float]:
    """Import is not counted (the tutorial starts from an unpacked folder too); decoding and all else is."""
    from engine.data.intake import add_dataset

    dataset = add_dataset(folder)
    import torchvision  # noqa: F401  (the peer's clock starts after its imports too)

    from engine.runs.recipe import check_recipe, make_recipe
    from engine.runs.store import RunStore
    from engine.training.carry_out import carry_out

    config = {
        "mode": "extract", "epochs": epochs, "batch_size": BATCH, "optimizer": "sgd", "learning_rate": 0.001,
        "schedule": "constant", "weight_decay": 0.0, "warmup_epochs": 0, "augment": "none",
    }  # fmt: skip
    fields = {
        "dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "classification",
        "config": config, "backbone": "random:resnet18", "image_size": SIZE, "seed": 0,
    }  # fmt: skip
    recipe, store = check_recipe(make_recipe(fields)), RunStore()
    run = store.create(recipe)
    started, busy = time.perf_counter(), processor_seconds()
    results = carry_out(recipe, store.writer(run.id))
    seconds, busy = time.perf_counter() - started, processor_seconds() - busy
    return {"seconds": seconds, "busy": busy, "accuracy": results["splits"]["val"]["accuracy"]}


def peer(folder: Path, epochs: int) -> dict[str, float]:
    """The tutorial's loop: ImageFolder, DataLoader, frozen parameters, SGD, train and val each epoch."""
    import torch
    from torch import nn
    from torchvision import datasets, models
    from torchvision import transforms as T

    norm = T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    transforms = {
        "train": T.Compose([T.RandomResizedCrop(SIZE), T.RandomHorizontalFlip(), T.ToTensor(), norm]),
        "val": T.Compose([T.Resize(256), T.CenterCrop(SIZE), T.ToTensor(), norm]),
    }
    started = time.perf_counter()
    loaders = {
        split: torch.utils.data.DataLoader(
            datasets.ImageFolder(str(folder / split), transform), BATCH, shuffle=True, num_workers=2
        )
        for split, transform in transforms.items()
    }
    torch.manual_seed(0)
    net = models.resnet18(weights=None)
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.fc = nn.Linear(net.fc.in_features, 2)
    optimizer = torch.optim.SGD(net.fc.parameters(), lr=0.001, momentum=0.9)
    setup = time.perf_counter() - started
    started, busy, best = time.perf_counter(), processor_seconds(), 0.0
    for _ in range(epochs):
        for split, loader in loaders.items():
            net.train(split == "train")
            correct = n = 0
            for images, labels in loader:
                optimizer.zero_grad()
                with torch.set_grad_enabled(split == "train"):
                    logits = net(images)
                    loss = nn.functional.cross_entropy(logits, labels)
                if split == "train":
                    loss.backward()
                    optimizer.step()
                correct += int((logits.argmax(1) == labels).sum())
                n += len(labels)
        best = max(best, correct / n)
    each = (time.perf_counter() - started) / epochs
    del loaders
    busy = (processor_seconds() - busy) / epochs
    return {"setup": setup, "epoch": each, "busy": busy, "accuracy": best}


def child(role: str, folder: Path, epochs: int) -> dict[str, float]:
    """One side in a process of its own, with a workspace that is thrown away."""
    with tempfile.TemporaryDirectory() as workspace:
        command = [sys.executable, __file__, str(folder), "--role", role, "--epochs", str(epochs)]
        environment = {**os.environ, "REPLAB_WORKSPACE": workspace}
        if role == "peer":
            environment.pop("OMP_WAIT_POLICY", None)
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            peak = 0
            while process.poll() is None:
                peak = max(peak, tree_bytes(process.pid))
                time.sleep(0.1)
            assert process.stdout
            told = process.stdout.read().strip().splitlines()
    return {**json.loads(told[-1]), "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, help="hymenoptera_data.zip, or its unpacked folder")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--peer-epochs", type=int, default=1, help="epochs of the tutorial's loop to measure")
    parser.add_argument("--role", choices=["ours", "peer"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        side = ours if args.role == "ours" else peer
        print(json.dumps(side(args.source, args.epochs)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.source
        if folder.is_file():
            with zipfile.ZipFile(folder) as archive:  # a benchmark's own file, not a stranger's
                archive.extractall(scratch)
            folder = next(Path(scratch).rglob("train")).parent
        print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        mine = child("ours", folder, args.epochs)
        theirs = child("peer", folder, args.peer_epochs)
    total = theirs["setup"] + args.epochs * theirs["epoch"]
    print(f"load after: {os.getloadavg()[0]:.1f}")
    print(f"ours: {mine['seconds']:.1f} s for {args.epochs} epochs, peak {mine['peak'] / 2**20:.0f} MiB")
    print(
        f"tutorial's loop: {theirs['epoch']:.1f} s an epoch ({args.peer_epochs} measured), so {total:.0f} s "
        f"for {args.epochs} "
        f"(extrapolated), peak {theirs['peak'] / 2**20:.0f} MiB with its 2 loader processes"
    )
    print(f"validation accuracy from random weights: ours {mine['accuracy']:.3f}")
    print(
        f"speed ratio {total / mine['seconds']:.1f} (goal 25), "
        f"memory ratio {mine['peak'] / theirs['peak']:.2f} (goal at most 1.2), "
        f"processor time ratio {args.epochs * theirs['busy'] / mine['busy']:.1f}"
    )


if __name__ == "__main__":
    main()

"""SimCLR, MoCo and BYOL: images a second against lightly, on the same images with the same encoder.

pip install lightly==1.6.0
python benchmarks/self_supervised.py [--methods simclr moco byol] [--networks cnn-small resnet18-small]

Both learn from the same 32 px PNG files (Shapes, drawn here) in batches of 256 with the same strengths of
crop, mirror, colours and grey. The peer is lightly's documented loop: its transforms, ImageFolder and a
DataLoader with 2 workers, its heads and losses, 32 bits. Ours is a run in the usual worker. Each side's first
epoch is not counted; the two take turns, and the middle of the rounds is told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCH, SIZE, EPOCHS = 256, 32, 3
HIDDEN, OUTPUT, PREDICTOR, QUEUE = 256, 64, 128, 1024
IMAGES = {"cnn-small": 6144, "resnet18-small": 1024}
GOALS = {"cnn-small": 2.5, "resnet18-small": 2.0}
METHODS = ("simclr", "moco", "byol")
COLOURS = {
    "cj_prob": 0.8,
    "cj_bright": 0.8,
    "cj_contrast": 0.8,
    "cj_sat": 0.8,
    "cj_hue": 0.2,
}  # at strength 0.5
VIEW = {"input_size": SIZE, "min_scale": 0.2, "gaussian_blur": 0.0, "cj_strength": 0.5, **COLOURS}
OURS = {
    "crop_min": 0.2, "rotation": 0.0, "jitter": 0.8, "brightness": 0.4, "saturation": 0.4, "hue": 0.1,
    "grayscale": 0.2, "blur": 0.0, "hidden_size": HIDDEN, "output_size": OUTPUT,
}  # fmt: skip


def draw_images(folder: Path, n: int) -> None:
    """PNG files in a folder a class, as both sides read them."""
    from PIL import Image

    from engine.data.shapes import SHAPES, draw

    count = 0
    for drawing in draw(n, SIZE):
        for image, label in zip(drawing.images, drawing.labels, strict=True):
            place = folder / list(SHAPES)[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{count:05d}.png")
            count += 1


def peer(folder: Path, method: str, network: str) -> None:
    """The loop of lightly; prints images a second of each epoch but the first."""
    import copy

    import torch
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss
    from lightly.models import modules
    from lightly.models.utils import batch_shuffle, batch_unshuffle, deactivate_requires_grad, update_momentum
    from lightly.transforms import MoCoV2Transform, SimCLRTransform
    from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
    from torchvision.datasets import ImageFolder

    from engine.models.encoder import build_encoder

    encoder = build_encoder(f"random:{network}", SIZE, 0)
    parts: dict[str, Any] = {"encoder": encoder}
    if method == "byol":
        one = BYOLView1Transform(**VIEW)
        transform: Any = BYOLTransform(one, BYOLView2Transform(**VIEW, solarization_prob=0.2))
        parts["head"] = modules.BYOLProjectionHead(encoder.width, HIDDEN, OUTPUT)
        parts["predictor"] = modules.BYOLPredictionHead(OUTPUT, PREDICTOR, OUTPUT)
        loss_of: Any = NegativeCosineSimilarity()
    elif method == "moco":
        transform = MoCoV2Transform(**VIEW)
        parts["head"] = modules.MoCoProjectionHead(encoder.width, HIDDEN, OUTPUT)
        loss_of = NTXentLoss(temperature=0.1, memory_bank_size=(QUEUE, OUTPUT))
    else:
        transform = SimCLRTransform(**VIEW)
        parts["head"] = modules.SimCLRProjectionHead(encoder.width, HIDDEN, OUTPUT)
        loss_of = NTXentLoss(temperature=0.5)
    twins = {name: copy.deepcopy(parts[name]) for name in ("encoder", "head")}
    for twin in twins.values():
        deactivate_requires_grad(twin)
    optimizer = torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-3)

    def online(x: Any) -> Any:
        return parts["head"](encoder(x))

    def target(x: Any) -> Any:
        with torch.no_grad():
            return twins["head"](twins["encoder"](x))

    def loss(one: Any, two: Any) -> Any:
        if method == "simclr":
            return loss_of(online(one), online(two))
        for name, twin in twins.items():
            update_momentum(parts[name], twin, m=0.99)
        if method == "moco":
            shuffled, order = batch_shuffle(two)
            return loss_of(online(one), batch_unshuffle(target(shuffled), order))
        guess = parts["predictor"]
        sides = loss_of(guess(online(one)), target(two)), loss_of(guess(online(two)), target(one))
        return 0.5 * (sides[0] + sides[1])

    data = ImageFolder(str(folder), transform)
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=2)
    found = []
    for _ in range(EPOCHS):
        started, seen = time.perf_counter(), 0
        for (one, two), _labels in loader:
            optimizer.zero_grad()
            loss(one, two).backward()
            optimizer.step()
            seen += len(one)
        found.append(seen / (time.perf_counter() - started))
    print(json.dumps(found[1:]))


def ours(dataset: Any, method: str, network: str, seed: int) -> list[float]:
    """Images a second of each epoch but the first, as the run itself tells them."""
    from engine.runs.executors import executor
    from engine.runs.recipe import check_recipe, make_recipe
    from engine.runs.store import RunStore

    config: dict[str, Any] = {**OURS, "epochs": EPOCHS, "batch_size": BATCH}
    if method == "moco":
        config |= {"queue_size": QUEUE, "head": "mlp"}
    if method == "byol":
        config |= {"predictor_size": PREDICTOR, "second_solarise": 0.2}
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": method, "config": config}
    rest = {"backbone": f"random:{network}", "image_size": SIZE, "seed": seed}
    store = RunStore()
    run = store.create(check_recipe(make_recipe({**fields, **rest}))).id
    executor(store).submit(run)
    while store.status(run).state in ("queued", "running"):
        time.sleep(0.5)
    if store.results(run) is None:
        raise SystemExit(store.status(run).error or store.log_tail(run))
    return [row["images_per_second"] for row in store.curve(run)["epochs"]][1:]


def compare(folder: Path, network: str, methods: list[str], rounds: int) -> None:
    """Print one line a method."""
    from engine.data.intake import add_dataset

    images = folder / network
    draw_images(images, IMAGES[network])
    dataset = add_dataset(images, val_fraction=0.0)
    for method in methods:
        mine: list[float] = []
        theirs: list[float] = []
        for turn in range(rounds):
            mine += ours(dataset, method, network, turn)
            command = [sys.executable, __file__, "--peer", str(images), "--methods", method]
            command += ["--networks", network]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            theirs += json.loads(told.splitlines()[-1])
        one, two = (sorted(values)[len(values) // 2] for values in (mine, theirs))
        print(
            f"{network} {method}: ours {one:,.0f} images/s, lightly {two:,.0f}, ratio {one / two:.1f} "
            f"(goal {GOALS[network]}); epochs {[round(v) for v in mine]} and {[round(v) for v in theirs]}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--networks", nargs="+", default=list(IMAGES), choices=list(IMAGES))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(args.peer, args.methods[0], args.networks[0])
        return
    try:
        import lightly  # noqa: F401
    except ImportError:
        raise SystemExit("The peer is missing: pip install lightly==1.6.0") from None
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REPLAB_WORKSPACE"] = str(Path(folder) / "workspace")
        for network in args.networks:
            compare(Path(folder), network, args.methods, args.rounds)
    print(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""Full fine-tuning of ResNet-18 at 224 px: our loop's step against the same step in plain 32 bits.

python benchmarks/fine_tuning.py [--steps 6] [--batch 16]

Same network, same augmented batches from the same source, in turn, in one process. Ours is bfloat16 autocast
with channels_last and a fused optimiser where the machine has them; the peer is the default: 32 bits, NCHW.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import engine  # noqa: E402, F401  (before torch)

# isort: split
import numpy as np  # noqa: E402
import torch  # noqa: E402

from engine.data.augment import VIEWS, stored_size  # noqa: E402
from engine.methods import parse_config  # noqa: E402
from engine.methods.classification import Classification  # noqa: E402
from engine.methods.method import Task  # noqa: E402
from engine.models.encoder import build_encoder  # noqa: E402
from engine.training import machine  # noqa: E402
from engine.training.optim import Plan, build_optimizer  # noqa: E402
from engine.training.sources import PixelSource  # noqa: E402

SIZE = 224


class Side:
    """A network, its optimiser and how its steps are computed."""

    def __init__(self, batch: int, fast: bool) -> None:
        self.fast = fast
        config = parse_config(
            "classification", {"mode": "everything", "batch_size": batch, "optimizer": "sgd"}
        )
        task = Task(("ant", "bee"), (batch // 2,) * 2, batch, SIZE)
        self.method = Classification(build_encoder("random:resnet18", SIZE, 0), config, task)  # type: ignore[arg-type]
        if fast:
            self.method.to(memory_format=torch.channels_last)
        plan = Plan.of(config)
        self.optimizer = (
            build_optimizer(self.method, plan)
            if fast
            else torch.optim.SGD(self.method.parameters(), lr=plan.learning_rate, momentum=plan.momentum)
        )
        side = stored_size(SIZE)
        stored = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
        labels = np.arange(batch) % 2
        self.source = PixelSource(stored, np.arange(batch), labels, SIZE, (VIEWS["standard"],), batch, 0)
        self.seconds: list[float] = []

    def step(self) -> None:
        started = time.perf_counter()
        batch = next(self.source.epoch(1))
        if not self.fast:
            batch = type(batch)(tuple(v.contiguous() for v in batch.views), batch.labels, batch.index)
        self.method.train()
        self.optimizer.zero_grad()
        low = self.fast and machine.fast_bfloat16("cpu")
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = self.method.training_step(batch).loss
        loss.backward()
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    machine.prepare(torch.device("cpu"))
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    sides = [Side(args.batch, fast) for fast in (True, False)]
    for _ in range(args.steps + 1):  # the first step of each only warms up
        for side in sides:
            side.step()
    ours, peer = (args.batch / float(np.median(side.seconds[1:])) for side in sides)
    print(
        f"load after: {os.getloadavg()[0]:.1f}; bfloat16 is {'on' if machine.fast_bfloat16('cpu') else 'off'}"
    )
    print(f"ours {ours:.1f} images/s, plain 32 bits {peer:.1f} images/s, ratio {ours / peer:.2f} (goal 1.5)")


if __name__ == "__main__":
    main()

"""Carry out a probe by depth: how well classes can be read after each block, from the image to the features.

G. Alain & Y. Bengio 2016, Understanding intermediate layers using linear classifier probes,
https://arxiv.org/abs/1610.01644.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.data.augment import center, stored_size
from engine.data.dataset import open_dataset
from engine.data.pixels import pixels
from engine.data.progress import Progress
from engine.data.progress import Stopped as ReadingStopped
from engine.errors import UserError
from engine.evaluation.features import BATCH_PIXELS
from engine.evaluation.inside import Tap, block_maps, taps
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import linear_probe
from engine.fields import checked
from engine.methods.depth_probe_config import DepthProbeConfig
from engine.models.backbones import backbone_info
from engine.models.encoder import build_encoder
from engine.models.network import Encoder
from engine.runs.recipe import Recipe
from engine.runs.writer import RunWriter, Stopped
from engine.training import machine
from engine.training.probing import some_of
from engine.training.task import Split, splits_of

MOST_BYTES = 2**30  # of averaged maps held at a time
MOST_BATCH = 128
IMAGE_SIDE = 16  # the image itself is averaged to this before it is probed
IMAGE, FEATURES = "image", "features"
EVERY_FIFTH = 5


def carry_out(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    """Probe every block of the recipe's encoder on its data set; gives results.json.

    Raises:
        UserError: There is nothing to read, the encoder cannot be built, or memory would not do.
        Stopped: It was asked to stop.
    """
    try:
        return _Probing(recipe, writer).run()
    except ReadingStopped:
        raise Stopped from None


def averaged(maps: torch.Tensor, places: int) -> torch.Tensor:
    """(N, C, h, w) maps averaged down to at most `places` a side, flattened: (N, C · p · q)."""
    height, width = (min(places, side) for side in maps.shape[2:])
    return F.adaptive_avg_pool2d(maps, (height, width)).flatten(1)


def probe_parts(splits: dict[str, Split], learn: int, ask: int) -> tuple[Split, Split, str]:
    """Images to learn from, images that judge, and the split of these: test, else validation.

    Without either every fifth training image judges and is not learned from.
    """
    train = splits["train"]
    for name in ("test", "val"):
        if len(splits[name].index):
            return some_of(train, learn), some_of(splits[name], ask), name
    judges = np.arange(len(train.index)) % EVERY_FIFTH == 0
    mine, others = (Split(train.index[rows], train.labels[rows]) for rows in (~judges, judges))
    return some_of(mine, learn), some_of(others, ask), "train"


class _Probing:
    """State of one probe by depth."""

    def __init__(self, recipe: Recipe, writer: RunWriter) -> None:
        self.recipe, self.writer = recipe, writer
        self.started = time.monotonic()
        self.config = checked(DepthProbeConfig, recipe.config)
        self.dataset = open_dataset(recipe.dataset)
        splits = splits_of(recipe, self.dataset)
        self.learn, self.ask, self.split = probe_parts(splits, self.config.learn, self.config.ask)
        self.of = {"learn": len(splits["train"].index), "ask": len(splits[self.split].index)}
        if not recipe.backbone:
            raise UserError("A probe by depth needs an encoder: name one, such as random:cnn-small.")
        self.name = recipe.backbone
        self.device = machine.choose_device()
        machine.prepare(self.device)

    def run(self) -> dict[str, Any]:
        self.writer.metric({"kind": "start", "epoch": 0, "attempt": self.writer.attempt, "time": time.time()})
        encoder = self._built(self.name)
        self.images = self._read()
        names = {"own": encoder}
        if self.config.twin and encoder.provenance != "random":
            names["twin"] = self._built(f"random:{encoder.arch}")
        rows = {which: list(self._probed(which, one)) for which, one in names.items()}
        labels = self.ask.labels
        results = {
            "depth": rows["own"],
            "twin": rows.get("twin", []),
            "encoder": self.name,
            "arch": encoder.arch,
            "probe": self.config.kind,
            "places": self.config.places,
            "learned": len(self.learn.index),
            "learned_of": self.of["learn"],
            "asked": len(labels),
            "asked_of": self.of["ask"],
            "split": self.split,
            "majority": float(np.bincount(labels).max() / len(labels)),
            "random_weights": encoder.provenance == "random",
            "image_size": self.recipe.image_size,
            "seconds": time.monotonic() - self.started,
        }
        self.writer.results(results)
        return results

    def _built(self, name: str) -> Encoder:
        return build_encoder(name, self.recipe.image_size, self.recipe.seed).to(self.device).eval()

    def _read(self) -> np.ndarray:
        def tell(progress: Progress) -> None:
            self.writer.progress(phase="reading images", step=progress.done, steps=progress.total)

        side = stored_size(self.recipe.image_size)
        return pixels(self.dataset, side, progress=tell, stop=self.writer.stop_requested)

    def _probed(self, which: str, encoder: Encoder) -> Iterator[dict[str, Any]]:
        """A row a block, told as soon as it is known."""
        title = backbone_info(encoder.arch).title + (" with random weights" if which == "twin" else "")
        places = taps(encoder)
        self._refuse_large(places)
        learn = self._averages(encoder, places, self.learn, f"passing images through {title}")
        ask = self._averages(encoder, places, self.ask, f"passing other images through {title}")
        shown = {tap.block: tap for tap in places}
        for number, block in enumerate(learn):
            self.writer.progress(phase=f"probing {title}", step=number, steps=len(learn))
            if self.writer.stop_requested():
                raise Stopped
            row = {"block": block, **_shape(shown.get(block)), "width": learn[block].shape[1]}
            row |= self._measured(learn[block], ask[block])
            self.writer.metric({"kind": "depth", "of": which, "step": number, **row})
            yield row

    def _refuse_large(self, places: tuple[Tap, ...]) -> None:
        side = self.config.places
        numbers = sum(tap.channels * min(side, tap.height) * min(side, tap.width) for tap in places)
        if 4 * numbers * (len(self.learn.index) + len(self.ask.index)) > MOST_BYTES:
            raise UserError(
                "The averaged maps of so many images do not fit in memory: learn from fewer images, or keep "
                "fewer places."
            )

    def _averages(
        self, encoder: Encoder, places: tuple[Tap, ...], split: Split, phase: str
    ) -> dict[str, np.ndarray]:
        """(n, d) of the image itself, after each block, and of the features."""
        found: dict[str, list[np.ndarray]] = {}
        size = self.recipe.image_size
        batch = max(1, min(MOST_BATCH, BATCH_PIXELS // size**2))
        for start in range(0, len(split.index), batch):
            self.writer.progress(phase=phase, step=start, steps=len(split.index))
            if self.writer.stop_requested():
                raise Stopped
            some = np.ascontiguousarray(self.images[split.index[start : start + batch]])
            images = center(torch.from_numpy(some).to(self.device), size)
            maps, features = block_maps(encoder, places, images)
            found.setdefault(IMAGE, []).append(averaged(images, IMAGE_SIDE).cpu().numpy())
            for tap, one in zip(places, maps, strict=True):
                found.setdefault(tap.block, []).append(averaged(one, self.config.places).cpu().numpy())
            found.setdefault(FEATURES, []).append(features.cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _measured(self, x: np.ndarray, other: np.ndarray) -> dict[str, Any]:
        classes, y, truth = len(self.dataset.classes), self.learn.labels, self.ask.labels
        if self.config.kind == "knn":
            found = asdict(knn_accuracy(x, y, other, truth, classes))
        else:
            seed, stop = self.recipe.seed, self.writer.stop_requested
            found = asdict(linear_probe(x, y, other, truth, classes, seed=seed, stop=stop))
        return {name: found[name] for name in ("accuracy", "low", "high", "n", "correct")}


def _shape(tap: Tap | None) -> dict[str, Any]:
    """Channels and places of a block; nothing for the image and the features."""
    return {} if tap is None else {"channels": tap.channels, "height": tap.height, "side": tap.width}

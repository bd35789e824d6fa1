"""Map runs without the mapping: a few images of known colours at known places."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.writer import DatasetWriter
from engine.evaluation.map_result import LatentMap, read_map
from engine.methods.latent_map_config import only
from engine.runs import layout
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter

NAMES = ["cat", "dog", "owl"]
HOSTILE = ["</script><img src=x onerror=alert(1)>", '"><b>bold</b>&amp;', "tab\there\nline\x00\u202eend"]
METHODS = ("pca", "isomap")


def colour(i: int) -> tuple[int, int, int]:
    """Of image i; far from those of the next images."""
    return (37 * i % 200 + 28, 91 * i % 200 + 28, 53 * i % 200 + 28)


def coloured_set(n: int = 24, classes: Sequence[str] = NAMES, side: int = 32) -> Dataset:
    """n images of one colour each, the classes in turn, every fourth for validation."""
    labels = np.arange(n) % len(classes) if classes else np.full(n, -1)
    with DatasetWriter("Colours") as writer:
        for i in range(n):
            file = io.BytesIO()
            Image.new("RGB", (side, side), colour(i)).save(file, "PNG")
            name = classes[labels[i]] if classes else "plain"
            writer.add(file.getvalue(), f"{name}-{i}.png")
        splits = (np.arange(n) % 4 == 3).astype(np.uint8)
        return writer.finish(classes=list(classes), labels=labels, splits=splits)


def places(method: str, n: int, dimensions: int = 2) -> np.ndarray:
    """(n, dimensions) float32, no two of them near."""
    step = np.arange(n)
    grid = np.stack([step % 6, step // 6, step % 5], axis=1)[:, :dimensions].astype(np.float32)
    return grid if method == METHODS[0] else grid[::-1] * np.float32(3) + np.float32(0.5)


def map_recipe(dataset: Dataset, methods: Sequence[str] = METHODS, dimensions: int = 2) -> Recipe:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "latent_map"}
    config: dict[str, Any] = {**only(list(methods)), "dimensions": dimensions, "neighbours": 3}
    rest = {"config": config, "backbone": "pixels", "image_size": 8, "seed": 7}
    return check_recipe(make_recipe({**fields, **rest}))


def map_run(dataset: Dataset, methods: Sequence[str] = METHODS, dimensions: int = 2, failed: str = "") -> str:
    """The id of a map run that is done, its points the images of the set in an order of their own."""
    run = RunStore().create(map_recipe(dataset, methods, dimensions))
    writer, n = RunWriter(run.folder), len(dataset)
    index = np.random.default_rng(3).permutation(n)
    near = (np.arange(n)[:, None] + np.arange(1, 4)) % n
    writer.map_part(
        layout.MAP_POINTS,
        index=index,
        split=dataset.split_codes[index],
        label=dataset.labels[index],
    )
    writer.map_part(layout.MAP_NEIGHBOURS, index=near.astype(np.int32), distance=np.ones((n, 3), np.float32))
    writer.map_part(layout.MAP_CLUSTERS, label=(np.arange(n, dtype=np.int32) % 2) - (np.arange(n) == 0))
    quality = {"trustworthiness": 0.917, "hit": 0.25, "k": 3}
    for name in methods:
        row = {"kind": "map", "method": name, "error": None, "seconds": 0.5, "quality": quality}
        if name == failed:
            row |= {"error": "Too few <points>.", "quality": {}}
        else:
            kept = np.full(n, 2, np.uint8)
            writer.map_part(name, positions=places(name, n, dimensions), kept=kept)
        writer.metric(row)
    writer.close()
    layout.write_status(run.folder, state="done", finished=time.time())
    return run.id


def map_of(run: str) -> LatentMap:
    found = read_map(run)
    assert found is not None
    return found


def told(page: str) -> dict[str, Any]:
    """The data in a web page's JSON block."""
    return dict(json.loads(page.split('<script type="application/json" id="data">')[1].split("</script>")[0]))

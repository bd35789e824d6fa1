"""A workspace with one of each thing that a page or a route can be asked for, all under hostile names."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.vectors import add_vectors
from engine.data.writer import DatasetWriter
from engine.evaluation.selections import save_selection
from engine.export import make_worker, making, packing
from engine.runs.store import RunStore
from engine.settings import settings
from engine.training import study

LONG = 240
NAMES = [
    "<img src=x onerror=alert(1)><script>alert(2)</script>",
    '=HYPERLINK("http://evil.example/","a") **b** [l](http://evil.example) ![i](http://evil.example/i.png)',
    "+1|cmd $x^2$ :smile: :material/home: :red[red] `c` <svg onload=alert(3)>",
    "-2 {{7*7}} www.evil.example javascript:alert(4) \"'></script><a href=//evil.example>a</a>",
    "@SUM(1) é ü 日本 \u202egnp.exe\u2028next\x1b[2J",
    "W" * LONG,
]
EVIL = ("evil.example", "onerror=alert", "<script>alert", "<svg onload")


@dataclass(frozen=True)
class Everything:
    """Ids.

    Attributes:
        workspace: Where all of it is.
        dataset: Whose classes, images and name are hostile.
        runs: By kind, finished.
        vectors: Of the set's images.
        pack: Key of a zip of two of the runs with their set.
    """

    workspace: Path
    dataset: Dataset
    runs: dict[str, str]
    vectors: str
    pack: str


def hostile_set(per_class: int = 8, side: int = 32) -> Dataset:
    """Images of one colour a class, in all three splits."""
    random = np.random.default_rng(0)
    labels, splits = [], []
    with DatasetWriter(f"{NAMES[0]} {NAMES[1]}") as writer:
        for label, name in enumerate(NAMES):
            for k in range(per_class):
                pixels = np.full((side, side, 3), 40 + 30 * label) + random.integers(0, 40, (side, side, 3))
                file = io.BytesIO()
                Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
                writer.add(file.getvalue(), f"{name}/{NAMES[(label + k) % len(NAMES)]}")
                labels.append(label)
                splits.append((0, 0, 0, 1, 2, 0, 1, 2)[k % 8])
        return writer.finish(classes=list(NAMES), labels=np.array(labels), splits=np.array(splits, np.uint8))


def hostile_vectors(dataset: Dataset, folder: Path) -> str:
    path = folder / "v.npy"
    np.save(path, np.random.default_rng(1).normal(size=(len(dataset), 5)).astype(np.float32))
    return add_vectors(path, dataset.id, name=NAMES[0])


def build(folder: Path) -> Everything:
    """Make all of it; a dozen seconds. The workspace must be set."""
    from tests.export.map_runs import map_run
    from tests.export.taken_runs import classified
    from tests.pages.coded import code_run
    from tests.pages.learned import learned_run
    from tests.pages.test_compare_page import QUICK, comparison
    from tests.pages.test_latent_maps_page import map_of

    settings().uploads.mkdir(parents=True, exist_ok=True)
    settings().tmp.mkdir(parents=True, exist_ok=True)
    dataset = hostile_set()
    runs = {
        "classification": classified(dataset),
        "autoencoder": code_run(dataset),
        "simclr": learned_run(dataset, epochs=1),
        "map": map_run(dataset),
        "drawn map": map_of(dataset, "pca", points=40),
    }
    runs["comparison"] = comparison(dataset, f"run:{runs['classification']}", linear=False, **QUICK)
    for (kind, run), name in zip(runs.items(), NAMES, strict=False):
        RunStore().rename(run, f"{name} {kind}"[:LONG])
    save_selection(runs["map"], NAMES[0][:60], list(range(6)))
    vectors = hostile_vectors(dataset, folder)
    packed = [runs["classification"], runs["map"]]
    packing.start(packed, with_data=True)
    return Everything(settings().workspace, dataset, runs, vectors, packing.key_of(packed, with_data=True))


def make_here(module: str, folder: Path, **more: object) -> None:
    """In place of a process of its own for a file to take home."""
    assert module == "engine.export.make_worker"
    assert make_worker.main([folder.name]) == 0


@contextmanager
def everything(folder: Path) -> Iterator[Everything]:
    """All of it in a workspace of its own below `folder`, for as long as this is open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLAB_WORKSPACE", str(folder / "workspace"))
        patch.setenv("REPLAB_EXECUTOR", "inline")
        patch.setenv("REPLAB_DEVICE", "cpu")
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        patch.setenv("REPLAB_THREADS", "1")  # two threads of tiny sums only wait for one another
        patch.setattr(study, "DRAWS", 1)
        patch.setattr(making, "start_detached", make_here)
        yield build(folder)

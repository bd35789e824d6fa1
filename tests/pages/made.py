"""Made-up data sets and finished runs for the page tests: small, seeded, no training."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset
from engine.data.writer import DatasetWriter
from engine.evaluation.report import classification_results
from engine.methods import parse_config
from engine.models.heads import describe_network
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import VERSION, Recipe
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from engine.settings import PROJECT_ROOT, settings

HOSTILE = [
    "<b>bold</b><img src=x onerror=alert(1)>",
    "**star** _under_ `code` [link](http://evil.example) ![i](http://evil.example/x.png)",
    r"$\frac{1}{2}$ \href{javascript:alert(1)}{x} :smile: :material/home: :red[red]",
    "# heading ~~gone~~ 🐝 www.evil.example",
]


def make_dataset(
    classes: Sequence[str] = ("blue", "red"), per_class: tuple[int, int, int] = (8, 4, 0), name: str = "Tiny"
) -> Dataset:
    """Images of one colour a class, 32 px; `per_class` says how many for train, val and test."""
    random = np.random.default_rng(0)
    labels: list[int] = []
    splits: list[int] = []
    with DatasetWriter(name) as writer:
        for split, count in enumerate(per_class):
            for label in range(len(classes)):
                for k in range(count):
                    base = np.full((32, 32, 3), 60 + 150 * (np.arange(3) == label % 3), np.float32)
                    pixels = (base + random.normal(0, 12, base.shape)).clip(0, 255).astype(np.uint8)
                    file = io.BytesIO()
                    Image.fromarray(pixels).save(file, "PNG")
                    writer.add(file.getvalue(), f"{classes[label]}/{split}-{k}.png")
                    labels.append(label)
                    splits.append(split)
        return writer.finish(
            classes=list(classes), labels=np.array(labels), splits=np.array(splits, np.uint8)
        )


def make_unlabelled(n: int) -> Dataset:
    """Images without classes, all for training."""
    source = make_dataset(("x",), (n, 0, 0))
    with DatasetWriter("Plain") as writer:
        for i in range(n):
            writer.add(source.raw_bytes(i), f"{i}.png")
        return writer.finish(classes=[], labels=np.full(n, -1), splits=np.zeros(n, np.uint8))


def make_recipe(dataset: Dataset, seed: int = 0, **config: Any) -> Recipe:
    parsed = parse_config("classification", {"epochs": 3, **config})
    return Recipe(
        version=VERSION,
        dataset=dataset.id,
        fingerprint=dataset.fingerprint,
        method="classification",
        config=parsed.model_dump(mode="json"),
        backbone="random:cnn-small",
        image_size=32,
        seed=seed,
    )


def pretend(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    """What a training writes, without one: one image of the last class is always mistaken."""
    from engine.data.dataset import open_dataset

    dataset = open_dataset(recipe.dataset)
    count = len(dataset.classes)
    probabilities = np.full((len(dataset), count), 0.1 / max(1, count - 1), np.float32)
    probabilities[np.arange(len(dataset)), dataset.labels] = 0.9
    wrong = dataset.indices("val")[-1]
    probabilities[wrong] = np.roll(probabilities[wrong], 1)
    writer.metric({"kind": "start", "epoch": 0, "attempt": 1, "time": time.time()})
    val = dataset.indices("val")
    for epoch in range(1, int(recipe.config["epochs"]) + 1):  # type: ignore[arg-type]
        writer.metric({"kind": "step", "epoch": epoch, "step": 1, "steps": 1, "loss": 1 / epoch, "lr": 0.1})
        accuracy = {"train_accuracy": 0.5, "val_accuracy": 0.9 - 0.1 / epoch}
        losses = {"train_loss": 1 / epoch, "val_loss": 1.1 / epoch}
        writer.metric({"kind": "epoch", "epoch": epoch, **losses, **accuracy, "kept": True})
        writer.frame(epoch, {"index": val, "label": dataset.labels[val], "probabilities": probabilities[val]})
    splits = {name: dataset.indices(name) for name in ("train", "val", "test")}
    index = np.concatenate(list(splits.values()))
    writer.predictions(
        index=index,
        split=dataset.split_codes[index],
        label=dataset.labels[index],
        probabilities=probabilities[index],
    )
    described = describe_network("cnn-small", count, "everything", 32)
    pairs = {name: (dataset.labels[i], probabilities[i]) for name, i in splits.items()}
    results = {
        **classification_results(dataset.classes, pairs),
        "kept_epoch": int(recipe.config["epochs"]),  # type: ignore[arg-type]
        "rule": "highest validation accuracy",
        "chosen_on": "val",
        "random_weights": True,
        "mode": "everything",
        **described,
    }
    writer.environment({"device": "cpu", "torch": "made up"})
    writer.results(results)
    return results


def make_run(dataset: Dataset, name: str | None = None, seed: int = 0, **config: Any) -> str:
    """A finished run; its numbers are made up."""
    store = RunStore()
    run = store.create(make_recipe(dataset, seed, **config), name).id
    InlineExecutor(store, pretend).submit(run)
    assert store.get(run).state == "done", store.log_tail(run)
    return run


def open_page(page: str, **query: str) -> AppTest:
    """A page through the shell, run once."""
    app = AppTest.from_file(PROJECT_ROOT / "pages" / "components" / "shell.py", default_timeout=60)
    settings().workspace.mkdir(parents=True, exist_ok=True)
    app.run()  # the shell has to run once before it knows its pages
    app.switch_page(f"../{page}.py")
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    return fine(app)


def fine(app: AppTest) -> AppTest:
    assert not app.exception, [error.message for error in app.exception]
    assert not any("Something went wrong" in error.value for error in app.error)
    return app


def words(app: AppTest) -> str:
    """All that Markdown-like elements show, in one text."""
    kinds = ("markdown", "caption", "info", "warning", "error", "success", "title", "subheader", "text")
    return "\n".join(str(element.value) for kind in kinds for element in getattr(app, kind))

"""Made-up maps for the browser: solid-coloured images, class names that are markup, panels in every state."""

from __future__ import annotations

import colorsys
import io

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.writer import DatasetWriter
from pages.components.map_pack import NO_CLASS, ColourField, Panel, pack
from pages.components.sprites import pictures_of

IMAGES = 240
CLASSES = ["cat", "dog", "<img src=x onerror=alert(1)>", "owl"]
TITLES = ["PCA", "t-SNE", "UMAP", "Isomap", "LLE", "Kernel PCA"]
LINES = ["You see the two directions of most spread.", "Do not conclude that distant groups differ most."]
FIGURES = [
    ("trustworthiness", ".97 ±.01", "Share of true neighbours, 0 to 1"),
    ("time", "1.2 s", "On this machine"),
]


def colour(image: int) -> tuple[int, int, int]:
    """The one colour of an image; no two neighbours are alike."""
    red, green, blue = colorsys.hsv_to_rgb((image * 0.381966) % 1, 0.5 + 0.5 * (image % 3) / 2, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def labels(n: int) -> np.ndarray:
    return (np.arange(n) % IMAGES % len(CLASSES)).astype(np.uint16)


def positions(panel: int, n: int, dim: int = 2) -> np.ndarray:
    """(n, dim) float32: one cloud a class, elsewhere in every panel."""
    random = np.random.default_rng(panel)
    centres = random.normal(0, 6, (len(CLASSES), dim))
    return (centres[labels(n)] + random.normal(0, 1.3, (n, dim))).astype(np.float32)


def make_images() -> Dataset:
    with DatasetWriter("Colours") as writer:
        for image in range(IMAGES):
            file = io.BytesIO()
            Image.new("RGB", (28, 28), colour(image)).save(file, "PNG")
            writer.add(file.getvalue(), f"{CLASSES[image % 4]}/colour-{image:03d}.png")
        return writer.finish(
            classes=CLASSES, labels=labels(IMAGES).astype(np.int64), splits=np.zeros(IMAGES, np.uint8)
        )


def panels(step: str, n: int) -> list[Panel]:
    """`early`: one of three is done; `late`: three are; `six`: all are; `deep`: one has three axes;
    `plain`: one, of images without labels."""

    def done(k: int, dim: int = 2) -> Panel:
        return Panel(TITLES[k], positions(k, n, dim), "done", "", LINES, FIGURES)

    if step == "early":
        working = Panel(TITLES[1], None, "working", "iteration 120 of 750, about 20 s left")
        return [done(0), working, Panel(TITLES[2], None, "waiting", "after t-SNE")]
    if step == "late":
        failed = Panel(
            TITLES[3], None, "failed", "Isomap needs one connected graph: raise the neighbours to 15."
        )
        return [done(0), done(1), done(2), failed]
    if step == "deep":
        return [done(0), done(1, 3)]
    return [done(k) for k in range(6 if step == "six" else 1)]


def packed(dataset: Dataset, step: str, n: int) -> bytes:
    """A pack of `n` points; point i shows image i modulo IMAGES."""
    index = np.arange(n) % IMAGES
    some = labels(n)
    many = (np.arange(n) % 23).astype(np.uint16)
    many[::50] = NO_CLASS
    loss = np.linspace(0, 3, n, dtype=np.float32)
    fields = [
        ColourField("class", "class", some, CLASSES),
        ColourField("cluster", "class", many, [f"cluster {k}" for k in range(23)]),
        ColourField("loss", "number", loss, unit="nats"),
    ]
    labelled = fields[0]
    if step == "plain":  # a classifier's answers, and no labels to hold against them
        fields[0] = ColourField("prediction", "class", some, CLASSES)
    names = [f"colour-{i % IMAGES:03d}-{i}.png" for i in range(n)]
    pictures = pictures_of(dataset, index)
    return pack(panels(step, n), fields, names, pictures, n, None if step == "plain" else labelled)

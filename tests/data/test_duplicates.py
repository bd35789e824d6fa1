"""Duplicates are found, told apart from look-alikes, and flagged where they do harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.duplicates import exact_duplicates, near_duplicates
from engine.data.intake import add_dataset


def textured(seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(draws).resize((64, 64), Image.Resampling.BICUBIC))


def a_set(folder: Path, pictures: dict[str, np.ndarray]) -> Dataset:
    for name, pixels in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return add_dataset(folder)


def test_equal_pixels_are_found_across_splits_and_classes(workspace: Path, tmp_path: Path) -> None:
    one, two = textured(1), textured(2)
    dataset = a_set(
        tmp_path / "set",
        {
            "train/ant/a.png": one,
            "val/ant/again.png": one,
            "train/bee/b.png": two,
            "train/ant/wrong.png": two,
            "train/bee/c.png": textured(3),
        },
    )
    groups = exact_duplicates(dataset)
    found = {frozenset(dataset.names[i] for i in group.indices): group for group in groups}
    across_splits = found[frozenset({"train/ant/a.png", "val/ant/again.png"})]
    across_classes = found[frozenset({"train/bee/b.png", "train/ant/wrong.png"})]
    assert (across_splits.splits, across_splits.classes) == (True, False)
    assert (across_classes.splits, across_classes.classes) == (False, True)
    assert len(groups) == 2


def test_a_burst_is_near_but_not_exact(workspace: Path, tmp_path: Path) -> None:
    frame = textured(5)
    later = np.clip(frame.astype(int) + 2, 0, 255).astype(np.uint8)
    pictures = {"ant/f1.png": frame, "bee/f2.png": later}
    pictures |= {f"ant/{i}.png": textured(10 + i) for i in range(5)}
    dataset = a_set(tmp_path / "set", pictures | {f"bee/{i}.png": textured(30 + i) for i in range(5)})
    assert exact_duplicates(dataset) == []
    (group,) = near_duplicates(dataset)
    assert {dataset.names[i] for i in group.indices} == {"ant/f1.png", "bee/f2.png"}
    assert group.classes


def test_plain_images_do_not_count_as_alike(workspace: Path, tmp_path: Path) -> None:
    pictures = {f"{'ab'[i % 2]}/{i}.png": np.full((20, 20, 3), 100 + i, np.uint8) for i in range(6)}
    assert near_duplicates(a_set(tmp_path / "set", pictures)) == []

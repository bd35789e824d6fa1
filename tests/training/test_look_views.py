"""Views before training, and a finished run looked at: crops where they say, neighbours by brute force."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from engine.data.dataset import Dataset, open_dataset
from engine.data.intake import add_dataset
from engine.errors import UserError
from engine.runs.recipe import Recipe, make_recipe
from engine.runs.store import RunStore
from engine.training.carry_out import carry_out
from engine.training.look_views import (
    SPACES,
    embedded_views,
    first_of,
    neighbours,
    self_supervised,
    view_pairs,
)

SIZE, N = 16, 22


def recipe(data: Dataset, method: str = "byol", **config: Any) -> Recipe:
    fields = {
        "dataset": data.id, "fingerprint": data.fingerprint, "method": method, "image_size": SIZE, "seed": 0,
        "backbone": "random:cnn-small", "config": config,
    }  # fmt: skip
    return make_recipe(fields)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Dataset]]:
    """A finished run without labels, in a workspace that all tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        root: Path = tmp_path_factory.mktemp("looked-at")
        for name, value in (("WORKSPACE", root / "w"), ("EXECUTOR", "inline"), ("DEVICE", "cpu")):
            patch.setenv(f"REPLAB_{name}", str(value))
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        patch.setenv("REPLAB_THREADS", "1")
        for split, n in (("train", 16), ("val", 6)):
            (root / "set" / split).mkdir(parents=True)
            for i in range(n):
                pixels = np.random.default_rng(100 * n + i).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG")
                (root / "set" / split / f"{i}.png").write_bytes(file.getvalue())
        data, store = add_dataset(root / "set"), RunStore()
        wanted = recipe(data, epochs=1, batch_size=8, output_size=16, second_solarise=1.0)
        handle = store.create(wanted)
        carry_out(wanted, store.writer(handle.id))
        yield handle.id, data


def stored(data: Dataset) -> np.ndarray:
    return np.stack([np.asarray(data.image(i).convert("RGB")) for i in range(len(data))])


def test_a_preview_shows_the_plain_images_and_two_views_of_each(finished: tuple[str, Dataset]) -> None:
    data, index = finished[1], np.array([3, 0, 7])
    shown = view_pairs(recipe(data), data, index)
    assert np.array_equal(shown.plain, stored(data)[index])
    assert shown.views.shape == (3, 2, SIZE, SIZE, 3) and shown.views.dtype == np.uint8
    assert not np.array_equal(shown.views[:, 0], shown.views[:, 1])
    again, other = view_pairs(recipe(data), data, index), view_pairs(recipe(data), data, index, seed=1)
    assert np.array_equal(shown.views, again.views) and not np.array_equal(shown.views, other.views)


def test_the_boxes_are_the_crops_that_were_cut(finished: tuple[str, Dataset]) -> None:
    data, index = finished[1], np.arange(20)
    crops_only = {"flip": 0.0, "jitter": 0.0, "grayscale": 0.0, "second_solarise": 0.0, "crop_min": 0.3}
    shown = view_pairs(recipe(data, **crops_only), data, index)
    whole = stored(data)
    assert shown.boxes.shape == (20, 2, 4)
    for i in index:
        for v in range(2):
            top, left, height, width = (shown.boxes[i, v] * SIZE).round().astype(int)
            picture = Image.fromarray(whole[i]).crop((left, top, left + width, top + height))
            expected = np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)
            assert np.abs(shown.views[i, v].astype(int) - expected).max() <= 2
    areas = shown.boxes[..., 2] * shown.boxes[..., 3]
    assert 0.2 < areas.min() < areas.max() <= 1 and len(np.unique(shown.boxes[:, 0], axis=0)) > 15


def test_without_cropping_the_box_is_the_whole_image(finished: tuple[str, Dataset]) -> None:
    data = finished[1]
    still = {"crop_min": 1.0, "flip": 0.0, "jitter": 0.0, "grayscale": 0.0, "second_solarise": 1.0}
    shown = view_pairs(recipe(data, **still), data, np.array([2]))
    assert shown.boxes.tolist() == [[[0, 0, 1, 1]] * 2]
    assert np.array_equal(shown.views[:, 0], shown.plain), "the first view is not solarised"
    bright = shown.plain >= 128
    assert np.array_equal(shown.views[:, 1], np.where(bright, 255 - shown.plain, shown.plain))


def test_a_method_of_one_view_shows_one_and_others_none(finished: tuple[str, Dataset]) -> None:
    data = finished[1]
    alone = view_pairs(recipe(data, "instance_discrimination"), data, np.array([0, 1]))
    assert alone.views.shape[1] == alone.boxes.shape[1] == 1
    with pytest.raises(UserError, match=r"^This method draws no pairs of views[^\n]*\.$"):
        view_pairs(recipe(data, "autoencoder"), data, np.array([0]))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("space", SPACES)
def test_neighbours_are_those_of_brute_force(space: str, metric: Any, finished: tuple[str, Dataset]) -> None:
    run, data = finished
    kept = RunStore().predictions(run)
    assert kept is not None
    if space == "pixels":
        x = stored(data)[kept["index"]].transpose(0, 3, 1, 2).reshape(N, -1) / 255
    else:
        x = kept[space].astype(np.float64)
    if metric == "cosine":
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        apart = 1 - unit @ unit.T
    else:
        apart = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
    np.fill_diagonal(apart, np.inf)
    for row in (0, 9, N - 1):
        found = neighbours(run, int(kept["index"][row]), space, 5, metric)
        assert [one.distance for one in found] == pytest.approx(np.sort(apart[row])[:5], rel=1e-2, abs=2e-6)
        place = {int(index): i for i, index in enumerate(kept["index"])}
        told = [apart[row, place[one.index]] for one in found]
        assert told == pytest.approx([one.distance for one in found], rel=1e-2, abs=2e-6)
    assert len(neighbours(run, 0, space, 500, metric)) == N - 1, "all others at most"


def test_what_has_no_neighbours_is_a_sentence(finished: tuple[str, Dataset]) -> None:
    run, data = finished
    unfinished = RunStore().create(recipe(data)).id
    for call, words in (
        (lambda: neighbours(run, 9999, "feature"), "not among those"),
        (lambda: neighbours(run, 0, "colour"), "no space 'colour'; choose one of: feature"),
        (lambda: neighbours(unfinished, 0, "feature"), "has kept no features"),
        (lambda: embedded_views(unfinished, 4, 0), "has kept no network"),
    ):
        with pytest.raises(UserError, match=words) as error:
            call()
        assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_embedded_views_are_the_networks_own_and_pair_up(finished: tuple[str, Dataset]) -> None:
    run, data = finished
    z, index, views = embedded_views(run, 6, 3)
    assert z.shape == (12, 16) and views.shape == (12, SIZE, SIZE, 3)
    assert len(set(index.tolist())) == 6 and set(index) <= set(range(len(data)))
    method = self_supervised(run)
    images = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = method.project(images)
    # pictures are rounded to bytes
    assert float(F.cosine_similarity(expected, torch.from_numpy(z)).min()) > 0.999
    again, other = embedded_views(run, 6, 3), embedded_views(run, 6, 4)
    assert np.array_equal(again[2], views) and not np.array_equal(other[2], views)
    assert len(embedded_views(run, 500, 0)[1]) == N
    assert len(open_dataset(data.id)) == N


def test_a_first_choice_of_images_is_held_out(finished: tuple[str, Dataset]) -> None:
    run, data = finished
    chosen = first_of(run, 4)
    assert len(chosen) == 4 and set(chosen) <= set(np.asarray(data.indices("val")))

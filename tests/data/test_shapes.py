"""Shapes: the seed decides everything, the factors are what is drawn, and the classes are hard for pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from engine.data.catalog import CATALOG
from engine.data.drawn_sets import SHAPES_IMAGES, build_shapes
from engine.data.shapes import SHAPES, STYLES, Drawing, draw
from engine.data.texture import TEXTURES

N = 500
KNOWN = "904418df67fd2c8b"  # of the first twenty hues of seed 1


def drawn(size: int = 32, style: str = "drawn", seed: int = 0, n: int = N, stream: int = 0) -> Drawing:
    parts = list(draw(n, size, style, seed, stream))
    names = parts[0].factors
    return Drawing(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        {name: np.concatenate([part.factors[name] for part in parts]) for name in names},
    )


def near(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def shape_mask(size: int, style: str = "drawn") -> tuple[np.ndarray, Drawing]:
    """Where the shape is, told by the picture alone: the pixels that stand out from the border's brightness.

    Only images of strong contrast and little noise can be told apart so simply; the others are left out.
    """
    drawing = drawn(size, style)
    factors = drawing.factors
    clear = (np.abs(factors["contrast"]) > 0.4) & (factors["noise"] < 0.04) & (factors["light"] < 0.2)
    images = drawing.images[clear] / 255.0
    luma = images @ np.array([0.299, 0.587, 0.114])
    border = np.concatenate([luma[:, 0], luma[:, -1], luma[:, :, 0], luma[:, :, -1]], axis=1)
    away = np.abs(luma - np.median(border, axis=1)[:, None, None])
    kept = Drawing(images, drawing.labels[clear], {name: v[clear] for name, v in factors.items()})
    return away > 0.25, kept


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [32, 64])
def test_the_seed_decides_everything(size: int, style: str) -> None:
    one, again, other = (drawn(size, style, seed, 20) for seed in (5, 5, 6))
    assert one.images.shape == (20, size, size, 3) and one.images.dtype == np.uint8
    assert np.array_equal(one.images, again.images)
    assert not (one.images == other.images).all(axis=(1, 2, 3)).any()
    for name, values in one.factors.items():
        assert np.array_equal(values, again.factors[name])
        assert not np.array_equal(values, other.factors[name])


def test_the_random_numbers_are_the_same_on_every_machine() -> None:
    """Factors come from raw bits: their digest may never change, or sets of one name would differ."""
    hues = drawn(n=20, seed=1).factors["hue"]
    assert hashlib.sha256(np.round(hues * 1e6).astype("<i8").tobytes()).hexdigest()[:16] == KNOWN


def test_streams_of_one_seed_share_no_image() -> None:
    train, val = ({image.tobytes() for image in drawn(stream=stream).images} for stream in (0, 1))
    assert len(train) == len(val) == N and not train & val


def test_classes_are_equally_frequent_and_in_alphabetical_order() -> None:
    assert 8 <= len(SHAPES) <= 10 and list(SHAPES) == sorted(SHAPES)
    assert np.bincount(drawn().labels).tolist() == [N // len(SHAPES)] * len(SHAPES)


def test_both_styles_have_the_same_classes_and_ranges_of_factors() -> None:
    plain, photo = drawn(style="drawn"), drawn(style="photo")
    assert np.array_equal(plain.labels, photo.labels) and plain.factors.keys() == photo.factors.keys()
    for name, values in plain.factors.items():
        if name == "texture":
            assert set(values) == set(photo.factors[name]) == set(TEXTURES)
        else:
            spread = np.ptp(values)
            assert abs(values.min() - photo.factors[name].min()) < 0.1 * spread
            assert abs(values.max() - photo.factors[name].max()) < 0.1 * spread
    assert not (plain.images == photo.images).all(axis=(1, 2, 3)).any()


def test_factors_tell_nothing_about_the_class() -> None:
    """One-way analysis of variance for each; one of eleven falls below by chance in half a percent."""
    from scipy import stats

    factors = drawn(n=3000).factors
    labels = np.arange(3000) % len(SHAPES)
    for name, values in factors.items():
        numbers = np.searchsorted(np.array(sorted(TEXTURES)), values) if name == "texture" else values
        groups = [numbers[labels == code] for code in range(len(SHAPES))]
        assert stats.f_oneway(*groups).pvalue > 0.0005, name


def test_position_and_scale_are_where_and_how_large_the_shape_is() -> None:
    mask, drawing = shape_mask(64)
    grid = (np.arange(64) + 0.5) / 64
    area = mask.sum(axis=(1, 2))
    seen = area > 40
    x = (mask * grid).sum(axis=(1, 2))[seen] / area[seen]
    y = (mask * grid[:, None]).sum(axis=(1, 2))[seen] / area[seen]
    assert seen.sum() > 30
    assert near(x, drawing.factors["x"][seen]) > 0.8 and near(y, drawing.factors["y"][seen]) > 0.8
    for name in ("square", "circle"):
        chosen = seen & (drawing.labels == list(SHAPES).index(name))
        assert near(np.sqrt(area[chosen]), drawing.factors["scale"][chosen]) > 0.8


def test_hue_is_the_colour_of_the_shape() -> None:
    import colorsys

    drawing = drawn(64)
    factors = drawing.factors
    circle = (drawing.labels == list(SHAPES).index("circle")) & (factors["noise"] < 0.05)
    where = np.stack([factors["y"], factors["x"]], 1)[circle] * 64
    away = []
    for image, (y, x), hue in zip(drawing.images[circle], where, factors["hue"][circle], strict=True):
        middle = image[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].reshape(-1, 3).mean(0) / 255
        found = colorsys.rgb_to_hsv(*middle)[0]
        away.append(abs((found - hue + 0.5) % 1 - 0.5))
    assert len(away) > 15 and np.median(away) < 0.03


def test_turning_a_shape_by_its_rotation_brings_it_upright() -> None:
    """The heaviest side of an arrow's mask follows its angle, once around."""
    mask, drawing = shape_mask(64)
    arrows = drawing.labels == list(SHAPES).index("arrow")
    grid = (np.arange(64) + 0.5) / 64
    away = []
    for seen, x, y, angle in zip(
        mask[arrows], *(drawing.factors[name][arrows] for name in ("x", "y", "rotation")), strict=True
    ):
        dy, dx = np.meshgrid(grid - y, grid - x, indexing="ij")
        inside = seen & (dx**2 + dy**2 < 0.09)
        along = np.degrees(0.5 * np.arctan2(2 * (dx * dy)[inside].mean(), (dx**2 - dy**2)[inside].mean()))
        away.append(abs((along - angle + 90) % 180 - 90))  # the long axis, which has no direction
    assert len(away) >= 5 and np.median(away) < 15


def test_noise_is_what_differs_between_neighbours() -> None:
    drawing = drawn(64)
    pixels = drawing.images / 255.0
    rough = np.abs(pixels[:, :8, 1:8] - pixels[:, :8, :7]).mean(axis=(1, 2, 3))
    assert near(rough, drawing.factors["noise"]) > 0.3


def test_light_makes_one_side_brighter() -> None:
    drawing = drawn(32)
    factors = drawing.factors
    luma = drawing.images.mean(axis=3)
    right = luma[:, :, 16:].mean(axis=(1, 2)) - luma[:, :, :16].mean(axis=(1, 2))
    expected = factors["light"] * np.cos(np.radians(factors["light_angle"]))
    assert near(right, expected) > 0.5


def test_a_built_set_keeps_its_factors_and_splits(workspace: Path) -> None:
    counts = {"train": 40, "val": 20, "test": 20}
    dataset = build_shapes("shapes", "Shapes", 32, "drawn", images=counts)
    assert {split: sum(by.values()) for split, by in dataset.counts().items()} == counts
    assert {len(set(by.values())) for by in dataset.counts().values()} == {1}
    assert dataset.classes == tuple(SHAPES)
    parts = [drawn(seed=int(dataset.info["seed"]), n=counts[s], stream=i) for i, s in enumerate(counts)]
    for name, values in dataset.factors.items():
        expected = np.concatenate([part.factors[name] for part in parts])
        same = values == expected if name == "texture" else np.isclose(values, expected, atol=1e-4)
        assert np.all(same), name
    assert dataset.factors.keys() == parts[0].factors.keys()
    first = np.asarray(dataset.image(int(dataset.indices("val")[3])))
    assert np.array_equal(first, parts[1].images[3])
    again = build_shapes("shapes-again", "Again", 32, "drawn", images=counts)
    assert again.fingerprint == dataset.fingerprint


def test_the_catalog_tells_how_many_images_there_are() -> None:
    for name in ("shapes", "shapes-64", "shapes-photo"):
        assert CATALOG[name].images == sum(SHAPES_IMAGES.values()) and not CATALOG[name].needs_network


def test_logistic_regression_on_pixels_stays_well_under_four_fifths() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, val = drawn(n=3000), drawn(n=600, stream=1)
    scaler = StandardScaler().fit(train.images.reshape(3000, -1))
    model = LogisticRegression(C=0.01, max_iter=60, tol=1e-2)
    model.fit(scaler.transform(train.images.reshape(3000, -1)), train.labels)
    accuracy = model.score(scaler.transform(val.images.reshape(600, -1)), val.labels)
    assert accuracy < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shapes", "shapes-photo"])
def test_the_compact_network_learns_the_whole_set(workspace: Path, name: str) -> None:
    from engine.data.catalog import build_catalog_set
    from engine.runs.recipe import check_recipe, make_recipe
    from engine.runs.store import RunStore
    from engine.training.carry_out import carry_out

    dataset = build_catalog_set(name)
    fields = {
        **{"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "classification"},
        **{"backbone": "random:cnn-small", "image_size": 32, "seed": 0},
        "config": {"mode": "everything", "epochs": 20},
    }
    recipe, store = check_recipe(make_recipe(fields)), RunStore()
    results = carry_out(recipe, store.writer(store.create(recipe).id))
    assert results["splits"]["test"]["accuracy"] > 0.95

"""New pictures on an old map: encoded like its images, judged by its neighbours, placed by each method."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.data.source import Entry
from engine.data.writer import DatasetWriter
from engine.errors import MAX_MESSAGE, UserError
from engine.evaluation import new_points
from engine.evaluation.encoding import encode
from engine.evaluation.map_result import LatentMap, read_map
from engine.evaluation.new_pictures import (
    MOST_PICTURES,
    encode_pictures,
    pictures_in,
    read_pictures,
    side_of,
)
from engine.evaluation.new_points import (
    NewPoints,
    moved_alike,
    place_pictures,
    prepared_like,
    vote,
)
from engine.methods.latent_map_config import only
from engine.projections.align import procrustes
from engine.projections.landmarks import among_neighbours
from engine.projections.points import Neighbours, Points, nearest_of
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 60, "val": 20, "test": 20})


def drawn_map(
    dataset: Dataset, encoder: str = "pixels", methods: tuple[str, ...] = ("pca",), **config: Any
) -> LatentMap:
    """A map run that has ended."""
    fields = {
        "dataset": dataset.id,
        "fingerprint": dataset.fingerprint,
        "method": "latent_map",
        "config": {"points": 80, **only(methods), **config},
        "backbone": encoder,
        "image_size": 16 if encoder == "pixels" else 32,
    }
    store = RunStore()
    run = store.create(check_recipe(make_recipe(fields))).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    found = read_map(run, store)
    assert found is not None
    return found


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def noise(seed: int = 0) -> bytes:
    return png(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8))


def own_images(found: LatentMap, dataset: Dataset, rows: list[int]) -> NewPoints:
    """Images of the map, dropped on it as if they were new."""
    entries = [Entry(f"{row}.png", dataset.raw_bytes(int(found.index[row]))) for row in rows]
    return place_pictures(found, read_pictures(entries, side_of(found.recipe)))


@pytest.mark.parametrize("encoder", ["pixels", "random:cnn-small"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_an_image_of_the_map_is_its_own_nearest_and_comes_where_it_lies(
    shapes: Dataset, encoder: str, metric: str
) -> None:
    methods, rows = ("pca", "mds", "laplacian_eigenmaps"), [3, 17, 55]
    found = drawn_map(shapes, encoder, methods, metric=metric)
    new = own_images(found, shapes, rows)
    assert new.neighbours[:, 0].tolist() == rows
    assert (new.distances[:, 0] < 1e-3 * new.distances[:, 1]).all() and not new.far.any()
    for placed, panel in zip(new.panels, found.done, strict=True):
        assert panel.positions is not None and placed.by_method == (panel.method != methods[-1])
        width = np.ptp(panel.positions, axis=0).max()
        assert np.abs(placed.positions - panel.positions[rows]).max() < 2e-3 * width
        assert np.abs(placed.beside - found.aligned()[panel.method][rows]).max() < 2e-3 * width


@pytest.mark.parametrize("encoder", ["pixels", "random:cnn-small"])
def test_pictures_of_any_shape_are_encoded_as_if_they_had_been_in_the_set(
    workspace: Path, encoder: str
) -> None:
    random = np.random.default_rng(1)
    shapes = [(90, 60, 3), (48, 48, 3), (33, 70, 3), (16, 200, 3), (64, 64, 3)]
    files = [png(random.integers(0, 256, shape, np.uint8)) for shape in shapes]
    with DatasetWriter("Odd") as writer:
        for number, file in enumerate(files):
            writer.add(file, f"{number}.png")
        dataset = writer.finish(classes=[], labels=np.full(5, -1), splits=np.zeros(5, np.uint8))
    recipe = make_recipe(
        {"dataset": dataset.id, "method": "latent_map", "backbone": encoder, "image_size": 32}
    )
    pictures = read_pictures([Entry("x", file) for file in files], side_of(recipe))
    wanted = encode(encoder, dataset, 32)
    assert wanted is not None
    assert np.allclose(encode_pictures(recipe, pictures.pixels), wanted, atol=1e-5)
    assert not (workspace / "cache" / "features").exists() or encoder != "pixels"


def test_features_of_new_pictures_are_not_kept(shapes: Dataset, workspace: Path) -> None:
    found = drawn_map(shapes, "random:cnn-small")
    before = sorted(path.name for path in workspace.rglob("*"))
    place_pictures(found, read_pictures([Entry("n.png", noise())], side_of(found.recipe)))
    assert sorted(path.name for path in workspace.rglob("*")) == before


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_new_features_are_prepared_like_the_fitted_ones(metric: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, (30, 7))
    space = Points(x, metric)
    assert np.array_equal(prepared_like(space, x[4:5]), space.x[4:5])
    lengths = np.linalg.norm(prepared_like(space, 5 * x), axis=1)
    assert np.allclose(lengths, 1, atol=1e-6) == (metric == "cosine")
    with pytest.raises(UserError, match="8 features"):
        prepared_like(space, np.ones((1, 8)))
    with pytest.raises(UserError, match="no finite numbers"):
        prepared_like(space, np.full((1, 7), np.nan))


def test_a_copy_is_prepared_even_where_the_map_begins_with_its_copies() -> None:
    x = np.ones((9, 3))
    x[8] = 2
    assert np.array_equal(prepared_like(Points(x), x[:1]), x[:1])


def test_a_picture_is_far_beyond_the_99th_percentile_of_own_nearest_distances(shapes: Dataset) -> None:
    found = drawn_map(shapes)
    features = encode("pixels", shapes, 16, found.index)
    assert features is not None
    x = features.astype(np.float64)
    apart = np.array([[np.linalg.norm(one - other) for other in x] for one in x])
    np.fill_diagonal(apart, np.inf)
    own = np.sort(apart.min(1))
    at = 0.99 * (len(own) - 1)
    limit = own[int(at)] + (at - int(at)) * (own[int(at) + 1] - own[int(at)])
    strange = 255 * (np.indices((32, 32)).sum(0) // 8 % 2)[:, :, None].repeat(3, 2).astype(np.uint8)
    entries = [Entry("strange.png", png(strange)), Entry("own.png", shapes.raw_bytes(int(found.index[0])))]
    new = place_pictures(found, read_pictures(entries, 16))
    assert new.far_beyond == pytest.approx(limit, rel=1e-4)
    assert new.far.tolist() == [True, False] and new.distances[0, 0] > limit


def test_pca_places_pictures_by_the_axes_of_the_old_points(shapes: Dataset) -> None:
    found = drawn_map(shapes)
    new = place_pictures(found, read_pictures([Entry("n.png", noise(k)) for k in range(3)], 16))
    features = encode("pixels", shapes, 16, found.index)
    assert features is not None
    x = features.astype(np.float64)
    axes = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:2]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(noise(k))).resize((16, 16), 2)) for k in range(3)])
    wanted = (pixels.reshape(3, -1) / 255 - x.mean(0)) @ axes.T
    assert np.allclose(np.abs(new.panels[0].positions), np.abs(wanted), atol=1e-3)


def test_dear_fits_and_methods_that_moved_on_are_not_asked_again(shapes: Dataset) -> None:
    found = drawn_map(shapes, methods=("pca", "kernel_pca", "lle", "isomap", "laplacian_eigenmaps"))
    pictures = read_pictures([Entry("n.png", noise())], 16)
    quick = tuple(replace(panel, row={**panel.row, "seconds": 0.1}) for panel in found.panels)
    placed = place_pictures(replace(found, panels=quick), pictures).panels
    by_method = {panel.method: panel.by_method for panel in placed}
    assert by_method["pca"] and by_method["kernel_pca"] and not by_method["laplacian_eigenmaps"]
    pca, kernel = quick[:2]
    assert pca.positions is not None
    slow = replace(kernel, row={**kernel.row, "seconds": new_points.REFIT_SECONDS + 1})
    other = replace(pca, positions=pca.positions[::-1].copy())
    for panel in (slow, other):
        one = place_pictures(replace(found, panels=(panel,)), pictures).panels[0]
        assert not one.by_method and "among its neighbours" in one.how


def test_a_place_among_neighbours_is_the_mean_weighted_by_one_over_the_distance() -> None:
    random = np.random.default_rng(0)
    bank, x, positions = random.normal(size=(40, 6)), random.normal(size=(9, 6)), random.normal(size=(40, 2))
    near = nearest_of(bank.astype(np.float32), x.astype(np.float32), 10)
    found = among_neighbours(positions, near)
    for row in range(9):
        distances = np.array([np.linalg.norm(x[row] - other) for other in bank])
        nearest = np.argsort(distances)[:10]
        total, place = 0.0, np.zeros(2)
        for other in nearest:
            total += 1 / distances[other]
            place += positions[other] / distances[other]
        assert np.allclose(found[row], place / total, atol=1e-5)


def test_copies_lie_on_the_mean_of_the_points_they_copy() -> None:
    near = Neighbours(np.array([[2, 0, 1]]), np.array([[0, 0, 3]], np.float32))
    positions = np.array([[0, 2], [9, 9], [4, 0]])
    assert among_neighbours(positions, near).tolist() == [[2, 1]]


def test_the_commonest_class_wins_and_of_two_the_nearer() -> None:
    labels = np.array([[1, 0, 0, 2], [2, 1, 1, 2], [-1, -1, 3, -1], [-1, -1, -1, -1]])
    winner, count = vote(labels)
    assert winner.tolist() == [0, 2, 3, -1] and count.tolist() == [2, 2, 1, 0]


def test_new_places_move_as_the_map_does_when_maps_are_laid_over_each_other() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(30, 2)), 1e-4 * random.normal(size=(30, 2)) + 7
    assert np.allclose(
        moved_alike(second, procrustes(first, second), second), procrustes(first, second), atol=1e-4
    )
    turn = np.array([[0.0, 2.0], [-2.0, 0.0]])
    assert np.allclose(moved_alike(first, first @ turn + 5, np.array([[1.0, 0.0]])), [[5, 7]], atol=1e-5)


def packed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_gives_its_pictures_and_a_reason_for_every_other_file(tmp_path: Path) -> None:
    good = noise()
    files = {
        "a/one.png": good,
        "../../two.png": noise(1),
        "notes.txt": b"no picture",
        ".hidden.png": good,
        "cut.png": good[: len(good) // 2],
        "inner.zip": packed(tmp_path, {"x.png": good}).read_bytes(),
    }
    found = pictures_in(packed(tmp_path, files), 16)
    assert found.names == ("a/one.png", "../../two.png") and found.pixels.shape == (2, 16, 16, 3)
    assert [name for name, _ in found.skipped] == ["notes.txt", "cut.png", "inner.zip"] and not found.more
    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_no_more_pictures_are_read_than_can_be_placed(tmp_path: Path) -> None:
    good = noise()
    found = pictures_in(packed(tmp_path, {f"{k}.png": good for k in range(MOST_PICTURES + 3)}), 8)
    assert len(found.names) == MOST_PICTURES and found.more


@pytest.mark.parametrize("kind", ["bomb", "no picture", "no archive", "empty zip", "cut"])
def test_what_holds_no_picture_is_one_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path, {"a.txt": b"text"} if kind != "empty zip" else {})
    if kind == "bomb":
        monkeypatch.setenv("REPLAB_MAX_FILE_BYTES", str(2**30))
        packed(tmp_path, {"a.png": b"\0" * 30_000_000})
    elif kind == "no archive":
        path.write_bytes(b"\x80\x04cos\nsystem\n.")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError) as refused:
        pictures_in(path, 16)
    assert 20 < len(str(refused.value)) <= MAX_MESSAGE and str(refused.value).endswith(".")
    assert str(tmp_path) not in str(refused.value)


def test_a_picture_of_too_many_pixels_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MAX_PIXELS", "1000")
    with pytest.raises(UserError, match="over the limit of 1,000 pixels"):
        read_pictures([Entry("big.png", noise())], 16)


def test_maps_that_no_new_image_can_join_say_so(shapes: Dataset) -> None:
    found = drawn_map(shapes)
    pictures = read_pictures([Entry("n.png", noise())], 16)
    noisy = {"config": {**found.recipe.config, "noise": True}}
    cases = {
        "of noise": noisy,
        "came from outside": {"backbone": "vectors:abc"},
        "changed": {"fingerprint": "x"},
    }
    for words, change in cases.items():
        recipe = make_recipe({**found.recipe.model_dump(), **change})
        with pytest.raises(UserError, match=words):
            place_pictures(replace(found, recipe=recipe), pictures)

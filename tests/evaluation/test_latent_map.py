"""Maps carried out whole: the same points on every panel, failures on their own panel, resumed, noise."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.data.pixels import pixels
from engine.errors import UserError
from engine.evaluation import latent_map
from engine.evaluation.latent_map import carry_out, map_rows, space_of
from engine.evaluation.map_result import LatentMap, read_film, read_map
from engine.methods.latent_map_config import only
from engine.projections.align import procrustes
from engine.projections.projection import CannotProject
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import Stopped

SIDE = 16


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", SIDE, "drawn", images={"train": 80, "val": 30, "test": 10})


def map_recipe(
    data: Dataset, *methods: str, backbone: str = "pixels", seed: int = 0, **config: Any
) -> Recipe:
    fields = {
        "dataset": data.id, "fingerprint": data.fingerprint, "method": "latent_map", "backbone": backbone,
        "image_size": SIDE, "seed": seed, "config": {**only(methods), **config},
    }  # fmt: skip
    return check_recipe(make_recipe(fields))


def drawn(recipe: Recipe) -> tuple[str, LatentMap, dict[str, Any]]:
    run = RunStore().create(recipe).id
    results = carry_out(recipe, RunStore().writer(run))
    found = read_map(run)
    assert found is not None
    return run, found, results


def flat(data: Dataset, rows: np.ndarray) -> np.ndarray:
    return pixels(data, SIDE)[rows].reshape(len(rows), -1).astype(np.float64) / 255


def test_a_nearly_collapsed_encoder_fails_on_the_panels_that_need_more_and_draws_the_rest(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = np.eye(3, 6, dtype=np.float32)
    monkeypatch.setattr(latent_map, "encode", lambda name, data, side, rows, **rest: three[rows % 3])
    _, found, _ = drawn(
        map_recipe(shapes, "pca", "lle", "isomap", "umap", umap_min_dist=0.9, umap_spread=0.5)
    )
    said = {panel.method: panel.error for panel in found.panels}
    assert said["pca"] is None and found.panels[0].positions is not None
    assert "are different" in str(said["lle"]) and "are different" in str(said["isomap"])
    assert "min_dist" in str(said["umap"]) or "spread" in str(said["umap"])


def test_every_panel_draws_its_own_method_of_the_same_points(shapes: Dataset) -> None:
    _, found, results = drawn(map_recipe(shapes, "pca", "lle", "isomap", points=1000))
    assert [panel.title for panel in found.panels] == ["PCA", "LLE", "Isomap"]
    assert found.index.tolist() == list(range(len(shapes)))
    assert np.array_equal(found.label, shapes.labels)
    theirs = PCA(2).fit_transform(flat(shapes, found.index))
    mine = {panel.method: panel.positions for panel in found.panels}
    pca = np.asarray(mine["pca"])
    signs = np.sign((pca * theirs).sum(0))
    assert pca == pytest.approx(theirs * signs, abs=1e-4)
    assert not np.allclose(mine["isomap"], mine["lle"]), "no panel draws another's map"
    assert results["points"] == len(shapes) == results["of"] and not results["random_weights"]
    expected = trustworthiness(flat(shapes, found.index), pca, n_neighbors=10)
    assert results["maps"]["pca"]["quality"]["trustworthiness"] == pytest.approx(expected, abs=1e-6)


def test_neighbours_and_trust_of_each_point_are_those_of_the_original_space(shapes: Dataset) -> None:
    run, found, _ = drawn(map_recipe(shapes, "pca"))
    x = flat(shapes, found.index)
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    near = np.sort(apart, axis=1)[:, :10]
    assert found.distances[:, :10] == pytest.approx(near, abs=1e-4)
    assert np.take_along_axis(apart, found.neighbours[:, :10].astype(int), 1) == pytest.approx(near, abs=1e-4)
    (panel,) = found.panels
    assert panel.positions is not None and panel.kept is not None
    on_map = np.linalg.norm(panel.positions[:, None] - panel.positions[None], axis=2)
    np.fill_diagonal(on_map, np.inf)
    for row in range(0, len(x), 7):
        true, drawn_near = set(np.argsort(apart[row])[:10]), set(np.argsort(on_map[row])[:10])
        assert panel.kept[row] == len(true & drawn_near)
    assert space_of(RunStore().recipe(run), found.index).x == pytest.approx(x, abs=1e-6)


def test_the_same_seed_draws_the_same_map_and_another_draws_another(shapes: Dataset) -> None:
    recipe = map_recipe(shapes, "tsne", points=60, tsne_perplexity=5)
    first, again = drawn(recipe)[1], drawn(recipe)[1]
    assert np.array_equal(first.panels[0].positions, again.panels[0].positions)  # type: ignore[arg-type]
    other = drawn(map_recipe(shapes, "tsne", points=60, tsne_perplexity=5, seed=1))[1]
    assert not np.array_equal(first.index, other.index)


def test_a_method_that_cannot_says_so_on_its_panel_and_the_others_go_on(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = latent_map.project

    def project(name: str, *given: Any, **more: Any) -> Any:
        if name == "lle":
            raise CannotProject("These points have no map.")
        return real(name, *given, **more)

    monkeypatch.setattr(latent_map, "project", project)
    _, found, results = drawn(map_recipe(shapes, "pca", "lle", "isomap"))
    assert [panel.error for panel in found.panels] == [None, "These points have no map.", None]
    assert [panel.method for panel in found.done] == ["pca", "isomap"]
    assert results["maps"]["lle"]["error"] == "These points have no map."
    with pytest.raises(UserError, match="No method could map these points. These points have no map."):
        drawn(map_recipe(shapes, "lle"))


def test_a_stopped_map_keeps_its_panels_and_goes_on_from_them(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store, asked = map_recipe(shapes, "pca", "isomap"), RunStore(), []
    run = store.create(recipe).id
    real = latent_map.project

    def project(name: str, *given: Any, **more: Any) -> Any:
        if not more:  # a few points that only load the libraries are named by keyword
            asked.append(name)
            if asked == ["pca", "isomap"]:
                store.request_stop(run)
                raise latent_map.ProjectionStopped
        return real(name, *given, **more)

    monkeypatch.setattr(latent_map, "project", project)
    with pytest.raises(Stopped):
        carry_out(recipe, store.writer(run))
    found = read_map(run)
    assert found is not None and [panel.method for panel in found.done] == ["pca"]
    (store.folder(run) / "stop").unlink()
    carry_out(recipe, store.writer(run))
    found = read_map(run)
    assert asked == ["pca", "isomap", "isomap"], "the finished panel is not drawn again"
    assert found is not None and [panel.method for panel in found.done] == ["pca", "isomap"]


def test_methods_that_move_points_leave_a_film_that_ends_in_the_map(shapes: Dataset) -> None:
    run, found, _ = drawn(map_recipe(shapes, "tsne", points=60, tsne_perplexity=5))
    (panel,) = found.panels
    film = read_film(run, found, "tsne")
    assert panel.has_film and film.shape[1:] == (60, 2)
    assert 5 <= len(film) <= latent_map.FRAMES + 2
    assert np.array_equal(film[-1], np.asarray(panel.positions)), "the film ends in the map"
    moved = [float(np.abs(a - b).mean()) for a, b in zip(film, film[1:], strict=False)]
    assert max(moved) > 0


def test_a_film_is_turned_as_its_panel_is(shapes: Dataset) -> None:
    run, found, _ = drawn(map_recipe(shapes, "pca", "mds", points=60))
    pca, mds = found.panels
    assert not pca.has_film and mds.has_film
    film, kept = read_film(run, found, "mds"), np.load(RunStore().folder(run) / "maps" / "mds.npz")["frames"]
    assert film[-1] == pytest.approx(found.aligned()["mds"], abs=1e-5), "it ends where the panel shows it"
    assert np.abs(film[-1] - np.asarray(mds.positions)).max() > 0.01, "which is not where the method put it"
    for laid, raw in zip(film, kept, strict=True):  # every frame by the same turn and size as the last
        size = [np.linalg.norm(at - at.mean(0)) for at in (laid, raw, film[-1], kept[-1])]
        assert size[0] / size[1] == pytest.approx(size[2] / size[3], rel=1e-4)
        apart = [np.linalg.norm(a - b) for a, b in ((laid, film[-1]), (raw, kept[-1]))]
        assert apart[0] == pytest.approx(apart[1] * size[2] / size[3], rel=1e-3, abs=1e-4)


def test_reading_a_map_reads_no_film(shapes: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run, found, _ = drawn(map_recipe(shapes, "pca", "mds", points=60))
    opened: list[str] = []
    plain = np.lib.npyio.NpzFile.__getitem__

    def counted(self: Any, name: str) -> Any:
        opened.append(name)
        return plain(self, name)

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", counted)
    again = read_map(run)
    assert again is not None and again.panels[1].has_film
    assert opened.count("positions") == 2 and "frames" not in opened
    read_film(run, again, "mds")
    assert "frames" in opened


def test_a_map_with_a_damaged_film_still_reads(shapes: Dataset) -> None:
    run, found, _ = drawn(map_recipe(shapes, "pca", "mds", points=60))
    path = RunStore().folder(run) / "maps" / "mds.npz"
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as parts:
        begin = parts.getinfo("frames.npy").header_offset + 200
    data[begin : begin + 400] = bytes(400)
    path.write_bytes(data)
    again = read_map(run)
    assert again is not None and again.panels[1].error is None
    assert np.array_equal(np.asarray(again.panels[1].positions), np.asarray(found.panels[1].positions))
    with pytest.raises(UserError, match="film of this panel"):
        read_film(run, again, "mds")
    with pytest.raises(UserError, match="film of this panel"):
        read_film(run, again, "pca")


def test_noise_of_the_same_size_takes_the_place_of_the_features(shapes: Dataset) -> None:
    run, found, results = drawn(map_recipe(shapes, "pca", noise=True))
    x = space_of(RunStore().recipe(run), found.index).x
    real = flat(shapes, found.index)
    assert x.shape == real.shape and results["width"] == real.shape[1]
    assert float(np.abs(np.corrcoef(x.ravel(), real.ravel())[0, 1])) < 0.99
    assert x.mean(0) == pytest.approx(real.mean(0), abs=0.15)


def test_an_encoder_is_mapped_and_random_weights_are_told(shapes: Dataset) -> None:
    _, found, results = drawn(
        map_recipe(shapes, "pca", backbone="random:cnn-small", points=50, metric="cosine")
    )
    assert results["random_weights"] and results["width"] == 128 and len(found.index) == 50
    x = space_of(found.recipe, found.index).x
    assert np.linalg.norm(x, axis=1) == pytest.approx(np.ones(50), abs=1e-5)


def test_a_sample_takes_the_same_share_of_every_class() -> None:
    class Set:
        labels = np.repeat([0, 1, -1], [600, 300, 100])

        def __len__(self) -> int:
            return 1000

    data: Any = Set()
    rows = map_rows(data, "all", 100, seed=0)
    assert rows.tolist() == sorted(set(rows.tolist())) and len(rows) == 100
    shares = [int((data.labels[rows] == label).sum()) for label in (0, 1, -1)]
    assert shares == pytest.approx([60, 30, 10], abs=1)
    assert np.array_equal(rows, map_rows(data, "all", 100, seed=0))
    assert not np.array_equal(rows, map_rows(data, "all", 100, seed=1))
    assert len(map_rows(data, "all", 5000, seed=0)) == 1000


def test_panels_are_laid_onto_the_first(shapes: Dataset) -> None:
    _, found, _ = drawn(map_recipe(shapes, "pca", "isomap"))
    laid = found.aligned()
    assert np.array_equal(laid["pca"], np.asarray(found.panels[0].positions))
    expected = procrustes(np.asarray(found.panels[0].positions), np.asarray(found.panels[1].positions))
    assert laid["isomap"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (dict.fromkeys(("pca",), False), "A map needs a method"),
        ({"points": 3}, "points must be a whole number at least 5"),
        ({"metric": "taxi"}, "metric must be one of euclidean, cosine"),
        ({"tsne_perplexity": -1}, "tsne_perplexity must be"),
    ],
)
def test_what_cannot_be_mapped_is_one_sentence(shapes: Dataset, config: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        map_recipe(shapes, "pca", **config)
    assert len(str(caught.value)) <= 300


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="no projection 'pcb'; choose among: pca, "):
        only(["pca", "pcb"])


def test_the_first_panel_can_be_seen_before_it_is_judged(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store = map_recipe(shapes, "pca", "isomap"), RunStore()
    run, seen = store.create(recipe).id, []
    real = latent_map.map_quality

    def judged(*given: Any) -> Any:
        found = read_map(run)
        assert found is not None
        seen.append([(panel.positions is not None, panel.quality != {}) for panel in found.panels])
        return real(*given)

    monkeypatch.setattr(latent_map, "map_quality", judged)
    carry_out(recipe, store.writer(run))
    assert seen == [[(True, False), (False, False)], [(True, True), (True, False)]]
    found = read_map(run)
    assert found is not None and all(panel.quality and panel.kept is not None for panel in found.panels)
    assert found.neighbours.shape == (len(shapes), latent_map.NEIGHBOURS)


def test_a_damaged_map_is_told_and_a_damaged_panel_stands_alone(shapes: Dataset) -> None:
    run, _, _ = drawn(map_recipe(shapes, "pca", "isomap"))
    folder = RunStore().folder(run) / "maps"
    (folder / "pca.npz").write_bytes(b"PK junk")
    np.savez(folder / "isomap.npz", kept=np.zeros(3))
    found = read_map(run)
    assert found is not None and not found.done
    assert all("damaged" in str(panel.error) for panel in found.panels)
    np.savez(folder / "points.npz", index=np.arange(3))
    with pytest.raises(UserError, match="points of this map are damaged"):
        read_map(run)

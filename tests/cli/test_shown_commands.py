"""The commands that maps and comparisons show: typed into a shell, they ask for the very same run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.cli import compare, project
from engine.cli.learn import read_settings
from engine.cli.main import build_parser, main
from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.export import code
from engine.export.code import comparison_command, map_command
from engine.methods.latent_map_config import only
from engine.models.codes import usual_side
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", 16, "drawn", images={"train": 60, "val": 30, "test": 10})


def recipe_of(data: Dataset, method: str, config: Mapping[str, Any], **other: Any) -> Recipe:
    fields = {"dataset": data.id, "fingerprint": data.fingerprint, "method": method, "config": dict(config)}
    return check_recipe(make_recipe({**fields, **other}))


def typed(line: str) -> Any:
    """The arguments that the command line reads out of a line for a shell."""
    words = shlex.split(line)
    assert words[:3] == ["python", "-m", "engine"]
    return build_parser().parse_args(words[3:])


MAPS: list[dict[str, Any]] = [
    {"config": only(["pca"])},
    {"config": {**only(["pca", "mds"]), "points": 50, "split": "val"}, "seed": 7},
    {"config": {**only(["tsne"]), "tsne_perplexity": 12.5, "dimensions": 3, "metric": "cosine"}},
    {"config": {**only(["umap"]), "noise": True, "redraw": 3, "umap_min_dist": 0.05, "neighbours": 4}},
    {
        "config": {**only(["pca"]), "pca_whiten": True, "umap_n_neighbors": 7}
    },  # not drawn, and yet in the recipe
    {"config": only(["pca"]), "backbone": "random:cnn-small", "image_size": 24},
]


@pytest.mark.parametrize("fields", MAPS)
def test_the_command_of_a_map_asks_for_that_map(shapes: Dataset, fields: dict[str, Any]) -> None:
    recipe = recipe_of(shapes, "latent_map", **{"backbone": "pixels", "image_size": 11, **fields})
    again = project.make(typed(map_command(recipe)))
    assert again == recipe and again.digest() == recipe.digest()


def test_a_map_that_was_read_back_from_its_run_has_the_same_command(shapes: Dataset) -> None:
    config = {**only(["pca", "isomap"]), "isomap_n_neighbors": 6, "metric": "cosine", "points": 40}
    recipe = recipe_of(shapes, "latent_map", config, backbone="pixels", image_size=16)
    kept = RunStore().recipe(RunStore().create(recipe).id)
    assert (
        map_command(kept)
        == map_command(recipe)
        == (
            f"python -m engine project pixels --data {shapes.id} --method pca,isomap --points 40 "
            "--image-size 16 --seed 0 --set metric=cosine --set isomap_n_neighbors=6 --out map.html"
        )
    )


def test_the_command_finds_the_map_that_is_there(
    shapes: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["project", "pixels", "--data", shapes.id, "--method", "pca", "--image-size", "9", "--json"]
    assert main([*words, "--set", "neighbours=5", "--set", "pca_whiten=true"]) == 0
    run = json.loads(capsys.readouterr().out)["run"]
    line = map_command(RunStore().recipe(run), "a map.csv")
    assert main([*shlex.split(line)[3:], "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["run"] == run and "has been run before" in err
    assert (tmp_path / "a map.csv").is_file(), "a name with a space is one word to the shell"


@pytest.mark.parametrize(
    "config",
    [{}, {"sizes": "same"}, {"draws": 3, "structure": False}, {"split": "val", "images": 200, "few_most": 9}],
)
def test_the_command_of_a_comparison_asks_for_that_comparison(
    shapes: Dataset, config: dict[str, Any]
) -> None:
    encoders = {"encoders": "random:cnn-small,random:resnet20"}
    side = (
        16 if config.get("sizes") == "same" else usual_side(shapes.sizes)
    )  # as the page and `compare` have it
    recipe = recipe_of(shapes, "comparison", {**encoders, **config}, image_size=side, seed=2)
    again = compare.make(typed(comparison_command(recipe)))
    assert again == recipe and again.digest() == recipe.digest()


@pytest.mark.parametrize(
    "value",
    [True, None, 5, 0.1, 1e-7, "cosine", "5", "null", "true", "[1]", '"x"', "a b; rm $HOME `x`", "NaN", "'"],
)
def test_a_value_is_read_back_as_it_was(value: Any) -> None:
    (word,) = shlex.split(shlex.join([f"key={code._typed(value)}"]))
    back = read_settings([word])["key"]
    assert back == value and type(back) is type(value)

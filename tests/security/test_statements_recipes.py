"""What must hold of recipes: one check for the command line, recipe files, pages and the worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.data.drawn_sets import build_shapes
from engine.errors import UserError
from engine.methods import METHODS, config_class
from engine.models.backbones import BACKBONES
from engine.runs import layout
from engine.runs.executors import executor
from engine.runs.recipe import Recipe, check_recipe, make_recipe
from engine.runs.store import RunStore
from tests.security.conftest import Command

FIELDS: dict[str, Any] = {
    "dataset": "shapes",
    "method": "classification",
    "backbone": "random:cnn-small",
    "image_size": 32,
}
BAD: dict[str, Any] = {
    "epochs": [0, -1, 10**9, 2.5, True, None, "many", float("nan")],
    "learning_rate": [float("nan"), float("inf"), -1.0, 1e9, "nan", False],
    "mode": ["nonsense", "", 1],
    "nonsense": [1],
}
PAIRS = [(name, value) for name, values in BAD.items() for value in values]


@pytest.fixture
def shapes(workspace: Path) -> None:
    build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 20, "val": 10, "test": 10})


@pytest.mark.parametrize(("name", "value"), PAIRS)
def test_b20_what_one_door_refuses_every_door_refuses(
    name: str, value: object, shapes: None, tmp_path: Path, command: Command
) -> None:
    with pytest.raises(UserError, match=name):  # pages
        check_recipe(make_recipe({**FIELDS, "config": {name: value}}))
    words = value if isinstance(value, str) else json.dumps(value)
    code, _, err = command("train", "classification", "--data", "shapes", "--set", f"{name}={words}")
    assert code == 2 and name in err
    (tmp_path / "r.json").write_text(json.dumps({**FIELDS, "config": {name: value}}))
    code, _, err = command("train", "--recipe", str(tmp_path / "r.json"))
    assert code == 2 and "r.json" in err
    assert RunStore().list() == []


def test_b20_the_worker_checks_again_what_lies_on_disk(shapes: None) -> None:
    store = RunStore()
    run = store.create(make_recipe({**FIELDS, "config": {"epochs": 1}})).id
    recipe = store.folder(run) / layout.RECIPE
    recipe.write_text(json.dumps({**FIELDS, "config": {"epochs": 0}}))
    with pytest.raises(UserError, match="epochs"):
        check_recipe(Recipe.from_json(recipe.read_bytes()))
    executor(store).submit(run)
    told = store.get(run)
    assert told.state == "failed" and "epochs" in str(told.error) and len(str(told.error)) <= 300


@pytest.mark.parametrize("method", METHODS)
def test_b20_no_number_of_any_method_takes_what_is_no_number(method: str) -> None:
    fields = config_class(method).model_json_schema()["properties"]
    numbers = [name for name, told in fields.items() if told.get("type") in ("number", "integer")]
    for name in numbers:
        for value in (float("nan"), float("inf"), float("-inf"), True, "x", 10**30):
            with pytest.raises(UserError):
                check_recipe(
                    make_recipe(
                        {"dataset": "shapes", "image_size": 64, "method": method, "config": {name: value}}
                    )
                )


def test_b21_names_are_looked_up_and_never_imported() -> None:
    assert type(METHODS) is dict and type(BACKBONES) is dict
    for method in ("os.system", "engine.methods.simclr:SimCLR", "../simclr", "__import__", "SIMCLR"):
        with pytest.raises(UserError):
            check_recipe(make_recipe({**FIELDS, "method": method}))
    for field in ("optimizer", "mode", "augment"):
        with pytest.raises(UserError, match=field):
            check_recipe(make_recipe({**FIELDS, "config": {field: "os.system"}}))


def test_b35_no_recipe_may_train_without_end(shapes: None, command: Command) -> None:
    for pair in ("epochs=1000000000", "epochs=1e12", "batch_size=1000000000"):
        code, _, err = command("train", "classification", "--data", "shapes", "--set", pair)
        assert code == 2 and "at most" in err

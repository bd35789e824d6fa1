"""Recipes: the same recipe has the same digest, and nothing else gets in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import UserError
from engine.runs.recipe import Recipe, check_recipe, make_recipe

FIELDS: dict[str, Any] = {
    "dataset": "shapes",
    "fingerprint": "ab12",
    "method": "classification",
    "config": {"epochs": 3, "learning_rate": 0.1},
    "backbone": "random:cnn-small",
    "image_size": 32,
    "seed": 1,
}


def test_a_recipe_survives_json() -> None:
    recipe = make_recipe(FIELDS)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_json(b"\xef\xbb\xbf" + recipe.to_json().encode()) == recipe


def test_the_digest_depends_on_what_is_trained_and_on_nothing_else() -> None:
    digest = make_recipe(FIELDS).digest()
    turned = {name: FIELDS[name] for name in reversed(FIELDS)}
    assert make_recipe(turned).digest() == digest
    same = {**FIELDS, "config": {"learning_rate": 0.1, "epochs": 3.0}}
    assert make_recipe(same).digest() == digest
    for name, value in {
        "dataset": "x",
        "seed": 2,
        "image_size": 33,
        "fingerprint": "",
        "backbone": None,
    }.items():
        assert make_recipe({**FIELDS, name: value}).digest() != digest, name
    assert make_recipe({**FIELDS, "config": {"epochs": 4, "learning_rate": 0.1}}).digest() != digest


def test_checking_fills_in_the_defaults_so_that_typing_one_changes_nothing() -> None:
    bare = check_recipe(make_recipe({**FIELDS, "config": {}}))
    default = bare.config["batch_size"]
    typed = check_recipe(make_recipe({**FIELDS, "config": {"batch_size": default}}))
    assert typed == bare and typed.digest() == bare.digest()
    assert check_recipe(bare) == bare


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "nonsense"}, "nonsense"),
        ({"config": {"epochs": 0}}, "epochs"),
        ({"config": {"epochs": True, "batch_size": "many"}}, "batch_size"),
        ({"config": {"no_such_setting": 1}}, "no_such_setting"),
        ({"config": {"learning_rate": -1.0}}, "learning_rate"),
        ({"backbone": "random:no-such-net"}, "no-such-net"),
        ({"backbone": "torchvision:vgg16", "image_size": 16}, "image"),
    ],
)
def test_what_the_registry_does_not_know_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_recipe(make_recipe({**FIELDS, **change}))


HOSTILE = {
    "nothing": "",
    "half": '{"dataset": "a',
    "not utf-8": b"\xff\xfe\x00\x01",
    "deep list": "[" * 50_000,
    "deep object": '{"a":' * 10_000,
    "huge": '"' + "x" * 70_000 + '"',
    "long number": "9" * 6000,
    "a list": "[]",
    "null": "null",
    "NaN": '{"seed": NaN}',
    "Infinity": '{"seed": -Infinity}',
    "twice": '{"dataset": "a", "dataset": "b"}',
    "overflow": json.dumps({**FIELDS, "config": {}}).replace('"config": {}', '"config": {"a": 1e999}'),
    "empty": "{}",
}
WRONG: dict[str, dict[str, Any]] = {
    "unknown field": {"command": "rm"},
    "bool for int": {"seed": True},
    "float for int": {"image_size": 32.5},
    "text for int": {"seed": "1"},
    "below": {"seed": -1},
    "above": {"image_size": 100_000},
    "path for id": {"dataset": "../../etc"},
    "zero byte": {"dataset": "a\0b"},
    "dotted method": {"method": "os.system"},
    "path for encoder": {"backbone": "file:../../x"},
    "url for encoder": {"backbone": "http://example.org/x"},
    "list for config": {"config": []},
    "list in config": {"config": {"a": [1]}},
    "object in config": {"config": {"a": {"b": 1}}},
    "huge integer": {"config": {"a": 10**40}},
    "markup for a name": {"config": {"<b>a</b>": 1}},
    "long text": {"config": {"a": "x" * 1000}},
    "many settings": {"config": {f"a{i}": i for i in range(500)}},
    "newer version": {"version": 99},
    "long id": {"dataset": "a" * 500},
    "null": {"method": None},
}
WORDS = {**HOSTILE, **{name: json.dumps({**FIELDS, **change}) for name, change in WRONG.items()}}


@pytest.mark.parametrize("name", WORDS)
def test_a_hostile_file_is_refused_with_one_sentence(name: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe.from_json(WORDS[name])
    sentence = str(caught.value)
    assert 20 < len(sentence) <= 300 and "\n" not in sentence and sentence.isprintable()
    assert not any(word in sentence.lower() for word in ("traceback", "pydantic", "errno", "validationerror"))


def test_b20_a_number_that_is_none_never_passes_a_bound() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(UserError, match="learning_rate"):
            make_recipe({**FIELDS, "config": {"learning_rate": value}})

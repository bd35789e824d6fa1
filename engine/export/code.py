"""A recipe as the Python lines, and the command, that repeat it."""

from __future__ import annotations

import json
import pprint
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from engine.data.catalog import CATALOG
from engine.data.progress import Report
from engine.methods import config_class
from engine.models.encoder import PIXELS
from engine.projections import PROJECTIONS
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore

WIDTH = 100


def write_code(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write the lines to a file."""
    path.write_text(python_lines(RunStore().recipe(run_id)), encoding="utf-8")


def write_recipe(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write the recipe as JSON, as `train --recipe` reads it."""
    path.write_text(RunStore().recipe(run_id).to_json(), encoding="utf-8")


def python_lines(recipe: Recipe) -> str:
    """Lines that carry the recipe out with this program's own functions, run from its folder."""
    fields = pprint.pformat(recipe.model_dump(), width=WIDTH, sort_dicts=False)
    build = ""
    imports = ["from engine.runs.executors import InlineExecutor"]
    imports += ["from engine.runs.recipe import check_recipe, make_recipe"]
    imports += ["from engine.runs.store import RunStore"]
    if recipe.dataset in CATALOG:
        imports.insert(0, "from engine.data.catalog import build_catalog_set")
        build = f"build_catalog_set({recipe.dataset!r})  # drawn or downloaded, if it is not here yet\n"
    return (
        "\n".join(imports)
        + f"\n\n{build}recipe = check_recipe(make_recipe(\n{_indented(fields)}\n))\n"
        + "store = RunStore()\n"
        + "run = store.create(recipe).id\n"
        + "InlineExecutor(store).submit(run)  # in this process; LocalExecutor starts one of its own\n"
        + "print(run, store.get(run).state)\n"
        + "print(store.results(run))\n"
    )


def command_line(recipe: Recipe, run_id: str) -> str:
    """The command that repeats the recipe from the file that `write_recipe` writes."""
    return f"python -m engine train {recipe.method} --recipe recipe-{run_id}.json"


def map_command(recipe: Recipe, out: str = "map.html") -> str:
    """The command that draws exactly this map, or finds it, and writes it to `out`; quoted for a shell."""
    names = [name for name in PROJECTIONS if recipe.config.get(name)]
    words = ["project", recipe.backbone or PIXELS, "--data", recipe.dataset, "--method", ",".join(names)]
    words += ["--points", str(recipe.config["points"]), "--image-size", str(recipe.image_size)]
    words += ["--seed", str(recipe.seed), *_unusual(recipe, {"points", *PROJECTIONS}), "--out", out]
    return _shell(words)


def comparison_command(recipe: Recipe) -> str:
    """The command that makes exactly this comparison, or finds it; quoted for a shell."""
    words = ["compare", str(recipe.config.get("encoders") or PIXELS), "--data", recipe.dataset]
    words += ["--seed", str(recipe.seed), *_unusual(recipe, {"encoders", "sizes"})]
    if recipe.config.get("sizes") == "same":
        words += ["--image-size", str(recipe.image_size)]
    return _shell(words)


def _unusual(recipe: Recipe, told: Collection[str]) -> Iterator[str]:
    """--set for every setting that is not as usual, but those that the command tells in words of its own."""
    for name, field in config_class(recipe.method).model_fields.items():
        value = recipe.config.get(name, field.default)
        if name not in told and value != field.default:
            yield from ("--set", f"{name}={_typed(value)}")


def _typed(value: object) -> str:
    """A value as `--set` reads it back: a text as it is, unless it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(value)


def _shell(words: list[str]) -> str:
    return f"python -m engine {shlex.join(words)}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())

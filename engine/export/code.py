"""A recipe as the Python lines, and the command, that repeat it."""

from __future__ import annotations

import pprint
from pathlib import Path

from engine.data.catalog import CATALOG
from engine.data.progress import Report
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


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())

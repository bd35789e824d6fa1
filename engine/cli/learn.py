"""`train` and `estimate`: from words to a recipe, and from the recipe to a run."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.output import Commands, about, command, print_fields, print_json, say, size
from engine.cli.watch import Report, follow, report_end
from engine.errors import UserError

if TYPE_CHECKING:
    from engine.runs.recipe import Recipe

DEFAULT_BACKBONE = "random:cnn-small"


def add(commands: Commands) -> None:
    parser = command(commands, "train", "train a method on a data set", train)
    _recipe_arguments(parser)
    parser.add_argument("--name", help="what to call the run (backbone, mode and data set)")
    parser.add_argument("--detach", action="store_true", help="return at once; the run goes on by itself")
    parser.add_argument("--again", action="store_true", help="train even if this very recipe has been run")
    _recipe_arguments(
        command(commands, "estimate", "tell what a training or a comparison would cost here", cost)
    )


def _recipe_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", nargs="?", help="a method of `methods`, such as classification")
    parser.add_argument("--data", metavar="ID", help="an id of `data list`, or a catalog name")
    parser.add_argument(
        "--backbone",
        metavar="ENCODER",
        help="random:NAME, torchvision:NAME, file:ID or run:ID (random:cnn-small)",
    )
    parser.add_argument(
        "--image-size", type=int, metavar="N", help="side in pixels (what the backbone likes)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the seed of everything random (0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may be given often"
    )
    parser.add_argument("--preset", metavar="NAME", help="begin with a preset's settings")
    parser.add_argument("--recipe", metavar="FILE", help="begin with a recipe file; options change it")


def make(args: argparse.Namespace) -> Recipe:
    """The checked recipe that the arguments describe.

    Raises:
        UserError: They describe none.
    """
    from engine.cli.data import find_set
    from engine.methods import config_class
    from engine.models.codes import usual_side
    from engine.runs.recipe import check_recipe, make_recipe

    fields: dict[str, Any] = {}
    if args.recipe:
        with about(args.recipe):
            recipe = read_recipe(args.recipe)
            check_recipe(recipe)
        fields = recipe.model_dump()
    if args.method and fields and args.method != fields["method"]:
        raise UserError(
            f"The recipe file is for {fields['method']}, not for {args.method[:40]}: name one of them."
        )
    method, data = args.method or fields.get("method"), args.data or fields.get("dataset")
    if not method or not data:
        missing = (
            "the method, such as classification" if not method else "the data set, such as --data shapes"
        )
        raise UserError(f"Say what to train: {missing}, is missing.")
    with about(None if args.data else args.recipe):
        dataset = find_set(data)
        if not args.data and fields.get("fingerprint") not in ("", dataset.fingerprint):
            raise UserError(
                "The data set has other content than the recipe was made for: name it with --data to go on."
            )
    begin = fields.get("config") or config_class(method).suggested(
        len(dataset.indices("train")), dataset.factors
    )
    config = {**begin, **preset_settings(method, args.preset)}
    config.update(read_settings(args.set))
    extras = getattr(config_class(method), "PRESET_RECIPES", {}).get(args.preset, {})
    backbone = args.backbone or extras.get("backbone") or fields.get("backbone")
    if backbone is None and not fields and _needs_backbone(method):
        backbone = DEFAULT_BACKBONE
    image_size = args.image_size or extras.get("image_size") or fields.get("image_size")
    image_size = image_size or (_size_for(backbone) if backbone else usual_side(dataset.sizes))
    seed = args.seed if args.seed is not None else fields.get("seed", 0)
    return check_recipe(
        make_recipe(
            {
                "dataset": dataset.id,
                "fingerprint": dataset.fingerprint,
                "method": method,
                "config": config,
                "backbone": backbone,
                "image_size": image_size,
                "seed": seed,
            }
        )
    )


def _needs_backbone(method: str) -> bool:
    """Whether a recipe of it is for one encoder, which it does not build itself."""
    from engine.methods import config_class, method_entry

    return not method_entry(method).own_network and "encoders" not in config_class(method).model_fields


def read_recipe(name: str) -> Recipe:
    """A recipe from a file that may hold anything.

    Raises:
        UserError: It cannot be read or holds no recipe.
    """
    from engine.runs.recipe import MAX_BYTES, Recipe

    try:
        with open(name, "rb", opener=_without_waiting) as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError):  # the second: a name that no file can have
        raise UserError(f"The recipe file {Path(name).name[:80]} cannot be read: check its name.") from None
    return Recipe.from_json(data)


def _without_waiting(name: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to is empty instead of endless."""
    if not hasattr(os, "O_NONBLOCK"):
        return os.open(name, flags)
    file = os.open(name, flags | os.O_NONBLOCK)
    os.set_blocking(file, True)
    return file


def preset_settings(method: str, name: str | None) -> dict[str, Any]:
    """The settings of a preset; none if nobody names one.

    Raises:
        UserError: The method has no such preset.
    """
    from engine.methods import config_class

    presets = getattr(config_class(method), "PRESETS", {})
    if name is None:
        return {}
    if name not in presets:
        raise UserError(f"There is no preset '{name[:40]}'; choose one of: {', '.join(presets)}.")
    return dict(presets[name])


def read_settings(pairs: list[str]) -> dict[str, Any]:
    """KEY=VALUE words as settings: numbers, true, false and null as such, everything else as text."""
    found = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set takes KEY=VALUE, such as --set epochs=5, got {pair[:60]!r}.")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        found[key.strip()] = text if isinstance(value, (list, dict)) else value
    return found


def _size_for(backbone: str) -> int:
    from engine.models.backbones import backbone_info
    from engine.models.encoder import encoder_arch

    return backbone_info(encoder_arch(backbone)).default_size


def train(args: argparse.Namespace) -> int:
    return carry_out(make(args), args)


def carry_out(recipe: Recipe, args: argparse.Namespace, report: Report = report_end) -> int:
    """Find the run of a recipe or make it, follow it to its end, report it; gives the exit code.

    Args:
        recipe: What to do.
        args: With `again`, `name`, `detach` and `json`.
        report: Tells how it ended.
    """
    from engine.runs.executors import executor
    from engine.runs.layout import DONE
    from engine.runs.store import RunStore

    store = RunStore()
    if not args.again and (known := store.find(recipe.digest(), frozenset({DONE}))):
        say(f"This recipe has been run before; here is that run. --again runs it anew ({known}).")
        return report(store, known, args.json)
    run, created = store.create_once(recipe, args.name or usual_name(recipe))
    if not created:
        say(f"This recipe is queued or running already, as run {run}.")
    executor(store).submit(run)
    if args.detach:
        if args.json:
            print_json({"run": run, "state": store.get(run).state})
        else:
            print(f"{run} is {store.get(run).state}: python -m engine runs watch {run}")
        return 0
    return follow(store, run, args.json, created, report)


def usual_name(recipe: Recipe) -> str:
    """What a run is called where nobody says: backbone, what learns, and the data set's own name."""
    from engine.data.vectors import vectors_id, vectors_info
    from engine.methods import method_entry
    from engine.models.backbones import backbone_info
    from engine.models.encoder import PIXELS, encoder_arch
    from engine.runs.summary import data_name

    entry = method_entry(recipe.method)
    if recipe.backbone == PIXELS:
        backbone = "Raw pixels"
    elif vectors := vectors_id(recipe.backbone or ""):
        backbone = vectors_info(vectors).name
    else:
        backbone = backbone_info(encoder_arch(recipe.backbone)).title if recipe.backbone else entry.title
    mode = str(recipe.config.get("mode") or "").replace("_", " ")
    return " · ".join(part for part in (backbone, mode, data_name(recipe.dataset)) if part)


def cost(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    recipe = make(args)
    from engine.training.cost import estimate

    found = estimate(recipe)
    if args.json:
        print_json(asdict(found))
        return
    fields = {"time": f"about {found.seconds:.0f} s ({found.low:.0f} to {found.high:.0f} s)"}
    fields |= {"memory": size(found.peak_bytes)} if found.peak_bytes else {}
    fields.update({str(what): f"{seconds:.1f} s" for what, seconds in found.parts})
    print_fields({**fields, "basis": found.basis})

"""`compare`: measure several encoders on a data set, beside raw pixels and random weights."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.cli.output import Commands, command, plain, print_json, print_table, say
from engine.cli.watch import report_end
from engine.errors import UserError
from engine.runs.layout import DONE

if TYPE_CHECKING:
    from engine.evaluation.comparison_result import Comparison, EncoderRow
    from engine.runs.recipe import Recipe
    from engine.runs.store import RunStore

HEADER = ("ENCODER", "LINEAR", "95 % INTERVAL", "NEIGHBOURS", "FINE-TUNED", "SILHOUETTE", "MS", "")


def add(commands: Commands) -> None:
    parser = command(
        commands, "compare", "measure how well classes can be read from several encoders", compare
    )
    parser.add_argument(
        "encoders",
        metavar="ENCODER[,ENCODER…]",
        help="random:NAME, torchvision:NAME, file:ID, run:ID or vectors:ID; pixels and random weights are "
        "always there",
    )
    parser.add_argument("--data", metavar="ID", required=True, help="an id of `data list`, or a catalog name")
    parser.add_argument("--preset", metavar="NAME", help="begin with a preset's settings")
    parser.add_argument(
        "--image-size", type=int, metavar="N", help="one side for all encoders (each its own)"
    )
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="the seed of everything random (0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, such as draws=10"
    )
    parser.add_argument("--name", help="what to call the run")
    parser.add_argument("--detach", action="store_true", help="return at once; the run goes on by itself")
    parser.add_argument("--again", action="store_true", help="measure even if this has been measured")


def make(args: argparse.Namespace) -> Recipe:
    """The checked recipe that the arguments describe.

    Raises:
        UserError: They describe none, an encoder is not here, or the data set cannot judge.
    """
    from engine.cli.data import find_set
    from engine.cli.learn import preset_settings, read_settings
    from engine.data.vectors import read_vectors, vectors_id
    from engine.evaluation.comparison_parts import parts_of
    from engine.methods.comparison_config import parse_encoders
    from engine.models.codes import usual_side
    from engine.models.encoder import PIXELS, encoder_arch
    from engine.runs.recipe import check_recipe, make_recipe

    names = parse_encoders(args.encoders)
    if not names:
        raise UserError("Say what to compare: an encoder such as random:resnet18, or several with commas.")
    dataset = find_set(args.data)
    for name in names:
        if vectors := vectors_id(name):
            read_vectors(vectors, dataset)
        elif name != PIXELS:
            encoder_arch(name)
    config: dict[str, Any] = {**preset_settings("comparison", args.preset), **read_settings(args.set)}
    config |= {"encoders": ",".join(names)} | ({"sizes": "same"} if args.image_size else {})
    recipe = check_recipe(
        make_recipe(
            {
                "dataset": dataset.id,
                "fingerprint": dataset.fingerprint,
                "method": "comparison",
                "config": config,
                "backbone": None,
                "image_size": args.image_size or usual_side(dataset.sizes),
                "seed": args.seed,
            }
        )
    )
    parts_of(dataset, str(recipe.config["split"]), 20, 20, args.seed)  # says at once what it lacks
    return recipe


def compare(args: argparse.Namespace) -> int:
    from engine.cli.learn import carry_out

    def report(store: RunStore, run: str, as_json: bool) -> int:
        from engine.evaluation.comparison_result import read_comparison

        found = read_comparison(run, store)
        if store.get(run).state != DONE or found is None:
            return report_end(store, run, as_json)
        _tell(found, run, as_json)
        return 0

    return carry_out(make(args), args, report)


def _tell(found: Comparison, run: str, as_json: bool) -> None:
    if as_json:
        rows = [_told(row) for row in found.rows]
        shared = {key: value for key, value in found.setup.items() if key not in ("kind", "subjects")}
        print_json({"run": run, **shared, "encoders": rows, "advice": found.advice(), "best": found.best()})
        return
    print_table(HEADER, [_line(row) for row in found.rows], "")
    for row in found.rows:
        for note in row.notes(found.n):
            say(f"{row.title}: {note}")
    print(f"\n{plain(found.advice())}\n{plain(found.best())}")
    setup = found.setup
    print(
        f"{setup['n']:,} of {setup['of']:,} {setup['split']} images judge, {setup['train_n']:,} of "
        f"{setup['train_of']:,} training images teach; run {run}."
    )


def _told(row: EncoderRow) -> dict[str, Any]:
    told = asdict(row)
    figures = {key: value for key, value in told.pop("row").items() if key not in ("kind", "title")}
    return {**told, **figures, "error": row.error}


def _line(row: EncoderRow) -> tuple[object, ...]:
    linear = row.figure("linear") or {}
    interval = f"{linear['low']:.3f} to {linear['high']:.3f}" if linear else ""
    shares = [_share(row.figure(name)) for name in ("knn", "fine_tuned")]
    silhouette = (row.figure("structure") or {}).get("silhouette")
    figures = [_number(silhouette, ".3f"), _number(row.milliseconds, ".3g")]
    return (row.title, _share(linear), interval, *shares, *figures, row.error or "")


def _share(found: dict[str, Any] | None) -> str:
    return f"{found['accuracy']:.4f}" if found else ""


def _number(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) else ""

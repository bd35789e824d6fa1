"""`project`: lay out what an encoder makes of a data set, and write the maps to a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.output import Commands, command, print_json, print_table, say
from engine.cli.watch import report_end
from engine.errors import UserError
from engine.export.map_formats import MAP_FORMATS
from engine.runs.layout import DONE

if TYPE_CHECKING:
    from engine.runs.recipe import Recipe
    from engine.runs.store import RunStore

SUFFIXES = tuple(MAP_FORMATS)
FIGURES = ("trustworthiness", "continuity", "hit", "shepard")


def add(commands: Commands) -> None:
    parser = command(commands, "project", "draw maps of an encoder's features by several methods", project)
    parser.add_argument(
        "encoder",
        metavar="ENCODER",
        help="pixels, random:NAME, torchvision:NAME, file:ID, run:ID or vectors:ID",
    )
    parser.add_argument("--data", metavar="ID", required=True, help="an id of `data list`, or a catalog name")
    parser.add_argument("--method", metavar="NAME,…", help="methods with commas between them (six of them)")
    parser.add_argument("--points", type=int, metavar="N", help="images on the map (2000)")
    parser.add_argument(
        "--image-size", type=int, metavar="N", help="side in pixels (what the encoder was made for)"
    )
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="the seed of everything random (0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, such as tsne_perplexity"
    )
    endings = f"{', '.join(SUFFIXES[:-1])}, or {SUFFIXES[-1]} for TensorBoard"
    parser.add_argument("--out", metavar="FILE", help=f"where the maps go; its ending says how: {endings}")
    parser.add_argument("--name", help="what to call the run")
    parser.add_argument("--detach", action="store_true", help="return at once; the run goes on by itself")
    parser.add_argument("--again", action="store_true", help="draw it even if this very map has been drawn")


def make(args: argparse.Namespace) -> Recipe:
    """The checked recipe that the arguments describe.

    Raises:
        UserError: They describe none.
    """
    from engine.cli.data import find_set
    from engine.cli.learn import read_settings
    from engine.data.vectors import read_vectors, vectors_id
    from engine.evaluation.encoding import usual_side
    from engine.methods.latent_map_config import only
    from engine.models.encoder import PIXELS, check_encoder
    from engine.runs.recipe import check_recipe, make_recipe

    dataset = find_set(args.data)
    size = args.image_size or usual_side(args.encoder, dataset)
    if vectors := vectors_id(args.encoder):
        read_vectors(vectors, dataset)
    elif args.encoder != PIXELS:
        check_encoder(args.encoder, size)
    config: dict[str, Any] = read_settings(args.set)
    if args.method is not None:
        config |= only([name.strip() for name in args.method.split(",") if name.strip()])
    if args.points is not None:
        config["points"] = args.points
    return check_recipe(
        make_recipe(
            {
                "dataset": dataset.id,
                "fingerprint": dataset.fingerprint,
                "method": "latent_map",
                "config": config,
                "backbone": args.encoder,
                "image_size": size,
                "seed": args.seed,
            }
        )
    )


def project(args: argparse.Namespace) -> int:
    from engine.cli.learn import carry_out

    out = Path(args.out) if args.out else None
    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out must end in one of: {', '.join(SUFFIXES)}.")
    if out is not None and args.detach:
        raise UserError("--out waits for the map, --detach does not: leave one of them out.")

    def report(store: RunStore, run: str, as_json: bool) -> int:
        if store.get(run).state != DONE:
            return report_end(store, run, as_json)
        if out is not None:
            from engine.export.maps import write_map

            write_map(run, out, store)
            say(f"Wrote {out}.")
        _tell(store.results(run) or {}, run, as_json)
        return 0

    return carry_out(make(args), args, report)


def _tell(results: dict[str, Any], run: str, as_json: bool) -> None:
    from engine.data.vectors import vectors_id

    maps: dict[str, dict[str, Any]] = results.get("maps", {})
    if as_json:
        told = {
            name: {"seconds": row.get("seconds"), "error": row.get("error"), **(row.get("quality") or {})}
            for name, row in maps.items()
        }
        counts = {name: results.get(name) for name in ("points", "of", "left_out")}
        print_json({"run": run, **counts, "maps": told})
        return
    rows = []
    for name, row in maps.items():
        quality = row.get("quality") or {}
        figures = [_figure(quality.get(key)) for key in FIGURES]
        rows.append((name, f"{row.get('seconds') or 0:.1f}", *figures, row.get("error") or ""))
    print_table(("METHOD", "SECONDS", *(figure.upper() for figure in FIGURES), ""), rows, "")
    print(f"\n{results.get('points'):,} of {results.get('of'):,} images; run {run}.")
    if left_out := results.get("left_out"):
        what = "vectors" if vectors_id(str(results.get("encoder"))) else "features"
        print(f"{left_out:,} others left out: their {what} hold values that are no finite numbers.")


def _figure(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else ""

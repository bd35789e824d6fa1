"""A run as one web page that needs no network: data, split, recipe, curves, results, maps, versions, hashes.

The page holds no script; names from a data set reach it as escaped text only, and its content policy lets it
load nothing but what it holds.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Mapping
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.data.dataset import Dataset
from engine.data.progress import Progress, Report, silent
from engine.errors import UserError
from engine.evaluation.map_result import read_map
from engine.export.code import command_line, python_lines
from engine.export.features import data_of
from engine.export.map_figures import headline
from engine.export.map_svg import write_png, write_svg
from engine.export.report_charts import Line, curves
from engine.export.report_data import data_sections
from engine.export.report_parts import data_picture, facts, section, text
from engine.export.report_results import Told, results_of
from engine.methods import config_class, method_entry
from engine.runs import layout
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = Path(__file__).parent / "report_page.css"
LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "pillow")
MOST_MAPS = 3
MOST_SVG = 2_000_000  # bytes of a map as a drawing; a larger one becomes pixels
FIRST = ("loss", "accuracy", "knn_accuracy")
MOST_CURVES = 6
SHARES = ("accuracy", "share")


def write_report(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write the report of a finished run.

    Raises:
        UserError: The recipe is damaged, or an image of the data set is.
    """
    report, store = report or silent, RunStore()
    recipe = store.recipe(run_id)
    dataset = _data(run_id, store)
    parts = [_head(run_id, recipe, dataset, store)]
    report(Progress("drawing results", 1, 4))
    told = Told(run_id, store.results(run_id) or {}, dataset, store)
    parts += [_curves(run_id, store), results_of(method_entry(recipe.method).page, told)]
    report(Progress("drawing maps", 2, 4))
    parts.append(_maps(run_id, recipe, store))
    report(Progress("describing the data", 3, 4))
    parts += [data_sections(recipe, dataset), _recipe(recipe), _repeat(run_id, recipe)]
    parts.append(_versions(run_id, recipe, store))
    path.write_text(_page(store.get(run_id).name, "".join(parts)), encoding="utf-8")


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
{body}</body>
</html>
"""


def _data(run_id: str, store: RunStore) -> Dataset | None:
    try:
        return data_of(run_id, store)
    except UserError:
        return None


def _head(run_id: str, recipe: Recipe, dataset: Dataset | None, store: RunStore) -> str:
    run = store.get(run_id)
    entry = method_entry(recipe.method)
    random = (store.results(run_id) or {}).get("random_weights")
    when = time.strftime("%d %B %Y, %H:%M", time.localtime(run.finished or run.created))
    on = dataset.name if dataset else f"{recipe.dataset} (not here any more)"
    seconds = f" in {run.seconds:,.0f} s" if run.seconds is not None else ""
    title = f"{text(run.name)}{' <small>from random weights</small>' if random else ''}"
    return (
        f"<header><h1>{title}</h1><p>{escape(entry.title)} on {text(on)} · {escape(run.state)}{seconds}, "
        f"{when}</p><p>{escape(entry.line)}</p></header>\n"
    )


def _curves(run_id: str, store: RunStore) -> str:
    """Every figure of the epochs, training and validation together."""
    rows = store.curve(run_id)["epochs"]
    found: dict[str, list[Line]] = {}
    for split, name, mark in (("val", "validation", "solid"), ("train", "training", "dashed")):
        keys = sorted({key for row in rows for key in row if key.startswith(f"{split}_")})
        for key in keys:
            pairs = [(row["epoch"], row[key]) for row in rows if isinstance(row.get(key), (int, float))]
            if pairs:
                xs, ys = zip(*pairs, strict=True)
                found.setdefault(key.removeprefix(f"{split}_"), []).append(Line(name, xs, ys, mark))
    order = [*(key for key in FIRST if key in found), *(key for key in found if key not in FIRST)]
    drawn = [
        curves(key.replace("_", " "), found[key], any(word in key for word in SHARES))
        for key in order[:MOST_CURVES]
    ]
    return section("Curves", f'<div class="charts">{"".join(drawn)}</div>' if drawn else "")


def _maps(run_id: str, recipe: Recipe, store: RunStore) -> str:
    """The newest maps of this run's encoder, or the map that the run is."""
    maps = [run_id] if recipe.method == "latent_map" else maps_of(run_id, store)[:MOST_MAPS]
    drawn = "".join(_map(one, store) for one in maps)
    return section("Maps of what the encoder sees", drawn, note="Distances on a map have no unit.")


def maps_of(run_id: str, store: RunStore) -> list[str]:
    """Finished maps of a run's encoder, newest first."""
    return [
        run.id
        for run in store.list()
        if run.method == "latent_map" and run.backbone == f"run:{run_id}" and run.state == layout.DONE
    ]


def _map(run_id: str, store: RunStore) -> str:
    try:
        found = read_map(run_id, store)
    except UserError:
        return ""
    if found is None or not found.done:
        return ""
    title = headline(found, None)
    file = io.BytesIO()
    write_svg(found, file)
    if file.tell() <= MOST_SVG:
        return data_picture(file.getvalue(), "image/svg+xml", title)
    file = io.BytesIO()
    write_png(found, file)
    return data_picture(file.getvalue(), "image/png", title)


def _recipe(recipe: Recipe) -> str:
    fields = config_class(recipe.method).model_fields
    own = "its own network" if method_entry(recipe.method).own_network else None  # else settings name them
    plain: list[tuple[str, object]] = [
        ("Method", method_entry(recipe.method).title),
        ("Backbone", recipe.backbone or own),
        ("Image size", f"{recipe.image_size} px"),
        ("Seed", recipe.seed),
    ]
    settings = [(_title(fields, key), _value(value)) for key, value in recipe.config.items()]
    return section("Recipe", facts([*plain, *settings]))


def _title(fields: Mapping[str, Any], key: str) -> str:
    return str(getattr(fields.get(key), "title", None) or key.replace("_", " ").capitalize())


def _value(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else "–" if value is None else value


def _repeat(run_id: str, recipe: Recipe) -> str:
    lines = f"<pre>{escape(command_line(recipe, run_id))}</pre><pre>{escape(python_lines(recipe))}</pre>"
    folded = f"<details><summary>Recipe as JSON</summary><pre>{escape(recipe.to_json())}</pre></details>"
    return section("To repeat it", lines, folded, note="On the command line, or from Python.")


def _versions(run_id: str, recipe: Recipe, store: RunStore) -> str:
    told = [(key.replace("_", " ").capitalize(), value) for key, value in store.environment(run_id).items()]
    now = [(f"{name} now", number) for name in LIBRARIES if (number := _version(name))]
    hashes: list[tuple[str, object]] = [
        ("Run", run_id),
        ("Recipe, SHA-256", recipe.digest()),
        ("Data, fingerprint", recipe.fingerprint or "–"),
    ]
    for name, path in (("Encoder", store.encoder_path(run_id)), ("Decoder", store.decoder_path(run_id))):
        if path.is_file():
            with open(path, "rb") as file:
                hashes.append((f"{name}, SHA-256", hashlib.file_digest(file, "sha256").hexdigest()))
    written = time.strftime("%d %B %Y, %H:%M")
    end = (
        f"<footer>Written by Representation Lab {escape(_version('representation-lab'))}, {written}.</footer>"
    )
    return section("Where it ran", facts([*told, *now])) + section("Hashes", facts(hashes)) + end


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""

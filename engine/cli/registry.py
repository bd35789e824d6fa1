"""`methods` and `backbones`: what there is to choose from, read from the registries."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.output import Commands, command, print_json, print_table


def add(commands: Commands) -> None:
    parser = command(commands, "methods", "list the methods, or the settings of one", methods)
    parser.add_argument("name", nargs="?", help="a method: lists its settings with bounds and defaults")
    parser = command(commands, "backbones", "list the networks that can be trained or built on", backbones)
    parser.add_argument("--all", action="store_true", help="all of them, not only those in front")


def methods(args: argparse.Namespace) -> None:
    from engine.methods import METHODS

    if args.name:
        _settings(args.name, args.json)
        return
    if args.json:
        for name, entry in METHODS.items():
            print_json({"name": name, "title": entry.title, "line": entry.line})
        return
    print_table(("METHOD", "WHAT IT DOES"), [(name, entry.line) for name, entry in METHODS.items()], "")
    print("\nThe settings of one: python -m engine methods NAME")


def _settings(name: str, as_json: bool) -> None:
    from engine.methods import METHODS, config_class

    config = config_class(name)
    fields = [_field(field, schema) for field, schema in config.model_json_schema()["properties"].items()]
    presets = getattr(config, "PRESETS", {})
    if as_json:
        print_json({"name": name, "title": METHODS[name].title, "settings": fields, "presets": presets})
        return
    print(f"{METHODS[name].title}: {METHODS[name].line}\n")
    for field in fields:
        print(f"{field['name']} = {field['default']}   ({field['accepts']})\n    {field['help']}")
    print(f"\nPresets: {', '.join(presets)}")


def _field(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema:
        accepts = " | ".join(str(choice) for choice in schema["enum"])
    else:
        bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        limits = [f"{sign} {schema[key]:g}" for key, sign in bounds if key in schema]
        accepts = " ".join([schema.get("type", "text"), ", ".join(limits)]).strip()
    return {
        "name": name,
        "default": schema.get("default"),
        "accepts": accepts,
        "help": schema.get("description", ""),
        "choices": schema.get("enum"),
        "minimum": schema.get("minimum", schema.get("exclusiveMinimum")),
        "maximum": schema.get("maximum", schema.get("exclusiveMaximum")),
    }


def backbones(args: argparse.Namespace) -> None:
    from engine.models.backbones import BACKBONES

    rows = []
    for name, info in BACKBONES.items():
        if not (args.all or info.front):
            continue
        if args.json:
            fields = ("title", "family", "line", "parameters", "width", "min_size", "default_size", "small")
            print_json({"name": name, **{field: getattr(info, field) for field in fields}})
        rows.append(
            (name, f"{info.parameters / 1e6:.2f} M", info.width, f"{info.default_size} px", info.line)
        )
    if not args.json:
        print_table(("BACKBONE", "WEIGHTS", "FEATURES", "MADE FOR", ""), rows, "")
        print("\nUse as random:NAME, or torchvision:NAME for pretrained weights; --all lists every one.")

"""`weights`: bring weights of your own."""

from __future__ import annotations

import argparse

from engine.cli.output import Commands, about, command, group, moment, print_json, print_table, size


def add(commands: Commands) -> None:
    weights = group(commands, "weights", "add, list and remove weights of your own")
    command(weights, "list", "list the weights that were added", list_all)
    parser = command(weights, "add", "check a weights file and keep it", add_one)
    parser.add_argument("file", help="a .safetensors file, or a .pth file of plain tensors")
    parser.add_argument("--arch", required=True, help="the backbone they belong to, such as resnet18")
    parser.add_argument("--name", help="what to call them")
    parser = command(weights, "remove", "delete weights that were added", remove_one)
    parser.add_argument("id", help="an id from `weights list`")


def list_all(args: argparse.Namespace) -> None:
    from engine.models.weights import list_weights

    found = list_weights()
    if args.json:
        for info in found:
            print_json(info)
        return
    rows = [(info.id, info.name, info.arch, size(info.bytes), moment(info.created)) for info in found]
    print_table(("ID", "NAME", "BACKBONE", "SIZE", "ADDED"), rows, "No weights were added yet.")


def add_one(args: argparse.Namespace) -> None:
    from engine.models.weights import add_weights

    with about(args.file):
        weights_id = add_weights(args.file, args.arch, args.name)
    if args.json:
        print_json({"id": weights_id, "backbone": f"file:{weights_id}"})
    else:
        print(f"Added: use it with --backbone file:{weights_id}")


def remove_one(args: argparse.Namespace) -> None:
    from engine.models.weights import remove_weights

    remove_weights(args.id)
    if args.json:
        print_json({"removed": args.id})
    else:
        print(f"Removed the weights {args.id}.")

"""`vectors`: bring vectors of your own for the images of a data set."""

from __future__ import annotations

import argparse

from engine.cli.output import Commands, command, group, moment, print_json, print_table, size


def add(commands: Commands) -> None:
    vectors = group(commands, "vectors", "add, list and remove vectors of your own")
    parser = command(vectors, "list", "list the vectors that were added", list_all)
    parser.add_argument("--data", metavar="ID", help="those of one data set only")
    parser = command(vectors, "add", "check a file of vectors and keep it with a data set", add_one)
    parser.add_argument("file", help="a .npy, .npz or .parquet file with one row an image")
    parser.add_argument(
        "--data",
        metavar="ID",
        help="the data set whose images they describe; without it they get one of their own",
    )
    parser.add_argument("--array", metavar="NAME", help="which array of an .npz that holds several")
    parser.add_argument("--name", help="what to call them")
    parser = command(vectors, "remove", "delete vectors that were added", remove_one)
    parser.add_argument("id", help="an id from `vectors list`")


def list_all(args: argparse.Namespace) -> None:
    from engine.data.vectors import list_vectors

    found = list_vectors(args.data)
    if args.json:
        for info in found:
            print_json(info)
        return
    rows = [
        (
            info.id,
            info.name,
            info.dataset,
            f"{info.rows:,} x {info.width:,}",
            size(info.bytes),
            moment(info.created),
        )
        for info in found
    ]
    print_table(("ID", "NAME", "DATA", "SHAPE", "SIZE", "ADDED"), rows, "No vectors were added yet.")


def add_one(args: argparse.Namespace) -> None:
    from engine.cli.data import find_set
    from engine.data.vectors import add_vectors, vectors_info
    from engine.data.vectors_alone import add_vectors_alone

    if args.data is None:
        new = add_vectors_alone(args.file, args.name, args.array)[1]
    else:
        new = add_vectors(args.file, find_set(args.data).id, args.name, args.array)
    info = vectors_info(new)
    if args.json:
        told = {"id": info.id, "encoder": info.encoder, "data": info.dataset}
        print_json({**told, "rows": info.rows, "width": info.width, "lacking": info.lacking})
        return
    how = "by the names of the files" if info.by_name else "in the order of the images"
    print(f"Added {info.rows:,} vectors of {info.width:,} numbers, {how}: draw them with")
    print(f"python -m engine project {info.encoder} --data {info.dataset}")
    if info.lacking:
        print(f"{info.lacking:,} of them hold values that are no finite numbers: maps leave them out.")


def remove_one(args: argparse.Namespace) -> None:
    from engine.data.vectors import remove_vectors

    remove_vectors(args.id)
    if args.json:
        print_json({"removed": args.id})
    else:
        print(f"Removed the vectors {args.id}.")

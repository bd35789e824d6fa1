"""`data`: list, add, show and remove data sets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from engine.cli.output import (
    Commands,
    ProgressLine,
    about,
    command,
    group,
    moment,
    print_fields,
    print_json,
    print_table,
    say,
    size,
)
from engine.errors import UserError

if TYPE_CHECKING:
    from engine.data.dataset import Dataset


def add(commands: Commands) -> None:
    data = group(commands, "data", "list, add, show and remove data sets")
    command(data, "list", "list the data sets in the workspace", list_sets)
    command(data, "catalog", "list the sets that can be added by name", list_catalog)
    parser = command(data, "add", "add a data set from the catalog, an archive or a folder", add_set)
    parser.add_argument("source", help="a catalog name, a .zip or .tar file, or a folder of class folders")
    parser.add_argument("--name", help="what to call it")
    parser.add_argument("--val-fraction", type=float, default=0.2, help="share kept for validation (0.2)")
    parser.add_argument("--test-fraction", type=float, default=0.0, help="share kept for the test (0)")
    parser.add_argument("--seed", type=int, default=0, help="decides which images are kept (0)")
    parser = command(data, "show", "tell what a data set holds", show_set)
    parser.add_argument("id", help="an id from `data list`, or a catalog name")
    parser = command(data, "remove", "delete a data set", remove_set)
    parser.add_argument("id", help="an id from `data list`")


def list_sets(args: argparse.Namespace) -> None:
    from engine.data.dataset import list_datasets

    sets = list_datasets()
    if args.json:
        for one in sets:
            print_json(
                {
                    "id": one.id,
                    "name": one.name,
                    "images": one.n,
                    "classes": len(one.classes),
                    "counts": {split: sum(counts.values()) for split, counts in one.counts.items()},
                    "labelled": one.labelled,
                    "created": one.created,
                    "source": one.source,
                    "bytes": one.bytes,
                }
            )
        return
    rows = [
        (one.id, one.name, f"{one.n:,}", len(one.classes), size(one.bytes), moment(one.created))
        for one in sets
    ]
    empty = "No data sets yet: python -m engine data add shapes"
    print_table(("ID", "NAME", "IMAGES", "CLASSES", "SIZE", "ADDED"), rows, empty)


def list_catalog(args: argparse.Namespace) -> None:
    from engine.data.catalog import CATALOG, find_catalog_set

    rows = []
    for name, entry in CATALOG.items():
        here = find_catalog_set(name) is not None
        if args.json:
            fields = ("title", "description", "classes", "images", "download_bytes", "needs_network")
            print_json({"name": name, **{field: getattr(entry, field) for field in fields}, "here": here})
        download = size(entry.download_bytes) if entry.needs_network else "none"
        rows.append((name, entry.title, f"{entry.images:,}", entry.classes, download, "yes" if here else ""))
    if not args.json:
        print_table(("NAME", "TITLE", "IMAGES", "CLASSES", "DOWNLOAD", "HERE"), rows, "The catalog is empty.")


def add_set(args: argparse.Namespace) -> None:
    from engine.data.catalog import CATALOG, find_catalog_set

    line = ProgressLine()
    try:
        if args.source in CATALOG:
            dataset = find_set(args.source) if find_catalog_set(args.source) else build(args.source)
        else:
            from engine.data.intake import add_dataset

            with about(args.source):
                dataset = add_dataset(
                    args.source,
                    name=args.name,
                    val_fraction=args.val_fraction,
                    test_fraction=args.test_fraction,
                    seed=args.seed,
                    progress=lambda progress: line.show(progress_text(progress)),
                )
    finally:
        line.end()
    _show(dataset, args.json)


def build(name: str) -> Dataset:
    """Make a set of the catalog, with progress on standard error."""
    from engine.data.catalog import build_catalog_set

    line = ProgressLine()
    try:
        return build_catalog_set(name, progress=lambda progress: line.show(progress_text(progress)))
    finally:
        line.end()


def find_set(name: str) -> Dataset:
    """The data set that an id or a catalog name means; a built-in one is made if it is not there yet.

    Raises:
        UserError: There is none; the sentence lists those there are.
    """
    from engine.data.catalog import CATALOG, find_catalog_set
    from engine.data.dataset import open_dataset

    if name in CATALOG:
        if found := find_catalog_set(name):
            return open_dataset(found)
        if not CATALOG[name].needs_network:
            return build(name)
    from engine.data.imports import resolve

    return resolve(name)


def progress_text(progress: Any) -> str:
    share = f"{progress.done:,} of {progress.total:,}" if progress.total else f"{progress.done:,}"
    return f"{progress.phase}: {share}" + (f" ({progress.note})" if progress.note else "")


def show_set(args: argparse.Namespace) -> None:
    _show(find_set(args.id), args.json)


def facts(dataset: Dataset) -> dict[str, Any]:
    """What is told about a data set."""
    report = dataset.report
    return {
        "id": dataset.id,
        "name": dataset.name,
        "images": len(dataset),
        "classes": list(dataset.classes),
        "counts": dataset.counts(),
        "labelled": dataset.is_labelled,
        "fingerprint": dataset.fingerprint,
        "splits": dataset.split_note,
        "taken": report.get("taken"),
        "skipped": report.get("skipped_count"),
        "skipped_files": report.get("skipped"),
        "ignored": report.get("ignored"),
    }


def _show(dataset: Dataset, as_json: bool) -> None:
    found = facts(dataset)
    if as_json:
        print_json(found)
        return
    counts, skipped = found.pop("counts"), found.pop("skipped_files") or []
    classes = found.pop("classes")
    print_fields({**found, "images": f"{found['images']:,}", "classes": len(classes)})
    splits = [split for split, inner in counts.items() if inner]
    rows = [(name, *(counts[split].get(name, 0) for split in splits)) for name in classes]
    if rows:
        print()
        print_table(("CLASS", *splits), rows, "")
    for one in skipped[:10]:
        say(f"skipped {one.get('name')}: {one.get('reason')}")


def remove_set(args: argparse.Namespace) -> None:
    from engine.data.dataset import open_dataset
    from engine.removal import remove_data
    from engine.runs.store import RunStore

    name = open_dataset(args.id).name
    if RunStore().in_use(args.id):
        raise UserError("A queued or running run uses this data set: stop it first, then remove the set.")
    remove_data(args.id)
    if args.json:
        print_json({"removed": args.id})
    else:
        print(f"Removed {name!r}.")

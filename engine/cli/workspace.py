"""`workspace`: every run, or those chosen, as one zip for another installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.export import Told, new_file, wrote
from engine.cli.output import Commands, about, command, group, print_json, print_table, say
from engine.errors import UserError


def add(commands: Commands) -> None:
    workspace = group(commands, "workspace", "pack every finished run, or take packed ones in")
    parser = command(workspace, "export", "write every finished run to one zip", export)
    parser.add_argument("run", nargs="*", help="these finished runs alone")
    parser.add_argument(
        "--with-data",
        action="store_true",
        help="pack the data sets that they learned from too; nothing in them tells place, camera or author",
    )
    parser.add_argument("--out", metavar="FILE", help="where to (workspace.zip beside you)")
    parser = command(workspace, "import", "take in every run of a zip", take_in)
    parser.add_argument("file", help="a zip that `export --format zip` or `workspace export` wrote")


def export(args: argparse.Namespace) -> None:
    from engine.export.run_zip import finished_runs, write_runs_zip
    from engine.files import beside
    from engine.runs.store import RunStore

    out = new_file(args.out, "workspace.zip")
    runs = list(dict.fromkeys(args.run)) or finished_runs(RunStore())
    if not runs:
        raise UserError("There is no finished run to pack: train one first.")
    line = Told()
    try:
        with beside(out) as part:
            write_runs_zip(runs, part, line, with_data=args.with_data)
    finally:
        line.end()
    wrote(out, args.json)


def take_in(args: argparse.Namespace) -> None:
    from engine.export.run_import import import_runs

    line = Told()
    try:
        with about(args.file):
            found = import_runs(Path(args.file), line)
    finally:
        line.end()
    if args.json:
        for run in found:
            print_json(run)
        return
    for name in dict.fromkeys(run.data for run in found if run.brought):
        say(f"The data set {name} came along.")
    for sentence in dict.fromkeys(run.missing for run in found if run.missing):
        say(sentence)
    rows = [(run.id, run.was if run.was != run.id else "", run.data, run.name) for run in found]
    print_table(("RUN", "WAS", "DATA", "NAME"), rows, "")

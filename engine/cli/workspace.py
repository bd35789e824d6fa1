"""`workspace`: every run as one zip, for another installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.export import Told, new_file, wrote
from engine.cli.output import Commands, command, group, print_json, print_table, say
from engine.errors import UserError


def add(commands: Commands) -> None:
    workspace = group(commands, "workspace", "pack every finished run, or take packed ones in")
    parser = command(workspace, "export", "write every finished run to one zip, without data sets", export)
    parser.add_argument("--out", metavar="FILE", help="where to (workspace.zip beside you)")
    parser = command(workspace, "import", "take in every run of a zip", take_in)
    parser.add_argument("file", help="a zip that `export --format zip` or `workspace export` wrote")


def export(args: argparse.Namespace) -> None:
    from engine.export.run_zip import finished_runs, write_runs_zip
    from engine.files import replace
    from engine.runs.store import RunStore

    out = new_file(args.out, "workspace.zip")
    runs = finished_runs(RunStore())
    if not runs:
        raise UserError("There is no finished run to pack: train one first.")
    line, part = Told(), out.with_name(f".{out.name}.part")
    try:
        write_runs_zip(runs, part, line)
        replace(part, out)
    except OSError:
        raise UserError(f"{out.name[:80]} cannot be written: check the folder and its free space.") from None
    finally:
        line.end()
        part.unlink(missing_ok=True)
    wrote(out, args.json)


def take_in(args: argparse.Namespace) -> None:
    from engine.export.run_import import import_runs

    line = Told()
    try:
        found = import_runs(Path(args.file), line)
    finally:
        line.end()
    if args.json:
        for run in found:
            print_json(run)
        return
    for sentence in dict.fromkeys(run.missing for run in found if run.missing):
        say(sentence)
    rows = [(run.id, run.was if run.was != run.id else "", run.data, run.name) for run in found]
    print_table(("RUN", "WAS", "DATA", "NAME"), rows, "")

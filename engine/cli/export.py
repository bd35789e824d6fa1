"""`export`: what a finished run leaves, written to a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.output import Commands, ProgressLine, command, print_json
from engine.data.progress import Progress
from engine.errors import UserError
from engine.export.run_formats import RUN_FORMATS, run_format

FORMATS = "; ".join(f"{name}: {known.title}" for name, known in RUN_FORMATS.items())


def add(commands: Commands) -> None:
    parser = command(
        commands, "export", "write a run's network, features, report or all of it to a file", export
    )
    parser.add_argument("run", help="a finished run")
    parser.add_argument("--format", required=True, choices=tuple(RUN_FORMATS), metavar="FORMAT", help=FORMATS)
    parser.add_argument("--out", metavar="FILE", help="where to (beside you, named after the run)")


def export(args: argparse.Namespace) -> None:
    from engine.export.take import write_run

    out = new_file(args.out, run_format(args.format).name(args.run))
    line = Told()
    try:
        write_run(args.run, args.format, out, line)
    finally:
        line.end()
    wrote(out, args.json)


class Told(ProgressLine):
    """A progress line that takes what writers report."""

    def __call__(self, progress: Progress) -> None:
        amount = f" {progress.done:,} of {progress.total:,}" if progress.total else ""
        self.show(f"{progress.phase}{amount} {progress.note}".rstrip())


def new_file(named: str | None, usual: str) -> Path:
    """The file to write; never one that is there.

    Raises:
        UserError: It is there.
    """
    out = Path(named or usual)
    if out.exists():
        raise UserError(f"{out.name[:80]} exists already: name another file with --out.")
    return out


def wrote(out: Path, as_json: bool) -> None:
    """Tell which file was written, and how large it is."""
    print_json({"file": out.name, "bytes": out.stat().st_size}) if as_json else print(f"Wrote {out.name}.")

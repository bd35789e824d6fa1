"""Reads the command, runs it, and turns every problem into one sentence and an exit code."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from engine.cli import (
    compare,
    data,
    export,
    learn,
    people,
    predict,
    probe,
    project,
    registry,
    runs,
    vectors,
    weights,
    workspace,
)
from engine.cli.output import say
from engine.errors import UserError
from engine.files import NO_SPACE
from engine.logs import told

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
WORDS = 220  # letters of argparse's complaint, which quotes whole what was typed

UNEXPECTED = "An unexpected error ended this command; with REPLAB_DEBUG=1 it tells the details."
NOT_OURS = (
    "Something may not be written here: make the workspace writable, or set REPLAB_WORKSPACE to another."
)
DISK = {number: "The disk is full: free some space, then try again." for number in NO_SPACE}
DISK |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), NOT_OURS)

DESCRIPTION = "Representation Lab: see how networks learn to represent images."
EPILOG = "Example: python -m engine train classification --data shapes --set epochs=5"


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a wrong command with one sentence."""

    def error(self, message: str) -> NoReturn:
        shown = message if len(message) <= WORDS else message[: WORDS - 1] + "…"
        say(f"{shown[:1].upper()}{shown[1:]}; {self.prog} --help shows what there is.")
        raise SystemExit(BAD_INPUT)


def build_parser() -> Parser:
    """All commands with their help."""
    parser = Parser(prog="python -m engine", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    groups = (data, registry, weights, vectors, learn, runs, probe, compare, project, predict, export)
    for group in (*groups, workspace, people):
        group.add(commands)
    return parser


def main(argv: Sequence[str]) -> int:
    """Carry out one command; gives 0, or 2 for bad input, 1 for a failed run, 130 for Ctrl-C."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run_command(args) or 0)
    except UserError as error:
        say(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        say("Stopped.")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("REPLAB_DEBUG"):
            print(told(error), file=sys.stderr)
        say(DISK.get(getattr(error, "errno", None), UNEXPECTED))
        return FAILED

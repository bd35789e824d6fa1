"""A command carried out in this process, as the terminal would."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.cli.main import main

Command = Callable[..., tuple[int, list[Any], str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """(exit code, JSON objects on standard output, standard error) of a command."""

    def carry_out(*argv: str) -> tuple[int, list[Any], str]:
        try:
            code = main([*argv, "--json"])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return carry_out

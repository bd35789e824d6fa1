"""No way to the network and no weights in the cache: said at once, with what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.models.encoder import build_encoder, check_encoder
from engine.runs.store import RunStore
from engine.training.cost import estimate
from tests.faults.conftest import ROOT, carried_out, tiny

PATIENCE = 60  # seconds; a wait for the network would take two minutes and more


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise AssertionError("somebody asked the network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_pretrained_weights_that_are_not_here_are_refused_at_once(shapes: Dataset, no_network: None) -> None:
    began = time.monotonic()
    recipe = tiny(shapes).model_copy(update={"backbone": "torchvision:resnet18", "image_size": 64})
    for ask in (
        lambda: check_encoder("torchvision:resnet18", 64),
        lambda: build_encoder("torchvision:resnet18", 64),
        lambda: estimate(recipe),
    ):
        with pytest.raises(UserError, match="not on this machine: download them .* or start from random"):
            ask()
    run = RunStore().get(carried_out(recipe))
    assert run.state == "failed" and run.error and "not on this machine" in run.error
    assert time.monotonic() - began < PATIENCE


def cut_off() -> list[str]:
    """What begins a command that shall have no network."""
    command = ["unshare", "-rn", "true"]
    if not shutil.which("unshare") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the network cannot be taken from a process here")
    return ["unshare", "-rn"]


def test_without_a_network_a_download_and_a_training_say_so_at_once(shapes: Dataset, tmp_path: Path) -> None:
    env = {**os.environ, "TORCH_HOME": str(tmp_path / "empty")}
    train = [
        "-m",
        "engine",
        "train",
        "classification",
        "--data",
        "shapes",
        "--backbone",
        "torchvision:resnet18",
    ]
    download = [
        "-c",
        "from engine.errors import UserError; from engine.models.pretrained import ensure_pretrained\n"
        "try: ensure_pretrained('resnet18')\n"
        "except UserError as error: print(error); raise SystemExit(2)",
    ]
    for arguments, words in ((train, "not on this machine"), (download, "no way to the network from here")):
        said = subprocess.run(
            [*cut_off(), sys.executable, *arguments],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        told = said.stdout + said.stderr
        assert said.returncode in (1, 2) and words in told and "Traceback" not in told

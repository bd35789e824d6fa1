"""A real training in a real process, killed with -9 in mid-epoch: Resume equals the unbroken run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.drawn_sets import build_shapes
from engine.runs.store import RunStore

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ["train", "classification", "--data", "shapes", "--set", "epochs=5", "--set", "batch_size=16"]


def engine(*argv: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine", *argv]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, json.loads(out.splitlines()[-1]), err


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_killed_and_resumed_equals_unbroken(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_EXECUTOR", "local")
    monkeypatch.setenv("REPLAB_THREADS", "1")
    build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 320, "val": 40, "test": 40})
    code, unbroken, err = ended(engine(*TRAIN, "--json"))
    assert code == 0, err
    store = RunStore()

    broken = engine(*TRAIN, "--again", "--json")
    end = time.monotonic() + 120
    while True:
        assert time.monotonic() < end and broken.poll() is None
        runs = [run for run in store.list() if run.id != unbroken["run"]]
        progress = store.progress(runs[0].id) if runs else {}
        if progress.get("epoch", 0) >= 3 and progress.get("step", 0) >= 1:
            break
        time.sleep(0.01)
    pid = store.status(runs[0].id).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    code, killed, err = ended(broken)
    assert code == 1 and killed["state"] == "interrupted" and "Resume" in err
    assert 2 <= store.get(killed["run"]).epoch < 5, "finished epochs are kept"

    code, resumed, err = ended(engine("runs", "resume", killed["run"], "--json"))
    assert code == 0 and resumed["state"] == "done", err
    for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert resumed["metrics"][key] == pytest.approx(unbroken["metrics"][key], abs=1e-6)
    one, other = store.curve(unbroken["run"])["epochs"], store.curve(resumed["run"])["epochs"]
    assert [row["epoch"] for row in other] == [1, 2, 3, 4, 5]
    assert [row["val_loss"] for row in other] == pytest.approx([row["val_loss"] for row in one], abs=1e-6)
    first, second = store.predictions(unbroken["run"]), store.predictions(resumed["run"])
    assert first and second
    assert np.abs(first["probabilities"] - second["probabilities"]).max() < 1e-6


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_stops_the_run_and_says_how_to_go_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_EXECUTOR", "local")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, and inherited so, in the background
    build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 320, "val": 40, "test": 0})
    process = engine("train", "classification", "--data", "shapes", "--set", "epochs=500", "--json")
    store = RunStore()
    end = time.monotonic() + 120
    while not [run for run in store.list() if run.epoch >= 1]:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    code, told, err = ended(process)
    assert code == 130 and told["state"] == "stopped" and "resume" in err
    assert time.monotonic() - asked < 20

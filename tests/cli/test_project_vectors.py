"""`project vectors:ID`: maps of vectors of one's own, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.cli.main import main
from engine.data.drawn_sets import build_shapes
from engine.data.vectors import add_vectors
from engine.evaluation.map_result import read_map
from engine.runs.store import RunStore


def test_a_map_of_vectors_is_that_of_their_numbers(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 20, "val": 10, "test": 10})
    x = np.random.default_rng(0).normal(size=(40, 6)) * np.arange(6, 0, -1)
    np.save(tmp_path / "x.npy", x)
    name = f"vectors:{add_vectors(tmp_path / 'x.npy', 'shapes', 'Mine')}"
    assert main(["project", name, "--data", "shapes", "--method", "pca", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = read_map(told["run"])
    assert found is not None and told["points"] == 40 and RunStore().get(told["run"]).name == "Mine · Shapes"
    axes = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:2]
    wanted = (x - x.mean(0))[found.index] @ axes.T
    assert found.panels[0].positions is not None
    assert np.allclose(np.abs(found.panels[0].positions), np.abs(wanted), atol=1e-3)
    assert len(shapes) == 40


def test_vectors_that_are_not_here_are_told_before_a_run_is_made(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 20, "val": 10, "test": 10})
    for name in ("vectors:nosuchvectors", "vectors:../etc"):
        assert main(["project", name, "--data", "shapes"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert RunStore().list() == []

"""The process that reads a table from outside is killed, falls, hangs or babbles: one sentence, none kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.data import vector_files
from engine.data.dataset import Dataset
from engine.data.vectors import add_vectors, list_vectors
from engine.errors import UserError


@pytest.mark.skipif(os.name == "nt", reason="the child is a shell script")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -KILL $$", "could not be read"),
        ("kill -SEGV $$", "could not be read"),
        ("exec sleep 30", "took too long"),
        ("echo '[1]'", "could not be read"),
        ("echo '{\"ok\": true}'; exit 1", "could not be read"),
    ],
    ids=["killed", "segfault", "hangs", "answers with a list", "fails after all"],
)
def test_a_data_loading_child_that_falls_is_one_sentence(
    shapes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    table, child = tmp_path / "t.parquet", tmp_path / "child"
    table.write_bytes(b"PAR1" + bytes(99) + b"PAR1")
    child.write_text(f"#!/bin/sh\n{script}\n")
    child.chmod(0o755)
    monkeypatch.setattr(vector_files.sys, "executable", str(child))
    monkeypatch.setattr(vector_files, "CHILD_SECONDS", 0.5 if "sleep" in script else 60)
    with pytest.raises(UserError, match=words):
        add_vectors(table, shapes.id)
    assert list_vectors() == []
    tmp = shapes.root.parents[1] / "tmp"
    assert not tmp.exists() or list(tmp.iterdir()) == []

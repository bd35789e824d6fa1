"""What must hold of weights: no stranger's pickle is read here, and a child that falls is one sentence."""

from __future__ import annotations

import ast
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.models import weights
from engine.models.weights import list_weights
from tests.data.conftest import PLAIN, handmade_zip, members
from tests.security.conftest import Command
from tests.security.hostile import ARCH, FIRST, GOOD, pth, tensors

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "app.py", *(path for top in ("engine", "pages") for path in (ROOT / top).rglob("*.py"))]
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
SAFE_LOADS = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}
OF_TORCH = {  # where torch.load may be at all: the child, our own checkpoints, files of a known hash
    "engine/models/weights_child.py",
    "engine/training/checkpoint.py",
    "engine/models/pretrained.py",
}
ALLOWED = {"engine/export/program.py": ["torch.jit.load"]}  # compares the file it has just written
CHILDREN = {"engine/data/parquet_child.py"}  # itself a child process; takes the memory limit


def dangers(source: str) -> Iterator[str]:
    """Every way in which a source would turn a file or a text into code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in UNSAFE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), [ast.unparse(word) for word in node.keywords]
            if called in ("eval", "exec", "compile", "yaml.load", "yaml.unsafe_load", "os.system"):
                yield called
            if called in ("torch.load", "np.load", "numpy.load", "torch.jit.load") and (
                SAFE_LOADS.get(called) not in given
            ):
                yield called
            if "shell=True" in given:
                yield "shell=True"


def test_b16_no_file_or_text_is_turned_into_code() -> None:
    found = {path.relative_to(ROOT).as_posix(): list(dangers(path.read_text())) for path in SOURCES}
    assert len(found) > 100 and {name: what for name, what in found.items() if what} == ALLOWED
    loads = {path.relative_to(ROOT).as_posix() for path in SOURCES if "torch.load(" in path.read_text()}
    assert loads <= OF_TORCH


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, mmap_mode='r')",
        "yaml.load(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_b16_the_rule_finds_an_offender(line: str) -> None:
    assert list(dangers(f"def f():\n    {line}\n"))


def test_b17_this_process_never_opens_a_strangers_pickle(
    workspace: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *told, **more: pytest.fail("it was read in this process"))
    (tmp_path / "w.pth").write_bytes(pth(tensors()))
    code, told, err = command("weights", "add", str(tmp_path / "w.pth"), "--arch", ARCH)
    assert code == 0, err
    assert [info.id for info in list_weights()] == [told[0]["id"]]
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if re.search(r"^\s*(import|from) .*\bweights_child\b", path.read_text(), re.MULTILINE)
    }
    assert importers <= CHILDREN


def test_b17_the_loader_refuses_in_any_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models import weights_child

    (tmp_path / "w.pth").write_bytes(pth(tensors()))
    monkeypatch.setattr(torch, "load", lambda *told, **more: pytest.fail("it was read in this process"))
    with pytest.raises(RuntimeError, match="process of its own"):
        weights_child.read(tmp_path / "w.pth")


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is carried out in place of Python when a .pth is to be read: a script to fill in."""
    path = tmp_path / "child"
    monkeypatch.setattr(weights.sys, "executable", str(path))
    (tmp_path / "w.pth").write_bytes(b"x" * 99)
    return path


@pytest.mark.skipif(os.name == "nt", reason="the child is a shell script")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -SEGV $$", "could not be read"),
        ("kill -KILL $$", "could not be read"),
        ("sleep 30", "took too long"),
        ("echo '{\"ok\": true}'", "could not be read"),
        ("printf '\\377\\376 no JSON'; exit 0", "could not be read"),
        ("echo '[1]'; exit 1", "could not be read"),
    ],
    ids=["segfault", "killed", "hangs", "says done without a file", "babbles", "answers with a list"],
)
def test_b18_a_child_that_falls_is_one_sentence(
    child: Path,
    tmp_path: Path,
    workspace: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    words: str,
) -> None:
    child.write_text(f"#!/bin/sh\n{script.replace('sleep', 'exec sleep')}\n")
    child.chmod(0o755)
    monkeypatch.setattr(weights, "CHILD_SECONDS", 0.5 if "sleep" in script else 60)
    code, told, err = command("weights", "add", str(tmp_path / "w.pth"), "--arch", ARCH)
    assert code == 2 and told == [] and len(err) <= 301
    assert "w.pth" in err and words in err
    assert list_weights() == [] and list((workspace / "tmp").glob("*")) == []


@pytest.mark.skipif(os.name == "nt", reason="the child is a shell script")
def test_b38_the_child_is_told_no_secret(
    child: Path, tmp_path: Path, workspace: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "swordfish")
    child.write_text(f"#!/bin/sh\nenv > {tmp_path}/told\n")
    child.chmod(0o755)
    assert command("weights", "add", str(tmp_path / "w.pth"), "--arch", ARCH)[0] == 2
    told = {line.partition("=")[0] for line in (tmp_path / "told").read_text().splitlines()}
    assert "PATH" in told and not {"MY_TOKEN", "HOME", "REPLAB_WORKSPACE"} & told
    assert "swordfish" not in (tmp_path / "told").read_text()


def test_b19_weights_that_do_not_fit_are_told_with_five_names_and_both_shapes(
    workspace: Path, tmp_path: Path, command: Command
) -> None:
    from safetensors.torch import save

    path = tmp_path / "w.safetensors"
    path.write_bytes(GOOD)
    code, _, err = command("weights", "add", str(path), "--arch", "resnet18")
    assert code == 2 and err.count("conv1") <= 5 and " more" in err and len(err) <= 301
    path.write_bytes(save(tensors(**{FIRST: torch.zeros(2, 3)})))
    _, _, err = command("weights", "add", str(path), "--arch", ARCH)
    assert "2×3" in err and "×".join(map(str, tensors()[FIRST].shape)) in err and FIRST in err


def test_b21_no_command_asks_the_network(
    workspace: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(*told: object, **more: object) -> None:
        asked.append(told)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    (tmp_path / "set.zip").write_bytes(handmade_zip(members(PLAIN)))
    (tmp_path / "w.safetensors").write_bytes(GOOD)
    code, told, _ = command("data", "add", str(tmp_path / "set.zip"))
    assert code == 0
    code, added, _ = command("weights", "add", str(tmp_path / "w.safetensors"), "--arch", ARCH)
    assert code == 0
    train = ["train", "classification", "--data", told[0]["id"], "--image-size", "32", "--set", "epochs=1"]
    assert command(*train, "--backbone", added[0]["backbone"])[0] == 0
    for name in ("hf-hub:a/b", "http://127.0.0.1/x", "torchvision:nope", "timm:resnet18"):
        assert command(*train, "--backbone", name)[0] == 2
    command(*train, "--backbone", "torchvision:resnet18")
    assert asked == []

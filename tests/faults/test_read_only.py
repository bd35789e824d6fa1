"""Folders that may not be written, no HOME, a user whom nobody knows: it starts, or says one line."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import ROOT

CAPABILITIES = "dac_override,dac_read_search,fowner"
BOUND = [
    "setpriv",
    *(f"--{kind}=-{CAPABILITIES.replace(',', ',-')}" for kind in ("bounding-set", "inh-caps")),
]
# a user without a name or a home, who may still read where this Python is installed
UNKNOWN = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
UNKNOWN += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def allowed(command: list[str]) -> bool:
    try:
        return not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    except OSError:
        return False


def modes_bind() -> list[str]:
    """What makes modes bind the command behind it, as they bind everybody but root."""
    if os.geteuid():
        return []
    if not allowed(BOUND):
        pytest.skip("root cannot be held to the modes of files here")
    return BOUND


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="replab-"))
    path.chmod(0o755)
    yield path
    for folder in (path, *path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if folder.is_dir():
                folder.chmod(0o755)
    shutil.rmtree(path, ignore_errors=True)


def tell(command: list[str]) -> tuple[int, str]:
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    told = said.stdout + said.stderr
    assert "Traceback" not in told, told
    return said.returncode, told


def engine(who: list[str], workspace: Path, *arguments: str) -> tuple[int, str]:
    env = [
        "env",
        "-i",
        f"PATH={os.environ['PATH']}",
        f"REPLAB_WORKSPACE={workspace}",
        "REPLAB_MIN_FREE_BYTES=0",
    ]
    return tell([*who, *env, sys.executable, "-m", "engine", *arguments])


def test_a_workspace_that_may_not_be_written_is_one_line(place: Path, drawn: Path) -> None:
    who, workspace = modes_bind(), place / "workspace"
    shutil.copytree(drawn, workspace / "datasets" / "shapes")
    for folder in (workspace, *workspace.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o555)
    code, told = engine(who, workspace, "data", "list")
    assert code == 0 and "shapes" in told, told
    for words in (["data", "add", "digits"], ["train", "classification", "--data", "shapes"]):
        code, told = engine(who, workspace, *words)
        assert code in (1, 2) and len(told.strip().splitlines()) == 1 and "written" in told, told
    code, told = server(who, workspace)
    assert code != 0 and "cannot be written" in told and str(workspace) in told, told
    last = told.strip().splitlines()[-1]  # after what Streamlit says of itself
    assert last.startswith("Representation Lab did not start: ") and "REPLAB_WORKSPACE" in last, told


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def server(who: list[str], workspace: Path) -> tuple[int, str]:
    """Start the server; (0, first page) once it answers, else how it ended, after which it is gone."""
    port = free_port()
    command = [*who, "env", "-i", f"PATH={os.environ['PATH']}", f"REPLAB_WORKSPACE={workspace}"]
    command += ["REPLAB_MIN_FREE_BYTES=0"]
    command += [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            end = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < end:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                        return 0, answer.read().decode()
                except OSError:
                    time.sleep(0.1)
            process.kill()
            process.wait()
            log.seek(0)
            return process.returncode, log.read().decode()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)


def test_without_home_and_with_a_read_only_package_it_starts(place: Path) -> None:
    """The package is root's own, and modes bind: no file of it can be written, none is."""
    who, workspace = modes_bind(), place / "workspace"
    workspace.mkdir()
    (workspace / "first-start.json").write_text("{}")  # else it would begin to draw sets
    copy = place / "package"
    ignore = shutil.ignore_patterns(".git", ".venv", "tests", "out", "workspace", "__pycache__", "benchmarks")
    shutil.copytree(ROOT, copy, ignore=ignore)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    env = [
        "env",
        "-i",
        f"PATH={os.environ['PATH']}",
        f"REPLAB_WORKSPACE={workspace}",
        "REPLAB_MIN_FREE_BYTES=0",
    ]
    command = [*who, *env, sys.executable, "-m", "engine", "data", "list"]
    said = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 0 and "Traceback" not in said.stderr, said.stderr
    code, page = server(who, workspace)
    assert code == 0 and "<html" in page, page
    assert list(copy.rglob("__pycache__")) == []


def test_the_default_workspace_in_a_read_only_package_is_one_line(place: Path) -> None:
    who = modes_bind()
    copy = place / "package"
    shutil.copytree(ROOT / "engine", copy / "engine", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    env = ["env", "-i", f"PATH={os.environ['PATH']}", "REPLAB_MIN_FREE_BYTES=0"]
    command = [*who, *env, sys.executable, "-m", "engine", "data", "add", "shapes"]
    said = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode in (1, 2) and "Traceback" not in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1 and "written" in said.stderr, said.stderr


@pytest.mark.skipif(
    bool(os.geteuid()) or not allowed(UNKNOWN), reason="takes root, to become somebody unknown"
)
def test_a_user_without_name_and_home_can_work(place: Path) -> None:
    workspace = place / "workspace"
    workspace.mkdir()
    workspace.chmod(0o777)
    code, told = engine(UNKNOWN, workspace, "data", "list")
    assert code == 0, told
    home = "from engine.models.pretrained import cache_folder, weights_available as here; "
    home += "print(cache_folder(), here('resnet18'))"
    env = ["env", "-i", f"PATH={os.environ['PATH']}", f"REPLAB_WORKSPACE={workspace}"]
    code, told = tell([*UNKNOWN, *env, sys.executable, "-c", home])
    assert code == 0 and told.split() == [f"{workspace}/cache/torch/hub/checkpoints", "False"]

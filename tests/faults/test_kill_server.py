"""kill -9 of the web server while a run trains and an upload comes; two servers, one port, a dead lock."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.data import imports
from engine.data.dataset import Dataset
from engine.files import write_json
from engine.lock import is_locked
from engine.runs import layout
from engine.runs.store import RunStore
from tests.browser.conftest import ROOT, Server
from tests.faults.conftest import alive, check_whole, processes_of, tiny
from tests.runs.conftest import wait_for

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")


@pytest.fixture
def served(
    workspace: Path, shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Server]]:
    """Makes servers of this workspace, which builds no sets of its own at its first start."""
    write_json(workspace / "first-start.json", {"built": []})
    servers: list[Server] = []

    def make(**environment: str) -> Server:
        servers.append(Server(workspace, REPLAB_THREADS="1", **environment))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()
    for run in RunStore().list():
        RunStore().request_stop(run.id, force=True)
    wait_for(lambda: processes_of(workspace) == [], 30)


def half_an_upload(server: Server) -> socket.socket:
    """Send two of five megabytes and leave the rest for later."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    size = 5_000_000
    lines = ["PUT /lab/upload HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Origin: {server.url}"]
    lines += ["X-Replab: 1", "X-File-Name: set.zip", f"Content-Length: {size}"]
    connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode() + bytes(2_000_000))
    return connection


def answers(server: Server) -> bool:
    with urllib.request.urlopen(f"{server.url}/", timeout=10) as answer:
        return answer.status == 200


class Killer:
    """Kills a server again and again beside one long run, and checks the workspace each time."""

    def __init__(self, dataset: Dataset, server: Server, seed: int) -> None:
        self.store, self.server, self.random = RunStore(), server, random.Random(seed)
        self.run_id = self.store.create(tiny(dataset, epochs=2000)).id
        # the server finds a run that was left in the queue, and gives it a runner: its own child
        layout.write_status(self.store.folder(self.run_id), submitted=1.0, created=1.0)
        self.server.start()
        wait_for(lambda: self.store.get(self.run_id).epoch >= 1, 90)
        self.pids = self._pids()

    def _pids(self) -> tuple[int | None, int | None]:
        status = self.store.status(self.run_id)
        return status.runner, status.pid

    def round(self) -> None:
        uploads = self.server.workspace / "uploads"
        connection = half_an_upload(self.server) if self.random.random() < 0.5 else None
        if connection is not None and self.random.random() < 0.7:
            wait_for(lambda: any(uploads.glob("*.part")), 20)
        time.sleep(self.random.uniform(0, 1))
        before = self.store.get(self.run_id).epoch
        assert self.server.process is not None
        os.killpg(
            self.server.process.pid, signal.SIGKILL
        )  # with all of its session, as a closed terminal does
        self.server.process.wait()
        if connection is not None:
            connection.close()
        wait_for(lambda: self.store.get(self.run_id).epoch > before, 60)
        assert self.store.get(self.run_id).state == "running" and self._pids() == self.pids
        self.server.start()
        assert answers(self.server)
        assert self.store.get(self.run_id).state == "running" and self._pids() == self.pids
        wait_for(lambda: list(uploads.glob("*.part")) == [], 20)
        assert [path.name for path in (self.server.workspace / "datasets").iterdir()] == ["shapes"]
        assert imports.list_imports() == []

    def end(self) -> None:
        self.store.request_stop(self.run_id)
        wait_for(lambda: self.store.get(self.run_id).state == "stopped", 60)
        check_whole(self.run_id)
        starts = [row for row in self.store.rows(self.run_id)[0] if row["kind"] == "start"]
        assert len(starts) == 1 and self.store.get(self.run_id).attempt == 1, "the training noticed nothing"
        folder = self.store.folder(self.run_id)
        wait_for(lambda: not is_locked(folder / layout.LOCK), 10)
        wait_for(lambda: not any(alive(pid or 0) for pid in self.pids), 10)


def test_killed_while_training_and_uploading(served: Callable[..., Server], shapes: Dataset) -> None:
    killer = Killer(shapes, served(), seed=3)
    killer.round()
    killer.end()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times(served: Callable[..., Server], shapes: Dataset) -> None:
    rounds, minutes = int(os.environ.get("FAULT_ROUNDS", "100")), float(os.environ.get("FAULT_MINUTES", "55"))
    killer, end, done = Killer(shapes, served(), seed=time.time_ns()), time.monotonic() + 60 * minutes, 0
    while done < rounds and time.monotonic() < end:
        killer.round()
        done += 1
        print(f"{done} kills of the server, epoch {killer.store.get(killer.run_id).epoch}", flush=True)
    killer.end()
    assert done >= min(rounds, 20)


def refused(server: Server, port: int) -> str:
    """What a server says that ends at once."""
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    said = subprocess.run(
        command, cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=90, check=False
    )
    told = said.stdout + said.stderr
    assert said.returncode != 0 and "Traceback" not in told, told
    return told


def test_a_second_server_is_refused_and_a_dead_ones_lock_does_not_block(
    served: Callable[..., Server], workspace: Path, tmp_path: Path
) -> None:
    first = served()
    first.start()
    told = refused(first, first.port + 1)
    assert f"already running on this workspace at {first.url};" in told.strip().splitlines()[-1]
    elsewhere = Server(tmp_path / "other")
    told = refused(elsewhere, first.port)
    assert "port" in told.lower() and str(first.port) in told, told
    assert first.process is not None
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    assert (workspace / "server.lock").exists() and (workspace / "server.json").exists()
    first.start()
    assert answers(first)
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    with contextlib.suppress(OSError):
        first.stop()

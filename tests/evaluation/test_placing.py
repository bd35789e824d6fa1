"""Placing pictures in a process of its own: the same places, and a crash, a stop or nonsense is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.data.dataset import Dataset
from engine.data.source import Entry
from engine.errors import UserError
from engine.evaluation import placing
from engine.evaluation.map_result import LatentMap
from engine.evaluation.new_pictures import read_pictures, side_of
from engine.evaluation.new_points import place_pictures
from engine.evaluation.placing import (
    PlacingStatus,
    clear_placing,
    placing_folder,
    placing_status,
    read_found,
    start_placing,
    stop_placing,
)
from engine.lock import release, try_lock
from engine.runs.store import RunStore
from engine.settings import PROJECT_ROOT, settings
from tests.evaluation.test_new_points import drawn_map, noise, shapes

__all__ = ["shapes"]


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REPLAB_EXECUTOR", "local")
    yield
    for child in placing._children.values():
        child.kill()
        child.wait()
    placing._children.clear()


def ended(name: str, within: float = 60) -> PlacingStatus:
    deadline = time.monotonic() + within
    while (status := placing_status(name)).state == "running":
        assert time.monotonic() < deadline, status
        time.sleep(0.05)
    return status


def only_run() -> str:
    (run,) = RunStore().list()
    return run.id


def test_a_process_of_its_own_finds_what_this_one_would(shapes: Dataset, own_process: None) -> None:
    found = drawn_map(shapes, "pixels", ("pca", "laplacian_eigenmaps"))
    named = [("../../x.png", noise()), ("notes", b"no picture"), ("0", shapes.raw_bytes(3))]
    name = start_placing(only_run(), named)
    assert ended(name).state == "done"
    wanted = place_pictures(found, read_pictures((Entry(*pair) for pair in named), side_of(found.recipe)))
    new = read_found(name)
    assert new.pictures.names == wanted.pictures.names and new.pictures.skipped == wanted.pictures.skipped
    for what in ("neighbours", "distances", "label", "votes", "far"):
        assert np.array_equal(getattr(new, what), getattr(wanted, what)), what
    assert np.array_equal(new.pictures.pixels, wanted.pictures.pixels)
    assert new.far_beyond == wanted.far_beyond
    for mine, theirs in zip(new.panels, wanted.panels, strict=True):
        assert (mine.method, mine.title, mine.by_method) == (theirs.method, theirs.title, theirs.by_method)
        assert np.array_equal(mine.positions, theirs.positions)
        assert np.array_equal(mine.beside, theirs.beside)
    assert not (placing_folder(name) / placing.PICTURES).exists(), "dropped pictures are not kept"
    clear_placing(name)
    assert not placing_folder(name).exists() and not placing._children
    with pytest.raises(UserError, match="drop them again"):
        read_found(name)


def test_a_process_that_is_killed_or_stopped_leaves_this_one_alone(
    shapes: Dataset, own_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_map(shapes)
    name = start_placing(only_run(), [("a.png", noise())])
    os.kill(placing._children[name].pid, signal.SIGSEGV)
    status = ended(name)
    assert status.state == "failed" and "a library crashed" in str(status.error)
    monkeypatch.setattr(placing, "PATIENCE", 0.0)  # it is not asked twice
    other = start_placing(only_run(), [("a.png", noise())])
    stop_placing(other)
    assert placing_status(other).stopping or placing_status(other).state == "stopped"
    assert ended(other).state == "stopped"
    for one in (name, other):
        clear_placing(one)
    assert not list(settings().tmp.iterdir())


def test_a_stop_is_heard_at_each_step(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    found = drawn_map(shapes, "pixels", ("pca", "kernel_pca"))
    pictures = read_pictures([Entry("a", noise())], side_of(found.recipe))
    from engine.data.progress import Progress, Stopped

    told: list[Progress] = []
    place_pictures(found, pictures, told.append)
    assert [step.phase for step in told][-2:] == ["placing them by PCA", "placing them by Kernel PCA"]
    assert told[-1].done == 1 and told[-1].total == 2
    for after in range(len(told)):
        heard: list[Progress] = []
        with pytest.raises(Stopped):
            place_pictures(found, pictures, heard.append, lambda heard=heard, n=after: len(heard) >= n)
        assert [step.phase for step in heard] == [step.phase for step in told[:after]]
    with pytest.raises(Stopped):
        read_pictures([Entry("a", noise())], 16, stop=lambda: True)


def test_what_cannot_be_placed_is_one_sentence(shapes: Dataset) -> None:
    drawn_map(shapes)
    name = start_placing(only_run(), [("a", b"no picture")])
    status = placing_status(name)
    assert status.state == "failed" and "no picture to place" in str(status.error)
    clear_placing(name)
    with pytest.raises(UserError, match="valid run id"):
        start_placing("../x", [("a", noise())])
    assert not list(settings().tmp.iterdir()), "nothing half-written stays"
    with pytest.raises(UserError, match="valid placing id"):
        placing_status("../x")


def test_something_unexpected_is_one_sentence_too(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.evaluation import placing_worker

    def broken(*args: object) -> LatentMap:
        raise ZeroDivisionError("deep inside")

    drawn_map(shapes)
    monkeypatch.setattr(placing_worker, "place_pictures", broken)
    status = placing_status(start_placing(only_run(), [("a.png", noise())]))
    assert status.state == "failed" and "deep inside" not in str(status.error)
    assert "deep inside" in "".join(capsys.readouterr()), "the log has it"


def test_too_many_at_once_wait_and_old_ones_are_forgotten(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Child:
        returncode: int | None = None
        poll: Callable[[], int | None] = lambda self: self.returncode

        def wait(self) -> None:
            """It has ended."""

    drawn_map(shapes)
    busy = [Child() for _ in range(placing.MOST_AT_ONCE)]
    monkeypatch.setattr(placing, "_children", {f"child{i}": child for i, child in enumerate(busy)})
    with pytest.raises(UserError, match="try again in a moment"):
        start_placing(only_run(), [("a.png", noise())])
    placing_folder("child0").mkdir(parents=True)
    busy[0].returncode = 0
    monkeypatch.setattr(placing, "KEPT_SECONDS", -1.0)
    clear_placing(start_placing(only_run(), [("a.png", noise())]))
    assert "child0" not in placing._children and not placing_folder("child0").exists()


class Asleep:
    """A process that never ends by itself."""

    returncode = None
    pid = 0

    def poll(self) -> None:
        """It runs."""

    def kill(self) -> None:
        """It is only made up."""

    def wait(self) -> None:
        """Likewise."""


def test_of_many_windows_at_once_exactly_one_gets_the_last_place(
    workspace: Path, own_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    ready = threading.Barrier(8)

    def start_child(module: str, folder: Path) -> Asleep:
        time.sleep(0.02)  # as long as it takes to get a process
        begun.append(folder.name)
        return Asleep()

    def press() -> str:
        ready.wait()
        try:
            return start_placing("abcdefghijkmnpqr", [("a.png", b"")])
        except UserError as error:
            return str(error)

    monkeypatch.setattr(placing, "start_child", start_child)
    monkeypatch.setattr(placing, "MOST_AT_ONCE", 1)
    with ThreadPoolExecutor(8) as pool:
        answers = [answer.result() for answer in [pool.submit(press) for _ in range(8)]]
    assert len(begun) == 1 and answers.count(begun[0]) == 1
    assert [answer for answer in answers if answer != begun[0]] == [
        "1 others are placing pictures just now: try again in a moment."
    ] * 7
    assert [path.name for path in settings().tmp.iterdir() if path.is_dir()] == begun, (
        "the others left nothing"
    )


PRESS = """
import sys, time
from pathlib import Path
from engine.errors import UserError
from engine.evaluation import placing

class Asleep:
    poll = staticmethod(lambda: None)

def start_child(module, folder):
    time.sleep(0.2)
    return Asleep()

placing.MOST_AT_ONCE, placing.start_child = 1, start_child
print("ready", flush=True)
sys.stdin.readline()
try:
    print(placing.start_placing("abcdefghijkmnpqr", [("a.png", b"")]))
except UserError as error:
    print(error)
"""


def test_of_two_servers_at_once_exactly_one_gets_the_last_place(workspace: Path, own_process: None) -> None:
    settings().tmp.mkdir(parents=True)
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", PRESS],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [server.stdout.readline() for server in servers if server.stdout] == ["ready\n"] * 2
    for server in servers:
        assert server.stdin is not None
        server.stdin.write("\n")
        server.stdin.flush()
    told = sorted(server.communicate(timeout=60)[0].strip() for server in servers)
    (begun,) = [path.name for path in settings().tmp.iterdir()]
    assert told == sorted(["1 others are placing pictures just now: try again in a moment.", begun])


def test_a_placing_of_another_server_counts_as_long_as_it_lives(
    workspace: Path, own_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "start_child", lambda module, folder: Asleep())
    monkeypatch.setattr(placing, "MOST_AT_ONCE", 1)
    folder = placing_folder("abcdefghijkmnpqr")
    folder.mkdir(parents=True)
    (folder / placing.REQUEST).write_text("{}")
    for seconds, locked, final, free in (
        (0, False, False, False),  # it is starting
        (placing.GRACE + 9, True, False, False),  # it is at work
        (placing.GRACE + 9, False, False, True),  # it died
        (0, False, True, True),  # it has ended
    ):
        long_ago = time.time() - seconds
        os.utime(folder / placing.REQUEST, (long_ago, long_ago))
        lock = try_lock(folder / placing.LOCK) if locked else None
        (folder / placing.STATUS).write_text(f'{{"state": "{"done" if final else "running"}"}}')
        try:
            started = start_placing("bbbbbbbbbbbbbbbb", [("a.png", b"")])
            placing._children.clear()
            clear_placing(started)
        except UserError:
            started = ""
        assert bool(started) == free, (seconds, locked, final)
        if lock is not None:
            release(lock)

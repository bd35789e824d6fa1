"""The runner of one run: `python -m engine.runs.supervisor RUN_DIR SLOTS [OPTIONS]`, detached, without torch.

It holds the run's lock, waits its turn, starts the worker, passes on Stop with growing firmness, watches for
silence, and writes how it ended. It outlives the browser and the web server; the worker does not outlive it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import access
from engine.environment import child_environment, drop_scratch
from engine.errors import UserError
from engine.files import tree_bytes
from engine.lock import is_locked, release, try_lock
from engine.runs import layout, outcome, quotas, tickets
from engine.runs.watch import Options, Watch, allowance, cut_log, signal_group
from engine.settings import PROJECT_ROOT, settings

POLL = 0.1
SPINS = (
    "3000"  # turns that a waiting thread tries before it sleeps; on a busy machine they cost as much again
)
QUIET_SECONDS = 0.15
QUIET_SHARE = 0.6  # of the processors' time that is free


def supervise(folder: Path, slots: int, options: Options | None = None) -> int:
    """Bring one submitted run to its end; returns 0 also if another runner has it."""
    options = options or Options()
    lock = try_lock(folder / layout.LOCK, wait=2.0)  # a reader's probe holds it for microseconds
    if lock is None:
        return 0
    try:
        if layout.read_status(folder)["state"] != layout.QUEUED:
            return 0
        _write_patiently(folder, runner=os.getpid(), host=layout.host())
        slot = _wait_for_turn(folder, slots)
        if slot is None:
            _finish(folder, layout.STOPPED, "Stopped by you while it waited.")
            return 0
        try:
            ending = _run_worker(folder, slot, options)
        finally:
            tickets.end_turn(folder.parent, folder.name, slot)
        _finish(folder, *outcome.verdict(folder, ending))
        return 0
    finally:
        release(lock)


def _wait_for_turn(folder: Path, slots: int) -> int | None:
    """Wait at the run's place in the queue; gives the lock of its slot, or None if it was stopped."""
    root, run_id = folder.parent, folder.name
    most = quotas.MostRunning()
    try:
        while not (folder / layout.STOP).exists():
            orphaned = is_locked(folder / layout.WRITER_LOCK)  # the last attempt's worker is tidying up
            slot = None if orphaned else tickets.take_turn(root, run_id, slots, most)
            if slot is not None:
                return slot
            place = tickets.places(root).get(run_id, 1)
            time.sleep(POLL * min(max(place - slots, 1), 10))  # who is far behind need not look often
        return None
    finally:
        tickets.drop_ticket(root, run_id)


def _run_worker(folder: Path, slot: int, options: Options) -> outcome.Ending:
    attempt = int(layout.number(layout.read_status(folder).get("attempt"))) + 1
    (folder / layout.ERROR).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (folder / layout.BALLAST).write_bytes(b"\0" * layout.BALLAST_BYTES)
    kills = _oom_kills()
    _write_patiently(folder, state=layout.RUNNING, started=time.time(), attempt=attempt, error=None)
    child = _start(folder, slot, options)
    _write_patiently(folder, pid=child.pid)
    most = allowance()
    watch = Watch(folder, child, options, most)
    while not _ended(child):
        watch.look()
        time.sleep(POLL)
    signal_group(child, hard=True)  # whoever the worker left behind
    code = child.wait()
    cut_log(folder / layout.LOG)  # of what was said since the last look
    out_of_memory = _oom_kills() > kills
    asked = (
        watch.asked is not None or (folder / layout.STOP).exists()
    )  # it may have been quicker than our look
    over = most.bytes if watch.over_memory else 0
    return outcome.Ending(code, asked, out_of_memory, watch.silent_for, over)


def _start(folder: Path, slot: int, options: Options) -> subprocess.Popen[bytes]:
    extra: dict[str, Any] = {
        "start_new_session": True,
        "pass_fds": [slot],
    }  # the slot is taken until both end
    if os.name == "nt":
        extra = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
    with open(folder / layout.LOG, "ab") as log:
        return subprocess.Popen(
            [*options.command, os.fspath(folder)],
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=worker_environment(folder) | _for_whom(folder),
            **extra,
        )


def machine_is_quiet() -> bool:
    """Whether the processors have little else to do at this moment; False where that cannot be told."""

    def ticks() -> tuple[int, int]:
        with open("/proc/stat", encoding="ascii") as file:
            counts = [int(count) for count in file.readline().split()[1:9]]
        return sum(counts), counts[3] + counts[4]  # all of it; idle and waiting for the disk

    try:
        before = ticks()
        time.sleep(QUIET_SECONDS)
        after = ticks()
    except (OSError, ValueError, IndexError):
        return False
    return after[1] - before[1] >= QUIET_SHARE * max(1, after[0] - before[0])


def _for_whom(folder: Path) -> dict[str, str]:
    """Lets the worker see what the run's owner may see, and no more."""
    owner = layout.read_status(folder).get("owner", "")
    return access.environment(owner if isinstance(owner, str) else "-")


def worker_environment(folder: Path) -> dict[str, str]:
    """The worker's environment: threads, memory settings that torch cannot change later, and no secrets."""
    env = child_environment(folder)
    env["PYTHONUNBUFFERED"] = "1"
    with contextlib.suppress(UserError):
        if threads := settings().threads:
            env["OMP_NUM_THREADS"] = env["MKL_NUM_THREADS"] = str(threads)
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin take the web server's turn
    if machine_is_quiet():  # a short spin then makes the steps of small networks more than twice as quick
        env.setdefault("GOMP_SPINCOUNT", SPINS)
    if sys.platform == "linux":  # keep large activations on the heap: saves page faults in every step
        env.setdefault("MALLOC_MMAP_MAX_", "0")
        env.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**40))
    return env


def _ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the worker has ended, without reaping it: its group's number stays its own."""
    if os.name == "nt":
        return child.poll() is not None
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _oom_kills() -> int:
    """How many processes the kernel has ended for want of memory so far (0 where it does not tell)."""
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _finish(folder: Path, state: str, error: str | None) -> None:
    (folder / layout.BALLAST).unlink(missing_ok=True)
    drop_scratch(folder)
    size = tree_bytes(folder)
    _write_patiently(folder, **outcome.final_fields(folder, state, error, time.time(), size))


def _write_patiently(folder: Path, **fields: Any) -> None:
    """Write the status even if the disk is full for a while; a run deleted meanwhile has none to write."""
    for attempt in range(60):
        try:
            layout.write_status(folder, **fields)
            return
        except OSError as error:
            if not folder.is_dir():
                raise
            with contextlib.suppress(OSError):
                print(f"status not written: {error}", flush=True)
            time.sleep(min(0.1 * 2**attempt, 5.0))


def main(argv: Sequence[str]) -> int:
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    options = Options.from_json(argv[2]) if len(argv) > 2 else Options()
    return supervise(Path(argv[0]).resolve(), int(argv[1]), options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

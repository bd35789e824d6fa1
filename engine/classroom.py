"""What teachers see of a class and do about it: who uses what, stopping runs, the machine's load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine import access, people
from engine.access import TEACHER
from engine.runs import layout, quotas, tickets
from engine.runs.executors import executor
from engine.runs.expected import expected_starts
from engine.runs.quotas import Limits, Usage
from engine.runs.store import RunStore
from engine.settings import settings

SMI_SECONDS = 3.0
SMI = ("--query-gpu=name,memory.used,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Member:
    """One person of the class.

    Attributes:
        id: As things are marked; empty for the server itself.
        name: What people call them; data, never Markdown.
        role: "teacher", "student", "server", or "left" where the account is gone and things are still here.
        blocked: Cannot sign in.
        usage: What they have.
        limits: What they may have; 0 = no limit.
        own: Names of the limits that a teacher has set for them.
    """

    id: str
    name: str
    role: str
    blocked: bool
    usage: Usage
    limits: Limits
    own: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ActiveRun:
    """A run that is running or waits.

    Attributes:
        id: Of the run.
        name: Of the run; data.
        owner: Id of a person.
        state: "running" or "queued".
        since: When it started, or was put in line; seconds since 1970.
        place: In the line, from 1.
        starts_in: Seconds until it is likely to start, if that can be told.
        stopping: It was asked to stop.
    """

    id: str
    name: str
    owner: str
    state: str
    since: float
    place: int | None
    starts_in: float | None
    stopping: bool


@dataclass(frozen=True)
class Gpu:
    """A graphics card; memory in bytes."""

    name: str
    used: int
    total: int


@dataclass(frozen=True)
class Load:
    """How busy the machine is; sizes in bytes, None where it does not tell."""

    disk_free: int | None
    memory_free: int | None
    memory_total: int | None
    gpus: tuple[Gpu, ...]
    slots: int
    slots_taken: int
    waiting: int


def members() -> list[Member]:
    """Everybody who has an account, teachers first, then whoever else has things here.

    Raises:
        UserError: Who is acting is no teacher.
    """
    quotas.require_teacher()
    used, found = quotas.usages(), []
    for one in sorted(people.list_people(), key=lambda one: (one.role != TEACHER, one.name.casefold())):
        limits = quotas.limits_of(access.Person(one.id, one.name, one.role))
        own = frozenset() if one.role == TEACHER else frozenset(quotas.own_limits(one.id))
        usage = used.pop(one.id, Usage())
        found.append(Member(one.id, one.name, one.role, one.blocked, usage, limits, own))
    for person_id, usage in sorted(used.items()):
        name, role = (person_id, "left") if person_id else ("the server", "server")
        found.append(Member(person_id, name, role, False, usage, Limits()))
    return found


def active_runs() -> list[ActiveRun]:
    """The class's runs that are running, longest first, then those that wait, in the order of their places.

    Raises:
        UserError: Who is acting is no teacher.
    """
    quotas.require_teacher()
    store = RunStore()
    starts, found = expected_starts(store.root), []
    for run in store.list():
        if run.state not in layout.ACTIVE:
            continue
        status = store.status(run.id)
        since = status.started if run.state == layout.RUNNING else status.submitted
        found.append(
            ActiveRun(
                *(run.id, run.name, run.owner, run.state, since or run.created),
                *(run.queue_place, starts.get(run.id), status.stopping),
            )
        )
    return sorted(found, key=lambda run: (run.state != layout.RUNNING, run.place or 0, run.since))


def stop_runs(person_id: str | None = None, waiting: bool = True) -> int:
    """Ask runs to stop; finished epochs are kept.

    Args:
        person_id: Of one person only.
        waiting: Also those that wait.

    Returns:
        How many were asked.

    Raises:
        UserError: Who is acting is no teacher.
    """
    count = 0
    # those that wait first, else they would start in the place of the others
    for run in sorted(active_runs(), key=lambda run: run.state == layout.RUNNING):
        if person_id in (None, run.owner) and (waiting or run.state == layout.RUNNING):
            executor().stop(run.id)
            count += 1
    return count


def free_gpu(waiting: bool = False) -> int:
    """Stop the running runs and let go of the networks that pages keep ready, on the GPU too.

    Args:
        waiting: Also stop those that wait, which would start instead.

    Returns:
        How many runs were asked to stop.

    Raises:
        UserError: Who is acting is no teacher.
    """
    count = stop_runs(waiting=waiting)
    if "torch" in sys.modules:  # else this process holds no network, and loading torch would take memory
        from engine.models.cache import MODELS

        MODELS.clear()
    return count


def load() -> Load:
    """How busy the machine is.

    Raises:
        UserError: Who is acting is no teacher.
    """
    quotas.require_teacher()
    here = settings()
    free, total = memory()
    taken, waiting = len(tickets.running_now(here.runs)), len(tickets.places(here.runs))
    return Load(_disk_free(here.workspace), free, total, gpus(), here.slots, taken, waiting)


def _disk_free(folder: Path) -> int | None:
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None


def memory() -> tuple[int | None, int | None]:
    """(bytes of memory that programs can still have, bytes in all), as /proc tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":", 1) for line in lines)}
    except (OSError, ValueError, IndexError):
        return None, None
    return sizes.get("MemAvailable"), sizes.get("MemTotal")


def gpus() -> tuple[Gpu, ...]:
    """The graphics cards and their memory, as NVIDIA's tool tells; asking torch would itself take memory."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        said = subprocess.run([tool, *SMI], capture_output=True, text=True, timeout=SMI_SECONDS, check=True)
        return read_gpus(said.stdout)
    except (OSError, subprocess.SubprocessError):
        return ()


def read_gpus(text: str) -> tuple[Gpu, ...]:
    """The cards in the tool's lines of 'name, MiB used, MiB in all'; lines that say else are left out."""
    found = []
    for line in text.splitlines():
        name, _, sizes = line.partition(",")
        parts = [part.strip() for part in sizes.split(",")]
        if len(parts) == 2 and all(part.isdigit() for part in parts):
            found.append(Gpu(name.strip(), int(parts[0]) * 1024**2, int(parts[1]) * 1024**2))
    return tuple(found)

"""Child processes that do one piece of work in a folder of their own and say there how it ended."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import access, files
from engine.data.progress import Progress, Stopped
from engine.environment import child_environment, drop_own_scratch
from engine.errors import UserError
from engine.logs import mark, told
from engine.settings import PROJECT_ROOT

LOG = "log.txt"
EVERY = 0.25  # seconds between two reports
_detached: list[subprocess.Popen[bytes]] = []  # kept only to be reaped


def start_child(module: str, folder: Path) -> subprocess.Popen[bytes]:
    """Run `python -m module NAME` for the folder of that name; what it prints goes to its log."""
    return _start(module, folder, {}, False)


def start_detached(module: str, folder: Path, network: bool = False) -> None:
    """The same for work that outlives this process; `network` if it downloads."""
    _detached[:] = [child for child in _detached if child.poll() is None]
    how: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        how = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    _detached.append(_start(module, folder, how, network))


def _start(module: str, folder: Path, how: Mapping[str, Any], network: bool) -> subprocess.Popen[bytes]:
    with open(folder / LOG, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, folder.name],
            cwd=PROJECT_ROOT,
            env={**child_environment(folder, network), **access.environment()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **how,
        )


class Teller:
    """Writes status.json, a few times a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = -EVERY
        self.phase = ""

    def __call__(self, progress: Progress) -> None:
        if progress.phase == self.phase and time.monotonic() - self.last < EVERY:
            return
        self.say(state="running", **asdict(progress))
        self.last, self.phase = time.monotonic(), progress.phase

    def say(self, **status: Any) -> None:
        """Write the status as it is given."""
        files.write_json(self.path, status)


def ending_of(work: Callable[[], Mapping[str, Any]], what: str) -> dict[str, Any]:
    """Do the work; how it ended as status.json has it, with what the work gave where all went well.

    Args:
        work: May raise anything.
        what: What it makes, for the sentence of what goes wrong ("this import").
    """
    try:
        return {"state": "done", **work()}
    except Stopped:
        return {"state": "stopped"}
    except UserError as error:
        return {"state": "failed", "error": str(error)}
    except MemoryError:
        return {"state": "failed", "error": f"There was not enough memory for {what}; nothing was kept."}
    except Exception as error:
        found = mark()
        print(f"fault {found}\n{told(error)}", flush=True)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        words = f"Something unexpected went wrong with {what} (its log has the details under {found})"
        words = "The disk is full" if full else words
        return {"state": "failed", "error": f"{words}; nothing was kept."}
    finally:
        drop_own_scratch()

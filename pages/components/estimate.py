"""What a recipe will cost, asked of a child process so that no page waits for torch or a timing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import streamlit as st

from engine import access
from engine.access import as_me
from engine.environment import child_environment
from engine.errors import UserError
from engine.files import new_id, remove_tree
from engine.runs.recipe import Recipe
from engine.settings import PROJECT_ROOT, settings
from pages.components.text import duration, md, size_text

KEEP = 200
FORGOTTEN_AFTER = 5.0  # seconds; a question nobody has repeated by its turn is not worked on
TIME_LIMIT = 180
AGAIN_AFTER = 60.0  # seconds after which a question that had no answer may be asked again
BAD_INPUT = 2  # the exit status with which the engine refuses, in one sentence


class EstimateDesk:
    """Answers cost questions one at a time and remembers the answers; one for the whole server."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="estimate")
        self.lock = threading.Lock()
        self.answers: OrderedDict[tuple[str, str], Future[dict[str, Any]]] = OrderedDict()
        self.asked: dict[tuple[str, str], float] = {}
        self.failed: dict[tuple[str, str], float] = {}

    def ask(self, recipe: Recipe) -> Future[dict[str, Any]]:
        key = (str(settings().workspace), f"{access.me().id} {recipe.digest()}")  # not all see the same runs
        with self.lock:
            self.asked[key] = time.monotonic()
            answer = self.answers.get(key)
            tried = time.monotonic() - self.failed.get(key, time.monotonic()) > AGAIN_AFTER
            if answer is None or answer.cancelled() or (tried and answer.done()):
                self.failed.pop(key, None)
                answer = self.answers[key] = self.pool.submit(as_me(self._work), key, recipe)
            self.answers.move_to_end(key)
            while len(self.answers) > KEEP:
                old, _ = self.answers.popitem(last=False)
                self.asked.pop(old, None)
                self.failed.pop(old, None)
            return answer

    def _work(self, key: tuple[str, str], recipe: Recipe) -> dict[str, Any]:
        if time.monotonic() - self.asked.get(key, 0.0) > FORGOTTEN_AFTER:
            with self.lock:
                self.answers.pop(key, None)
            raise UserError("Nobody waits for this estimate any more.")
        try:
            return run_estimate(recipe)
        except UserError:
            self.failed[key] = time.monotonic()
            raise


def run_estimate(recipe: Recipe) -> dict[str, Any]:
    """Run the engine's estimate of `recipe` in a child process.

    Raises:
        UserError: The engine refuses the recipe, or could not tell.
    """
    folder = settings().tmp / new_id()
    folder.mkdir(parents=True)
    path = folder / "recipe.json"
    path.write_text(recipe.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "engine", "estimate", "--recipe", str(path), "--json"]
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env={**child_environment(folder), **access.environment()},
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
        )
        if done.returncode == BAD_INPUT and done.stderr.strip():
            raise UserError(done.stderr.strip().splitlines()[-1])
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        return {"low": float(answer["low"]), "high": float(answer["high"]), **answer}
    except (OSError, subprocess.SubprocessError, LookupError, TypeError, json.JSONDecodeError):
        raise UserError("The cost of this recipe could not be measured on this machine.") from None
    finally:
        remove_tree(folder)


@st.cache_resource(max_entries=1)
def desk() -> EstimateDesk:
    return EstimateDesk()


def show_estimate(recipe: Recipe) -> None:
    """A line about time and memory; it says so while it measures, and the page goes on meanwhile."""
    pending = not desk().ask(recipe).done()
    st.fragment(_line, run_every=1.0 if pending else None)(recipe, pending)


def _line(recipe: Recipe, was_pending: bool) -> None:
    answer = desk().ask(recipe)
    if not answer.done():
        st.caption(":material/timer: Measuring what this will cost here…")
        return
    if was_pending:
        st.rerun()
    try:
        cost = answer.result()
    except UserError as error:
        st.caption(f":material/timer: {md(str(error))}")
        return
    st.caption(
        f":material/timer: About **{duration(cost['low'])} to {duration(cost['high'])}** on this machine"
        + (f", up to {size_text(cost['peak_bytes'])} of memory" if cost.get("peak_bytes") else ""),
        help=_help(cost),
    )


def _help(cost: dict[str, Any]) -> str:
    parts = [f"{md(str(what))}: {duration(seconds)}" for what, seconds in cost.get("parts", [])]
    return "  \n".join([md(str(cost.get("basis", ""))), *parts])

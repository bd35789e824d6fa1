"""A class at work: 30 people sign in, walk through the pages and watch a run, while it trains.

`python benchmarks/class_load.py` starts a class server on two cores' worth of work for five minutes and
prints the time of a page (median and 95th percentile), errors, how much slower the run trains than alone,
and the server's memory. `--soak` does it for two hours at ten times the pace and prints memory, threads and
open files every ten minutes; they should be flat.

Everybody is a websocket session as a browser's: it asks for a page, waits until its script has ended, reads,
and polls the run it watches each second. Pages are not painted: no browser runs here.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving import resident, server, threads_and_files  # noqa: E402
from engine import access, people  # noqa: E402
from engine.data.catalog import build_catalog_set  # noqa: E402
from engine.people import sessions  # noqa: E402
from engine.runs.executors import executor  # noqa: E402
from engine.runs.recipe import check_recipe, make_recipe  # noqa: E402
from engine.runs.store import RunStore  # noqa: E402

PAGES = ("", "data-sets", "transfer-learning", "auto-encoders", "self-supervised", "maps", "all-runs")
RUN_PAGE = "transfer-learning"
READS = (4.0, 14.0)  # seconds that somebody looks at a page
COOKIE = "replab_session"
ALONE_SECONDS = 45.0


@dataclass
class Told:
    """What the sessions saw."""

    times: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--pace", type=float, default=1.0, help="how many times as fast people turn pages")
    parser.add_argument("--soak", action="store_true", help="two hours at ten times the pace")
    given = parser.parse_args()
    if given.soak:
        given.seconds, given.pace = 7200.0, 10.0
    with tempfile.TemporaryDirectory(prefix="replab-class-") as folder:
        os.environ.update(REPLAB_WORKSPACE=folder, REPLAB_MODE="class", REPLAB_MIN_FREE_BYTES="0")
        tokens = enrol(given.people)
        dataset = build_catalog_set("shapes")
        with server() as (url, pid):
            run = begin(dataset.id, dataset.fingerprint)
            alone = speed(run, ALONE_SECONDS)
            told = asyncio.run(everybody(url, pid, run, tokens, given.seconds, given.pace))
            beside = speed(run, 0.0)
            report(told, pid, alone, beside, given.people)
            executor().stop(run, force=True)


def enrol(count: int) -> list[str]:
    """Make that many people, a teacher first; their session tokens."""
    people.prepare()
    roles = [access.TEACHER, *[access.STUDENT] * (count - 1)]
    made = [people.add(f"Person {i}", f"long enough {i}", role) for i, role in enumerate(roles)]
    return [sessions.begin(person.id) for person in made]


def begin(dataset: str, fingerprint: str) -> str:
    """Start a run that trains for longer than this takes."""
    fields: dict[str, Any] = {"dataset": dataset, "fingerprint": fingerprint, "method": "classification"}
    fields |= {"backbone": "random:cnn-small", "image_size": 32, "seed": 0}
    config = {"epochs": 1000, "mode": "everything"}
    recipe = make_recipe({**fields, "config": config})
    run = RunStore().create(check_recipe(recipe)).id
    executor().submit(run)
    deadline = time.monotonic() + 120
    while not RunStore().rows(run)[0]:
        if time.monotonic() > deadline:
            raise SystemExit(RunStore().status(run).error or "the run does not start")
        time.sleep(0.2)
    return run


def speed(run: str, seconds: float) -> float:
    """Images a second: of the epochs that end in the next seconds, or of those since the last call."""
    before = RunStore().curve(run)["epochs"]
    since = len(before) if seconds else speed.counted  # type: ignore[attr-defined]
    time.sleep(seconds)
    epochs = RunStore().curve(run)["epochs"]
    speed.counted = len(epochs) + 1  # type: ignore[attr-defined]  # the epoch under way belongs to neither
    found = [row["images_per_second"] for row in epochs[since:]]
    return statistics.fmean(found) if found else float("nan")


async def everybody(url: str, pid: int, run: str, tokens: Sequence[str], seconds: float, pace: float) -> Told:
    told, end = Told(), time.monotonic() + seconds
    tasks = [one(url, run, token, i, end, pace, told) for i, token in enumerate(tokens)]
    await asyncio.gather(watch_server(pid, end), *tasks)
    return told


async def watch_server(pid: int, end: float) -> None:
    while time.monotonic() < end:
        threads, files = threads_and_files(pid)
        print(f"  server {resident(pid) / 1e6:.0f} MB, {threads} threads, {files} open files", flush=True)
        await asyncio.sleep(max(1.0, min(60.0, end - time.monotonic())))


async def one(url: str, run: str, token: str, seed: int, end: float, pace: float, told: Told) -> None:
    """Somebody who turns pages and watches the run."""
    import httpx
    import websockets

    draws = random.Random(seed)
    await asyncio.sleep(draws.random() * 10 / pace)
    headers = {"Cookie": f"{COOKIE}={token}"}
    address = url.replace("http", "ws") + "/_stcore/stream"
    async with (
        websockets.connect(
            address, subprotocols=["streamlit"], origin=url, additional_headers=headers, max_size=None
        ) as socket,  # type: ignore[arg-type, list-item]
        httpx.AsyncClient(timeout=60, headers=headers) as client,
    ):
        while time.monotonic() < end:
            page = draws.choice(PAGES)
            query = f"data=shapes&run={run}" if page == RUN_PAGE else ""
            begun = time.perf_counter()
            told.errors += await turn(socket, page, query)
            told.times.append(time.perf_counter() - begun)
            leave, since = time.monotonic() + draws.uniform(*READS) / pace, 0
            while (now := time.monotonic()) < min(leave, end):
                if query:
                    begun = time.perf_counter()
                    answer = await client.get(f"{url}/lab/runs/{run}/metrics?since={since}")
                    told.polls.append(time.perf_counter() - begun)
                    if answer.status_code != 200:
                        told.errors.append(f"metrics: {answer.status_code}")
                    else:
                        since = answer.json()["next"]
                await drain(socket, min(1.0, max(0.0, leave - now)))


async def turn(socket: Any, page: str, query: str) -> list[str]:
    """Ask for a page and wait for its end; what went wrong."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    ask = BackMsg()
    ask.rerun_script.page_name, ask.rerun_script.query_string = page, query
    await socket.send(ask.SerializeToString())
    found = []
    while True:
        try:
            raw = await asyncio.wait_for(socket.recv(), 60)
        except TimeoutError:
            return [*found, f"{page or 'home'}: no answer in 60 s"]
        message = ForwardMsg.FromString(raw)
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            if element.WhichOneof("type") == "exception":
                found.append(f"{page or 'home'}: {element.exception.message[:200]}")
            elif element.WhichOneof("type") == "alert" and element.alert.format == 1:
                found.append(f"{page or 'home'}: {element.alert.body[:200]}")
        elif kind == "page_not_found":
            found.append(f"{page}: not found")
        elif kind == "script_finished" and message.script_finished != 2:  # 2: another run of it follows
            return found


async def drain(socket: Any, seconds: float) -> None:
    """Read what the server sends meanwhile, such as fragments that run by themselves."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await socket.recv()
    except TimeoutError:
        return


def report(told: Told, pid: int, alone: float, beside: float, people_count: int) -> None:
    times = sorted(told.times)
    p95 = times[int(0.95 * (len(times) - 1))]
    polls = sorted(told.polls) or [float("nan")]
    slow_poll = polls[int(0.95 * (len(polls) - 1))]
    threads, files = threads_and_files(pid)
    print(f"{people_count} people, {len(times)} pages, {len(polls)} polls, load {os.getloadavg()[0]:.1f}")
    print(f"page          {statistics.median(times):6.2f} s median (goal 2), {p95:.2f} s p95 (goal 5)")
    print(f"poll          {statistics.median(polls):6.3f} s median, {slow_poll:.3f} s p95")
    print(f"errors        {len(told.errors):6d} (goal 0) {sorted(set(told.errors))[:5]}")
    slowed = 1 - beside / alone
    print(f"training      {alone:6.0f} images/s alone, {beside:.0f} beside: {slowed:.0%} slower (goal 20 %)")
    print(f"server        {resident(pid) / 1e6:6.0f} MB (goal 700), {threads} threads, {files} open files")


if __name__ == "__main__":
    main()

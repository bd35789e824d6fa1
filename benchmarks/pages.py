"""How fast the pages are with 1,000 runs and 50 sets, and what 30 watchers of a run cost.

`python benchmarks/pages.py` prints the first paint after a cold start, the median page switch, and the
server's share of one core under 30 watchers: ours (the live view polls a JSON route) beside the peer (the
same numbers drawn by an st.fragment that reruns every second), measured one after the other in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.serving import cpu, server  # noqa: E402
from engine import files  # noqa: E402
from engine.data.dataset import Dataset  # noqa: E402
from engine.data.writer import DatasetWriter  # noqa: E402
from engine.lock import release, try_lock  # noqa: E402
from engine.runs import layout  # noqa: E402
from engine.runs.recipe import VERSION, Recipe  # noqa: E402
from engine.runs.store import RunStore  # noqa: E402
from engine.runs.writer import RunWriter  # noqa: E402
from engine.settings import settings  # noqa: E402

IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
PAGES = [("Data", "Data"), ("Transfer learning", "Transfer learning"), ("Runs", "Runs"), ("Home", "See how")]
PEER = """
import time
import plotly.graph_objects as go
import streamlit as st
from engine.runs.store import RunStore
from engine.settings import settings

@st.fragment(run_every=1.0)
def live():
    store = RunStore(settings().runs)
    store.status("RUN")
    curve = store.curve("RUN")
    epochs = curve["epochs"]
    columns = st.columns(3)
    for column, name in zip(columns, ("train_loss", "val_loss", "val_accuracy")):
        column.metric(name, epochs[-1].get(name) if epochs else "-")
    for name in ("loss", "accuracy"):
        series = [[row.get(f"{part}_{name}") for row in epochs] for part in ("train", "val")]
        figure = go.Figure([go.Scatter(y=values) for values in series])
        st.plotly_chart(figure, key=name)

live()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--sets", type=int, default=50)
    parser.add_argument("--watchers", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--switches", type=int, default=24)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="replab-bench-") as folder:
        os.environ["REPLAB_WORKSPACE"] = folder
        os.environ["REPLAB_MIN_FREE_BYTES"] = "0"
        run = fill(given.runs, given.sets)
        started = time.perf_counter()
        with server("app.py") as (url, pid):
            healthy = time.perf_counter() - started
            paint, switches = browse(url, started, given.switches)
            print(f"{given.runs} runs and {given.sets} sets in the workspace")
            print(f"server answers             {healthy:6.2f} s after its start")
            print(f"first paint of Home        {paint:6.2f} s after the start of the server (goal: under 3)")
            median, worst = statistics.median(switches), max(switches)
            print(f"page switch                {median:6.2f} s median, {worst:.2f} s worst (goal: 0.5)")
            with live_run(run):
                ours = share(pid, given.seconds, lambda stop: poll(url, run, given.watchers, stop))
        with peer_script(run) as script, live_run(run), server(script) as (url, pid):
            theirs = share(pid, given.seconds, lambda stop: sockets(url, given.watchers, stop))
        print(f"watchers, polled route     {ours[0]:6.0%} of one core, {ours[1]:.1f} answers/s (goal: 30 %)")
        print(f"watchers, st.fragment      {theirs[0]:6.0%} of one core, {theirs[1]:.1f} redraws a second")
        per = (ours[0] / max(ours[1], 1e-9)) / (theirs[0] / max(theirs[1], 1e-9))
        print(f"core time per update: ours is {per:.3f} of the peer's; {given.watchers} asked each second")


def fill(runs: int, sets: int) -> str:
    """A workspace with that many small sets and finished runs; the id of one run to watch."""
    here = settings()
    for folder in (here.tmp, here.runs, here.datasets):
        folder.mkdir(parents=True, exist_ok=True)
    files.write_json(here.workspace / "first-start.json", {})
    datasets = [tiny(f"Set {i}", i) for i in range(sets)]
    store = RunStore(here.runs)
    for i in range(runs):
        dataset = datasets[i % sets]
        recipe = Recipe(
            version=VERSION,
            dataset=dataset.id,
            fingerprint=dataset.fingerprint,
            method="classification",
            config={},
            backbone="random:cnn-small",
            image_size=32,
            seed=i,
        )
        run = store.create(recipe, f"Run {i}").id
        writer = RunWriter(store.folder(run))
        for epoch in range(1, 6):
            writer.metric(epoch_row(epoch))
        if i:
            now = time.time()
            layout.write_status(store.folder(run), state="done", started=now - 60, finished=now)
        else:
            watched = run
    return watched


def epoch_row(epoch: int) -> dict[str, object]:
    losses = {"train_loss": 2 / epoch, "val_loss": 2.2 / epoch, "train_accuracy": 0.5, "val_accuracy": 0.4}
    return {
        "kind": "epoch",
        "epoch": epoch,
        **losses,
        "lr": 0.1,
        "seconds": 1.0,
        "images_per_second": 100.0,
        "kept": True,
    }


def tiny(name: str, seed: int) -> Dataset:
    from io import BytesIO

    from PIL import Image

    with DatasetWriter(name) as writer:
        for i in range(24):
            buffer = BytesIO()
            Image.fromarray(
                np.random.default_rng(1000 * seed + i).integers(0, 255, (32, 32, 3), np.uint8)
            ).save(buffer, "PNG")
            writer.add(buffer.getvalue(), f"{i}.png")
        return writer.finish(
            classes=["a", "b"], labels=np.arange(24) % 2, splits=(np.arange(24) % 5 == 0).astype(np.uint8)
        )


def browse(url: str, started: float, switches: int) -> tuple[float, list[float]]:
    """Seconds from the server's start to the first paint, the browser being open, and of page switches."""
    from playwright.sync_api import sync_playwright

    times = []
    opening = time.perf_counter()  # of the driver and the browser, which a person has open already
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        opening = time.perf_counter() - opening
        page.goto(url)
        page.get_by_role("heading", level=1).first.wait_for()
        paint = time.perf_counter() - started - opening
        page.wait_for_selector(IDLE)
        page.wait_for_timeout(6000)  # torch is being loaded in its thread; a person reads meanwhile
        for i in range(switches + len(PAGES)):
            link, title = PAGES[i % len(PAGES)]
            begun = time.perf_counter()
            page.get_by_test_id("stSidebarNavLink").filter(has_text=link).click()
            page.locator("h1", has_text=title).first.wait_for()
            page.wait_for_selector(IDLE)
            if i >= len(PAGES):  # the first visit of each page also imports it
                times.append(time.perf_counter() - begun)
            page.wait_for_timeout(300)
        browser.close()
    return paint, times


@contextlib.contextmanager
def live_run(run: str) -> Iterator[None]:
    """Make `run` look like one that trains: its lock is held, an epoch ends each second, steps in between."""
    store = RunStore(settings().runs)
    folder = store.folder(run)
    lock = try_lock(folder / layout.LOCK, wait=2)
    layout.write_status(folder, state="running", started=time.time())
    writer, stop = RunWriter(folder), threading.Event()

    def train() -> None:
        step = 0
        while not stop.wait(0.25):
            step += 1
            writer.metric(
                {"kind": "step", "epoch": 6 + step // 4, "step": step, "loss": 1.0 / step, "lr": 0.1}
            )
            writer.progress(phase="training", epoch=6 + step // 4, epochs=500, step=step % 4, steps=4)
            if step % 4 == 0:
                writer.metric(epoch_row(5 + step // 4))

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if lock is not None:
            release(lock)


def share(pid: int, seconds: float, load: object) -> tuple[float, float]:
    """The share of one core that process `pid` used under `load`, and the answers a second."""
    stop, counted = threading.Event(), []
    thread = threading.Thread(target=lambda: counted.append(load(stop)))  # type: ignore[operator]
    thread.start()
    time.sleep(3)  # everybody has connected
    before, begun = cpu(pid), time.perf_counter()
    time.sleep(seconds)
    used, passed = cpu(pid) - before, time.perf_counter() - begun
    stop.set()
    thread.join()
    return used / passed, counted[0] / (passed + 3)


def poll(url: str, run: str, watchers: int, stop: threading.Event) -> int:
    """What the live view does: ask for what is new, each second."""
    import httpx

    async def watch(client: httpx.AsyncClient) -> int:
        since, answers = 0, 0
        while not stop.is_set():
            answer = (await client.get(f"{url}/lab/runs/{run}/metrics?since={since}")).json()
            since, answers = answer["next"], answers + 1
            await asyncio.sleep(1)
        return answers

    async def everybody() -> int:
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=watchers)) as client:
            return sum(await asyncio.gather(*(watch(client) for _ in range(watchers))))

    return asyncio.run(everybody())


@contextlib.contextmanager
def peer_script(run: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peer.py"
        path.write_text(PEER.replace("RUN", run))
        yield str(path)


def sockets(url: str, watchers: int, stop: threading.Event) -> int:
    """Sessions of the peer; each asks for its fragment a second after the last answer has come."""
    import websockets
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    async def watch() -> int:
        answers, fragment = 0, ""
        address = url.replace("http", "ws") + "/_stcore/stream"
        async with websockets.connect(
            address, subprotocols=["streamlit"], origin=url, max_size=None
        ) as socket:  # type: ignore[arg-type, list-item]
            ask = BackMsg()
            ask.rerun_script.query_string = ""
            await socket.send(ask.SerializeToString())
            while not stop.is_set():
                try:
                    raw = await asyncio.wait_for(socket.recv(), 2)
                except TimeoutError:
                    continue
                message = ForwardMsg.FromString(raw)  # type: ignore[arg-type]
                kind = message.WhichOneof("type")
                if kind == "auto_rerun":
                    fragment = message.auto_rerun.fragment_id
                elif kind == "script_finished":
                    answers += 1
                    await asyncio.sleep(1)
                    ask = BackMsg()
                    ask.rerun_script.fragment_id, ask.rerun_script.is_auto_rerun = fragment, True
                    await socket.send(ask.SerializeToString())
        return answers

    async def everybody() -> int:
        return sum(await asyncio.gather(*(watch() for _ in range(watchers))))

    return asyncio.run(everybody())


if __name__ == "__main__":
    main()

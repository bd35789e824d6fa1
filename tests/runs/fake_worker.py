"""A worker whose training is arithmetic: epochs, checkpoints, faults on demand, in milliseconds."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from engine.files import write_json
from engine.runs import worker
from engine.runs.recipe import Recipe
from engine.runs.writer import RunWriter, Stopped

hoard: list[bytes] = []


def carry_out(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    config = recipe.config
    epochs, seconds = int(config.get("epochs", 3)), float(config.get("step_seconds", 0.0))
    state = {"epoch": 0, "weight": 1.0}
    if writer.checkpoint_path.exists():
        state = json.loads(writer.checkpoint_path.read_text())
    writer.metric({"kind": "start", "epoch": state["epoch"], "attempt": writer.attempt, "time": time.time()})
    for epoch in range(state["epoch"] + 1, epochs + 1):
        for step in range(4):
            writer.progress(phase="training", epoch=epoch, epochs=epochs, step=step, steps=4)
            time.sleep(seconds)
            fault(str(config.get("fault", "")), epoch, step, writer)
            if config.get("fault") != "deaf" and writer.stop_requested():
                raise Stopped
            state["weight"] = state["weight"] * 0.9 + 0.01 * epoch + 0.001 * step
            writer.metric({"kind": "step", "epoch": epoch, "step": step, "loss": state["weight"]})
        state["epoch"] = epoch
        write_json(writer.checkpoint_path, state)
        row = {"kind": "epoch", "epoch": epoch, "train_loss": state["weight"], "kept": True}
        writer.metric(row)
    results = {"weight": state["weight"], "kept_epoch": epochs}
    writer.results(results)
    return results


def fault(kind: str, epoch: int, step: int, writer: RunWriter) -> None:
    if (epoch, step) != (2, 1) or (writer.attempt > 1 and kind != "always"):
        return
    if kind in ("raise", "always"):
        raise RuntimeError("secret detail in /root/somewhere")
    if kind == "memory":
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 99 bytes")
    if kind == "disk":
        raise OSError(28, "No space left on device")
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(77)
    if kind == "eat":
        hoard.append(b"x" * 300_000_000)
        time.sleep(60)
    if kind in ("hang", "deaf"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM} if kind == "deaf" else set())
        while True:
            time.sleep(0.05)


if __name__ == "__main__":
    worker.carry.__defaults__ = (carry_out,)
    os._exit(worker.main(sys.argv[1:]))

"""The machine a run finds itself on: device, threads, precision, and a note of all that."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from engine.errors import UserError
from engine.settings import settings

if TYPE_CHECKING:
    from engine.methods.method import Method


LONGEST = 4.0  # seconds spent on one timing


def choose_device() -> torch.device:
    """The device of the settings; "auto" takes a graphics card where there is one.

    Raises:
        UserError: A graphics card is asked for and there is none.
    """
    wanted = settings().device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("REPLAB_DEVICE asks for a graphics card, but none can be used here: set it to auto.")
    if wanted != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


def prepare(device: torch.device) -> None:
    """Set the number of threads that the settings allow one run."""
    threads = settings().threads or os.cpu_count() or 1
    if device.type == "cpu" and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@cache
def fast_bfloat16(device_type: str) -> bool:
    """Whether the device computes in bfloat16 faster than in 32 bits."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def low_precision_pays(method: Method, device: torch.device) -> bool:
    """Whether training this method in bfloat16 is worth it, on a device that is fast at it."""
    return not method.reads_features and (method.suits_low_precision or device.type != "cpu")


def environment(device: torch.device, low_precision: bool) -> dict[str, Any]:
    """What a reader needs to know of the machine to repeat a run."""
    import torchvision

    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "precision": "bfloat16 where autocast sees fit" if low_precision else "float32",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "system": platform.system(),
    }


def median_seconds(work: Callable[[], object]) -> float:
    """Median time of a piece of work after one warm-up, within a few seconds."""
    work()
    times: list[float] = []
    while len(times) < 5 and sum(times) < LONGEST:
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    cores = torch.get_num_threads()
    return f"{cores} processor core" + ("s" if cores != 1 else "")

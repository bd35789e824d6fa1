"""Networks kept ready between questions; past a bound on memory the least recently used goes first."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import torch
from torch import nn

from engine.settings import settings

M = TypeVar("M", bound=nn.Module)


class ModelCache:
    """Modules by key, at most so many bytes of weights together; safe between threads.

    Args:
        limit: Bytes; None takes the setting `model_cache_bytes` at each call.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._held: OrderedDict[Hashable, tuple[nn.Module, int]] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, build: Callable[[], M]) -> M:
        """The module of `key`, built now if it is not held; the last one asked for always stays."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return cast(M, self._held[key][0])
            module = build()
            self._held[key] = module, weight_bytes(module)
            self._shrink()
            return module

    @property
    def bytes(self) -> int:
        """Weights held, in bytes."""
        with self._lock:
            return sum(size for _, size in self._held.values())

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._held.clear()
            _free()

    def _shrink(self) -> None:
        limit = settings().model_cache_bytes if self._limit is None else self._limit
        dropped = False
        while len(self._held) > 1 and self.bytes > limit:
            self._held.popitem(last=False)
            dropped = True
        if dropped:
            _free()


def weight_bytes(module: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _free() -> None:
    """Give the device's memory back at once; modules may hold themselves in cycles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


MODELS = ModelCache()

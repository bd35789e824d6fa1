"""What moves outside the optimiser: copies that follow by a running mean, and a queue of keys.

He et al. 2020, Momentum Contrast (https://arxiv.org/abs/1911.05722), algorithm 1.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def frozen_copy(module: M) -> M:
    """An equal module that no gradient reaches; BatchNorm's statistics are its own from then on."""
    twin = copy.deepcopy(module)
    for parameter in twin.parameters():
        parameter.requires_grad = False
    return twin


@torch.no_grad()
def ema_update(target: Iterable[Tensor], online: Iterable[Tensor], momentum: float) -> None:
    """Target ← momentum · target + (1 − momentum) · online, for parameters in the same order.

    Buffers are left alone: BatchNorm's running figures in the target come from its own forward passes.
    """
    targets, onlines = list(target), [parameter.detach() for parameter in online]
    if momentum == 0:  # exactly a copy
        torch._foreach_copy_(targets, onlines)
    elif momentum < 1:
        torch._foreach_lerp_(targets, onlines, 1 - momentum)


def cosine_momentum(base: float, step: int, steps: int) -> float:
    """BYOL's τ: `base` at step 0, 1 at the last (https://arxiv.org/abs/2006.07733, section 3.1)."""
    return 1 - (1 - base) * (math.cos(math.pi * min(1.0, step / max(1, steps))) + 1) / 2


class KeyQueue(nn.Module):
    """First in, first out: the keys of the last steps, (K, D) of unit length; random ones to begin with."""

    keys: Tensor
    pointer: Tensor
    born: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("born", torch.full((size,), -1, dtype=torch.long))  # step; -1 is random

    @torch.no_grad()
    def enqueue(self, keys: Tensor, step: int) -> None:
        """Overwrite the oldest keys by (N, D) new ones; N must divide K."""
        size, n = len(self.keys), len(keys)
        if size % n:
            raise ValueError(f"the queue of {size} keys is no multiple of the {n} keys that a step adds")
        start = int(self.pointer)
        self.keys[start : start + n] = keys.to(self.keys.dtype)
        self.born[start : start + n] = step
        self.pointer.fill_((start + n) % size)

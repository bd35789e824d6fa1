"""Optimisers and schedules.

LARS: You, Gitman, Ginsburg 2017, Large Batch Training of Convolutional Networks, https://arxiv.org/abs/1708.03888.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer


@dataclass(frozen=True)
class Plan:
    """The part of a config that the loop reads; see `engine.methods.config.TrainingConfig`."""

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup_epochs: int
    final_rate: float = 0.0

    @classmethod
    def of(cls, config: Any) -> Plan:
        """The plan of a method's config."""
        fields = [name for name in cls.__dataclass_fields__ if name != "final_rate"]
        return cls(**{name: getattr(config, name) for name in fields}, final_rate=config.FINAL_RATE)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0 over the whole run.

        Climbs linearly over the warm-up, then is constant, falls along half a cosine to `final_rate` times
        the highest, or is divided by ten after each third of the rest. The last epoch is never warm-up,
        however long that was to be.
        """
        warmup = min(self.warmup_epochs, self.epochs - 1) * steps_per_epoch
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        rest = max(1, self.epochs * steps_per_epoch - warmup)
        done = min(1.0, (step - warmup) / rest)
        if self.schedule == "cosine":
            fall = 0.5 * (1 + math.cos(math.pi * done))
            return self.learning_rate * (self.final_rate + (1 - self.final_rate) * fall)
        if self.schedule == "step":
            return self.learning_rate * 0.1 ** min(2, int(3 * done))
        return self.learning_rate


def build_optimizer(
    module: nn.Module,
    plan: Plan,
    constant: tuple[str, ...] = (),
    factors: Mapping[str, float] | None = None,
) -> Optimizer:
    """The plan's optimiser over all parameters that learn; biases and norms are not decayed.

    Each of its groups says whether its rate follows the schedule, and by what it is multiplied.

    Args:
        module: What learns.
        plan: Which optimiser, and its settings.
        constant: Beginnings of names of parameters whose rate does not follow the schedule.
        factors: Beginning of a name -> how many times the plan's rate these parameters learn at.
    """
    kinds: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            fixed = bool(constant) and name.startswith(constant)
            factor = next((value for start, value in (factors or {}).items() if name.startswith(start)), 1.0)
            kinds.setdefault((fixed, factor, parameter.ndim <= 1), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": some,
            "weight_decay": 0.0 if small else plan.weight_decay,
            "adapt": not small,
            "scheduled": not fixed,
            "factor": factor,
        }
        for (fixed, factor, small), some in sorted(kinds.items(), key=lambda kind: kind[0])
    ]
    if plan.optimizer == "lars":
        return LARS(groups, plan.learning_rate, plan.momentum)
    if plan.optimizer == "sgd":
        return SGD(groups, lr=plan.learning_rate, momentum=plan.momentum, fused=True)
    kind = AdamW if plan.optimizer == "adamw" else Adam
    return kind(groups, lr=plan.learning_rate, fused=True)


class LARS(Optimizer):
    """SGD with momentum whose step for each layer is proportional to the size of the layer's weights.

    Groups with `adapt=False` (biases, norms) take plain steps.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        trust: float = 0.001,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": weight_decay, "adapt": True},
        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every parameter once."""
        loss = closure() if closure else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        change = gradient.add(parameter, alpha=group["weight_decay"])
        if group["adapt"]:
            size, slope = parameter.norm(), change.norm()
            ratio = torch.where(
                (size > 0) & (slope > 0), group["trust"] * size / slope, torch.ones_like(size)
            )
            change = change * ratio
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        state["momentum_buffer"].mul_(group["momentum"]).add_(change)
        parameter.sub_(state["momentum_buffer"], alpha=group["lr"])

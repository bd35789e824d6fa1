"""What a recipe will cost on this machine: a few real steps are timed, the rest is arithmetic.

Meant for a process of its own (`python -m engine estimate`); timings are kept, so a second question is quick.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from engine import files
from engine.data.augment import stored_size
from engine.data.dataset import Dataset, open_dataset
from engine.data.index import PIXELS
from engine.methods import method_class, parse_config
from engine.methods.method import Method
from engine.models.encoder import check_encoder, encoder_arch
from engine.models.network import Encoder
from engine.models.trunks import build_trunk
from engine.runs.recipe import Recipe
from engine.settings import settings
from engine.training import machine
from engine.training.optim import Plan, build_optimizer
from engine.training.sources import PixelSource
from engine.training.step import Batch
from engine.training.task import is_gray, splits_of, task_of

STARTING = 6.0  # seconds to load the library and write the results
PIXELS_TIMED = 16 * 224 * 224  # pixels in a timed batch
KEEP = 200


@dataclass(frozen=True)
class CostEstimate:
    """An answer to "how long, how much memory".

    Attributes:
        seconds: The best guess.
        low: A quiet machine.
        high: A busy one.
        peak_bytes: Memory of the worker at its fullest; 0 where nobody can tell.
        parts: What the seconds are spent on.
        basis: One sentence: where the figures come from.
    """

    seconds: float
    low: float
    high: float
    peak_bytes: int
    parts: list[tuple[str, float]]
    basis: str


def estimate(recipe: Recipe) -> CostEstimate:
    """Time a few steps of the recipe on this machine, or recall such a timing, and add up the run.

    Args:
        recipe: Of a training, or of a comparison.

    Raises:
        UserError: The recipe cannot be carried out.
    """
    if recipe.method == "comparison":
        return _of_comparison(recipe)
    config = parse_config(recipe.method, recipe.config)
    plan, device = Plan.of(config), machine.choose_device()
    machine.prepare(device)
    dataset = open_dataset(recipe.dataset)
    splits = splits_of(recipe, dataset)
    task = task_of(recipe, dataset, splits, is_gray(_a_few(dataset, 32)))
    backbone = method_class(recipe.method).backbone_name(recipe.backbone, config, task)
    check_encoder(backbone, recipe.image_size)
    sizes = {name: len(split.index) for name, split in splits.items()}
    batch = min(plan.batch_size, sizes["train"])

    trunk = build_trunk(encoder_arch(backbone), recipe.image_size)
    encoder = Encoder(encoder_arch(backbone), trunk, recipe.image_size)  # its speed needs no real weights
    method = method_class(recipe.method)(encoder, config, task)
    method = method.to(device).to(memory_format=torch.channels_last)
    timed = _timings(recipe, method, plan, batch, device)

    evaluated = sum(sizes.values())
    parts = [
        ("Starting and saving", STARTING),
        ("Reading images", _reading_seconds(dataset, recipe.image_size)),
    ]
    if method.reads_features:
        images = len(dataset) + method.copies * sizes["train"]
        parts.append(("Features of the frozen backbone", images * timed["forward"]))
        seen = plan.epochs * (sizes["train"] + sizes["val"]) + evaluated
        parts.append(("Training the head", seen * timed["step"]))
    else:
        parts.append(("Training", plan.epochs * sizes["train"] * timed["step"]))
        seen = plan.epochs * sizes["val"] + evaluated
        parts.append(("Validation and results", seen * timed["forward"]))
    seconds = sum(part for _, part in parts)
    basis = (
        f"Timed on this machine with {int(timed['images'])} images a step on {machine.name(device)}; "
        "it takes longer while other work is going on."
    )
    return CostEstimate(seconds, 0.7 * seconds, 1.6 * seconds, int(timed["bytes"]), parts, basis)


def _of_comparison(recipe: Recipe) -> CostEstimate:
    from engine.evaluation.comparison_cost import comparison_costs

    device = machine.choose_device()
    machine.prepare(device)
    where = f"{machine.name(device)}/{torch.get_num_threads()}/{torch.__version__}"
    found = comparison_costs(recipe, lambda name, take: remembered(f"{name}/{where}", take), _reading_seconds)
    seconds, low, high = found.seconds
    told = [
        f"Encoders were timed on {machine.name(device)}, probes on made-up features of the same width: real "
        "ones may be fitted faster or several times slower, and memory is not foreseen."
    ]
    if found.known:
        told.append(f"{found.known} need no computing: their features are kept from before.")
    if found.unknown:
        names = ", ".join(title[:40] for title in found.unknown[:4])
        told.append(f"Not counted, since they cannot be built here: {names}.")
    parts = [("Starting and saving", STARTING), *found.fixed, *found.fitted]
    return CostEstimate(
        seconds + STARTING, low + 0.7 * STARTING, high + 1.6 * STARTING, 0, parts, " ".join(told)
    )


def _timings(
    recipe: Recipe, method: Method, plan: Plan, batch: int, device: torch.device
) -> dict[str, float]:
    """Seconds an image for a forward pass and for a training step, and the memory; timed once a machine."""
    arch = method.backbone.arch
    mode = str(recipe.config.get("mode", ""))
    key = "/".join(
        str(part)
        for part in (
            arch, recipe.image_size, recipe.method, mode, recipe.config.get("augment"), plan.optimizer, batch,
            machine.name(device), torch.get_num_threads(), torch.__version__,
            machine.fast_bfloat16(device.type),
        )
    )  # fmt: skip
    return remembered(key, lambda: _measure(method, plan, batch, recipe.image_size, device))


def remembered(key: str, take: Callable[[], dict[str, float]]) -> dict[str, float]:
    """A timing by its name, taken once a machine."""
    path = settings().cache / "timings.json"
    known = files.read_json(path, {})
    if not (isinstance(known, dict) and isinstance(known.get(key), dict)):
        known = known if isinstance(known, dict) else {}
        known[key] = take()
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, dict(list(known.items())[-KEEP:]))
    return dict(known[key])


def _measure(method: Method, plan: Plan, batch: int, size: int, device: torch.device) -> dict[str, float]:
    images = max(2, min(batch, PIXELS_TIMED // size**2))
    side = stored_size(size)
    stored = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    labels = np.arange(images) % max(1, len(method.task.classes))
    source = PixelSource(stored, np.arange(images), labels, size, method.views, images, 0, device)
    idle = _memory()

    low, pays = machine.fast_bfloat16(device.type), machine.low_precision_pays(method, device)

    @torch.inference_mode()
    def forward() -> None:
        (plain,) = source.plain()
        if not method.reads_features:
            method.evaluation_step(plain)
            return
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            method.backbone.head_features(plain.views[0])

    method.eval()
    forward_seconds = machine.median_seconds(forward) / images
    step = _step_on_features(method, source) if method.reads_features else _step_on_images(method, source)
    method.train()
    optimizer = build_optimizer(method, plan)

    def train() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=low and pays):
            loss = method.training_step(step()).given_loss
        loss.backward()
        optimizer.step()

    step_seconds = machine.median_seconds(train) / images
    grown = max(0, _memory() - idle) * (1 if method.reads_features else max(1.0, batch / images))
    return {"forward": forward_seconds, "step": step_seconds, "bytes": idle + grown, "images": float(images)}


def _step_on_images(method: Method, source: PixelSource) -> Callable[[], Batch]:
    return lambda: next(source.epoch(1))


def _step_on_features(method: Method, source: PixelSource) -> Callable[[], Batch]:
    (plain,) = source.plain()
    with torch.no_grad():
        features = method.backbone.head_features(plain.views[0]).clone()
    batch = Batch((features,), plain.labels, plain.index)
    return lambda: batch


def _memory() -> int:
    """The largest memory of this process so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _a_few(dataset: Dataset, side: int) -> np.ndarray:
    """(n, side, side, 3) some images spread over the set."""
    some = np.linspace(0, len(dataset) - 1, min(32, len(dataset))).astype(int)
    return np.stack([np.asarray(dataset.image(int(i), at_least=side).resize((side, side))) for i in some])


def _reading_seconds(dataset: Dataset, image_size: int) -> float:
    """Time to decode the images, unless that has been done; a few are tried."""
    side = stored_size(image_size)
    if (dataset.root / PIXELS / f"crop-{side}.npy").exists():
        return 0.0
    some = np.linspace(0, len(dataset) - 1, min(8, len(dataset))).astype(int)
    started = time.perf_counter()
    for i in some:
        dataset.image(int(i), at_least=side).resize((side, side))
    each = (time.perf_counter() - started) / len(some)
    return each * len(dataset) / max(1, min(8, torch.get_num_threads()))

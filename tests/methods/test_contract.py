"""Every entry of METHODS: settings that check themselves, a finite loss, gradients that arrive, learning."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.methods import METHODS, TRAINABLE, config_class, method_class, parse_config
from engine.methods.config import TrainingConfig
from engine.methods.method import Method, Task
from engine.models.encoder import build_encoder
from engine.training.optim import Plan, build_optimizer
from engine.training.sources import PixelSource

SIZE, CLASSES, N = 32, 3, 24


def made(name: str, **settings: object) -> Method:
    config = parse_config(name, {**config_class(name).suggested(N), **settings})
    task = Task(tuple("abc"), (N // CLASSES,) * CLASSES, N, SIZE)
    torch.manual_seed(0)
    kind = method_class(name)
    return kind(build_encoder(kind.backbone_name(None, config, task), SIZE, 0), config, task)


def source(method: Method) -> PixelSource:
    """Images of 4×4 squares in pure colours, a pattern a class: they can be rebuilt, unlike noise."""
    patterns = np.random.default_rng(0).integers(0, 2, (CLASSES, 4, 4, 3), dtype=np.uint8)
    pixels = (255 * patterns[np.arange(N) % CLASSES]).repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
    batch = min(N, method.config.batch_size)
    return PixelSource(pixels, np.arange(N), np.arange(N) % CLASSES, SIZE, method.views, batch, 0)


@pytest.mark.parametrize("name", TRAINABLE)
def test_the_loss_is_finite_and_reaches_the_backbone(name: str) -> None:
    method = made(name).train()
    result = method.training_step(next(source(method).epoch(1)))
    assert result.loss.ndim == 0 and bool(result.loss.isfinite())
    assert all(value.ndim == 0 and bool(value.isfinite()) for value in result.logs.values())
    result.loss.backward()
    method.after_step()
    slopes = [p.grad for p in method.encoder().parameters() if p.requires_grad]
    assert slopes and all(slope is not None and bool(slope.isfinite().all()) for slope in slopes)
    assert any(float(slope.abs().max()) > 0 for slope in slopes)


# MoCo's queue would hold nothing but the one batch's own images; its own test refills it.
@pytest.mark.parametrize("name", [name for name in TRAINABLE if name != "moco"])
def test_one_batch_can_be_learned(name: str) -> None:
    method = made(name).train()
    batch = next(source(method).epoch(1))
    optimizer = build_optimizer(method, Plan.of(method.config))
    losses = []
    for _ in range(140 if METHODS[name].page == "self-supervised" else 70):
        optimizer.zero_grad()
        loss = method.training_step(batch).loss
        loss.backward()
        optimizer.step()
        method.after_step()
        losses.append(float(loss.detach()))
    # three patterns cannot spread evenly over VICReg's 256 uncorrelated numbers
    assert losses[-1] < (0.75 if name == "vicreg" else 0.7) * losses[0]


@pytest.mark.parametrize("name", TRAINABLE)
def test_evaluation_changes_nothing_and_has_what_decides(name: str) -> None:
    method = made(name).eval()
    before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
    result = method.evaluation_step(next(source(method).plain()))
    assert result.loss is None or not result.loss.requires_grad
    assert method.monitor.name in {"", "loss", *result.logs}
    assert all(len(values) == N for values in result.outputs.values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in method.state_dict().items())


@pytest.mark.parametrize("name", TRAINABLE)
def test_what_changes_can_be_given_back_to_a_fresh_method(name: str) -> None:
    one, other = made(name).train(), made(name)
    batch = next(source(one).epoch(1))
    optimizer = build_optimizer(one, Plan.of(one.config))
    one.training_step(batch).loss.backward()
    optimizer.step()
    one.after_step()
    other.load_changing_state(one.changing_state())
    states = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_setting_explains_and_bounds_itself(name: str) -> None:
    cls = config_class(name)
    assert issubclass(cls, TrainingConfig) and cls.PRESETS
    for key, field in cls.model_fields.items():
        assert field.description and field.description.endswith("."), key
        assert not field.is_required(), key
    schema = cls.model_json_schema()["properties"]
    for key, entry in schema.items():
        if entry["type"] in ("integer", "number"):
            low = entry.get("minimum", entry.get("exclusiveMinimum"))
            high = entry.get("maximum", entry.get("exclusiveMaximum"))
            assert low is not None and high is not None, key
            for wrong in (low - 1, high + 1, float("nan"), float("inf"), "x", None):
                with pytest.raises(UserError, match=f"{key} must be .*got"):
                    parse_config(name, {key: wrong})
        elif "enum" in entry:
            with pytest.raises(UserError, match=f"{key} must be one of .*, got 'nonsense'"):
                parse_config(name, {key: "nonsense"})


@pytest.mark.parametrize("name", TRAINABLE)
def test_unknown_settings_are_refused_and_the_known_ones_listed(name: str) -> None:
    with pytest.raises(UserError, match="no setting 'foo'; known are: epochs"):
        parse_config(name, {"foo": 1})


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="choose one of: classification"):
        parse_config("nope", {})


def test_no_length_of_run_forbids_the_usual_warm_up() -> None:
    assert parse_config("classification", {"epochs": 1}).warmup_epochs == 1
    assert parse_config("classification", {"epochs": 5, "warmup_epochs": 5}).warmup_epochs == 5


def test_registries_configs_and_names_load_without_torch() -> None:
    code = (
        "import sys; from engine.methods import METHODS, config_class; from engine.models.encoder import "
        "parse_encoder; from engine.models.backbones import BACKBONES\n"
        "from engine.models import pretrained, weights\n"
        "[config_class(n) for n in METHODS]; parse_encoder('random:resnet18'); weights.list_weights()\n"
        "pretrained.weights_available('resnet18'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Weights from elsewhere: they land where they belong, and bad ones end in a sentence."""

from __future__ import annotations

import hashlib
import pickle
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from engine.errors import UserError
from engine.files import write_json
from engine.models import backbones
from engine.models.encoder import build_encoder, parse_encoder
from engine.models.loading import load_trunk
from engine.models.network import Encoder
from engine.models.pretrained import ensure_pretrained, weights_available
from engine.models.trunks import build_trunk
from engine.models.weights import add_weights, keep_checked, list_weights, remove_weights, weights_info
from engine.runs.recipe import make_recipe
from engine.runs.store import RunStore

ARCH = "squeezenet1_1"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """No way out; what is tried is noted."""
    tried: list[object] = []

    def refuse(self: socket.socket, address: object) -> None:
        tried.append(address)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: refuse(None, a))  # type: ignore[arg-type]
    return tried


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return models.get_model(ARCH).state_dict()


def expect_refusal(path: Path, arch: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refusal:
        add_weights(path, arch)
    assert len(str(refusal.value)) <= 300 and str(path.parent) not in str(refusal.value)
    assert list_weights() == []


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_becomes_an_encoder_with_the_same_features(
    workspace: Path, tmp_path: Path, state: dict[str, Tensor], suffix: str
) -> None:
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{name}": t for name, t in state.items()}}, path)
    else:
        save_file(state, path)
    weights_id = add_weights(path, ARCH, "My <b>weights</b>")
    info = weights_info(weights_id)
    assert info.arch == ARCH and info.name == "My <b>weights</b>" and info.parameters == 722_496
    assert [entry.id for entry in list_weights()] == [weights_id]
    encoder = build_encoder(f"file:{weights_id}", 64).eval()
    whole = models.get_model(ARCH).eval()
    whole.load_state_dict(state)
    images = torch.rand(2, 3, 64, 64)
    expected = whole.features(encoder.normalise(images))
    assert encoder.provenance == "file"
    assert torch.allclose(encoder.head_features(images), expected, atol=1e-6)
    remove_weights(weights_id)
    assert list_weights() == []
    with pytest.raises(UserError, match="no weights"):
        build_encoder(f"file:{weights_id}", 64)


def test_b19_weights_of_another_network_are_refused_with_a_few_names(
    workspace: Path, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    expect_refusal(tmp_path / "w.safetensors", "resnet18", "not those of ResNet-18: they lack conv1.weight")
    name = "features.0.weight"
    save_file({**state, name: state[name][:, :, :2].contiguous()}, tmp_path / "w.safetensors")
    expect_refusal(tmp_path / "w.safetensors", ARCH, r"features.0.weight is 64×3×2×3, not 64×3×3×3")


def test_values_that_are_no_numbers_are_refused(
    workspace: Path, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    name = "features.0.weight"
    broken = {**state, name: state[name].clone()}
    broken[name][0, 0, 0, 0] = float("nan")
    save_file(broken, tmp_path / "w.safetensors")
    expect_refusal(tmp_path / "w.safetensors", ARCH, "not finite numbers, first in features.0.weight")
    save_file({**state, name: state[name].to(torch.int8)}, tmp_path / "w.safetensors")
    expect_refusal(tmp_path / "w.safetensors", ARCH, "does not hold decimal numbers")


class Canary:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, (str(Path(pytest.canary)), "w"))  # type: ignore[attr-defined,return-value]


@pytest.mark.skipif(sys.platform == "win32", reason="memory limits are a Unix thing")
def test_b17_hostile_pickles_end_in_a_sentence_and_run_nothing(
    workspace: Path, tmp_path: Path, state: dict[str, Tensor]
) -> None:
    canary = tmp_path / "canary"
    pytest.canary = canary  # type: ignore[attr-defined]
    path = tmp_path / "w.pth"
    name = "features.0.weight"

    path.write_bytes(pickle.dumps(Canary()))
    expect_refusal(path, ARCH, "more than plain weights")
    torch.save({**state, name: torch.zeros(1).expand(10**10)}, path)
    expect_refusal(path, ARCH, "one block of numbers")
    path.write_bytes(b"junk" * 1000)
    expect_refusal(path, ARCH, "more than plain weights")
    assert not canary.exists()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**10),
        torch.ones(4, 6).T,
        torch.eye(3).to_sparse(),
        torch.ones(3, dtype=torch.int64),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3, device="meta"),
    ],
    ids=["expanded", "transposed", "sparse", "whole numbers", "complex", "meta"],
)
def test_only_plain_blocks_of_decimal_numbers_are_taken(tensor: Tensor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not plain weights: 'x'"):
        keep_checked({"x": tensor}, tmp_path / "out", ARCH, 10**12)


def test_tensors_that_share_memory_can_not_claim_more_than_the_file_holds(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="claims more numbers than it holds"):
        keep_checked(state, tmp_path / "out", ARCH, 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_b18_a_small_file_that_wants_much_memory_only_ends_its_own_process(
    workspace: Path, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(700 * 1024**2 // 4)}, path)  # 700 MB of zeros
    packed = tmp_path / "packed.pth"
    import zipfile

    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert packed.stat().st_size < 2_000_000
    expect_refusal(packed, ARCH, "memory|damaged")


def test_other_kinds_of_files_are_refused_by_name(workspace: Path, tmp_path: Path) -> None:
    for name in ("w.pt2", "w.bin", "w"):
        (tmp_path / name).write_bytes(b"x")
        expect_refusal(tmp_path / name, ARCH, "safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 100)
    expect_refusal(tmp_path / "w.safetensors", ARCH, "damaged")


def test_missing_pretrained_weights_are_said_at_once_with_the_choices(
    offline: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not weights_available("resnet18")
    with pytest.raises(UserError, match="not on this machine: download.*45 MB.*file.*random"):
        build_encoder("torchvision:resnet18", 224)
    assert offline == []
    with pytest.raises(UserError, match="no way to the network"):
        ensure_pretrained("resnet18")
    assert offline and not any(tmp_path.rglob("*.part"))


def test_pretrained_weights_come_from_the_cache_if_their_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    name = f"{ARCH}-{digest[:8]}.pth"
    (folder / "new.pth").rename(folder / name)
    monkeypatch.setitem(backbones.BACKBONES, ARCH, replace(backbones.BACKBONES[ARCH], weights_file=name))
    encoder = build_encoder(f"torchvision:{ARCH}", 64)
    assert encoder.provenance == "pretrained"
    assert torch.equal(encoder.trunk.get_parameter("features.0.weight"), state["features.0.weight"])
    (folder / name).write_bytes(b"broken")
    with pytest.raises(UserError, match="damaged"):
        build_encoder(f"torchvision:{ARCH}", 64)


def test_the_input_transform_of_pretrained_weights_outlives_a_run(workspace: Path) -> None:
    recipe = make_recipe({"dataset": "digits", "method": "classification", "image_size": 32})
    run = RunStore().create(recipe).id
    trunk = build_trunk("googlenet", 32)
    save_file(trunk.state_dict(), RunStore().encoder_path(run))
    info = RunStore().writer(run).encoder_info_path
    for noted in (False, True):
        write_json(info, {"arch": "googlenet", "transform_input": noted})
        assert build_encoder(f"run:{run}", 32).trunk.transform_input is noted


def test_a_transformers_positions_are_interpolated_as_torchvision_does() -> None:
    torch.manual_seed(0)
    small = models.VisionTransformer(64, 16, 2, 2, 768, 32)
    encoder = Encoder("vit_b_16", build_trunk_like(small), 96)
    state = small.state_dict()
    expected = interpolate_embeddings(96, 16, dict(state))["encoder.pos_embedding"]
    load_trunk(encoder, state)
    assert torch.allclose(encoder.trunk.get_parameter("encoder.pos_embedding"), expected, atol=1e-5)


def build_trunk_like(net: models.VisionTransformer) -> torch.nn.Module:
    larger = models.VisionTransformer(96, 16, 2, 2, 768, 32)
    larger.heads = torch.nn.Sequential()
    larger.heads.add_module("head", torch.nn.Identity())
    assert set(larger.state_dict()) == {n for n in net.state_dict() if not n.startswith("heads.")}
    return larger


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18", "names no encoder"),
        ("random:nope", "no backbone"),
        ("torchvision:cnn-small", "no pretrained weights"),
        ("hf-hub:resnet18", "names no encoder"),
        ("file:../../etc", "not a valid file id"),
        ("run:A B", "not a valid run id"),
    ],
)
def test_names_that_mean_nothing_are_refused(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_encoder(name)


def test_names_are_read_and_written_back() -> None:
    for name in ("random:resnet18", "torchvision:vgg16", "file:abc", "run:x-1"):
        assert str(parse_encoder(name)) == name
    assert parse_encoder("random:vgg16").arch == "vgg16" and parse_encoder("run:x").arch is None
    assert build_trunk("cnn-small", 32) is not None

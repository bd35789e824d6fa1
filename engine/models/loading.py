"""Put saved tensors into an encoder, and say in words what does not fit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import UserError
from engine.models.backbones import BackboneInfo, backbone_info
from engine.models.network import Encoder
from engine.models.trunks import AUXILIARY, last_layer_name

SHOWN = 5  # names in a message
DIGEST = "replab.sha256"  # of the tensors, in the metadata of the files that we write


def saved_state(kind: str, value: str, arch: str) -> dict[str, Tensor]:
    """The tensors behind an encoder name, under the architecture's own names.

    Raises:
        UserError: They are gone or damaged.
    """
    if kind == "torchvision":
        from engine.models.pretrained import pretrained_state

        return pretrained_state(arch)
    if kind == "file":
        from engine.models.weights import weights_path

        return read_safetensors(weights_path(value), "These weights")
    from engine.runs.store import RunStore

    return read_safetensors(RunStore().encoder_path(value), "The encoder of this run")


def read_safetensors(path: Any, what: str, ours: bool = True) -> dict[str, Tensor]:
    """All tensors of a file, compared, in one of ours, with their digest where the file has one.

    A file that somebody brings may be one of ours with other numbers, saved with its old metadata.

    Raises:
        UserError: The file is gone or damaged.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    damaged = UserError(f"{what} cannot be read: the file is missing or damaged.")
    try:
        state = load_file(path)
        with safe_open(path, "pt") as file:
            digest = (file.metadata() or {}).get(DIGEST)
    except (OSError, SafetensorError):
        raise damaged from None
    if ours and digest is not None and digest != digest_of(state):
        raise damaged
    return state


def digest_of(state: Mapping[str, Tensor]) -> str:
    """A hash of all names, shapes and numbers: safetensors keeps none, and reads flipped bits as weights."""
    whole = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        whole.update(tensor.flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def trunk_state(arch: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is left of a full model's state without its 1000-class layer and auxiliary heads."""
    info = backbone_info(arch)
    drop = () if info.small else (last_layer_name(arch) + ".", *AUXILIARY)
    return {name: tensor for name, tensor in state.items() if not name.startswith(drop or ("\0",))}


def load_trunk(encoder: Encoder, state: Mapping[str, Tensor]) -> None:
    """Copy a state into the encoder's trunk; a transformer's positions are interpolated to its image size.

    Raises:
        UserError: Names or shapes differ.
    """
    info = backbone_info(encoder.arch)
    state = trunk_state(encoder.arch, state)
    if info.family == "ViT":
        state = _with_positions(encoder, state)
    whole = encoder.trunk.state_dict()  # with the version of its layers, which MNASNet insists on
    check_fit(info, whole, state)
    whole.update(state)  # old files lack BatchNorm's step counts
    encoder.trunk.load_state_dict(whole)
    if encoder.provenance == "pretrained" and info.family in ("GoogLeNet", "Inception"):
        vars(encoder.trunk)["transform_input"] = True  # torchvision's weights for these expect other figures


def check_fit(info: BackboneInfo, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Compare names and shapes of two states.

    Raises:
        UserError: Names at most five that are missing, unknown or of another shape.
    """
    counts = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = [name for name in wanted if name not in given and name not in counts]
    unknown = [name for name in given if name not in wanted]
    for names, words in ((missing, "lack"), (unknown, "also hold")):
        if names:
            raise UserError(
                f"These weights are not those of {info.title}: they {words} {_list(names)}. "
                "Choose the architecture they were made for."
            )
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise UserError(
                f"These weights do not fit {info.title}: {name[:60]} is {_shape(tensor)}, "
                f"not {_shape(wanted[name])}."
            )


def _list(names: list[str]) -> str:
    shown = ", ".join(name[:40].encode("ascii", "backslashreplace").decode() for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "a single number"


def _with_positions(encoder: Encoder, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    name = "encoder.pos_embedding"
    ours = encoder.trunk.get_parameter(name)
    theirs = state.get(name)
    if theirs is None or theirs.shape == ours.shape or theirs.ndim != 3 or theirs.shape[2] != ours.shape[2]:
        return dict(state)
    before, after = (round((tensor.shape[1] - 1) ** 0.5) for tensor in (theirs, ours))
    if before**2 + 1 != theirs.shape[1]:
        return dict(state)
    grid = theirs[:, 1:].float().transpose(1, 2).reshape(1, -1, before, before)
    grid = torch.nn.functional.interpolate(grid, size=(after, after), mode="bicubic", align_corners=True)
    grid = grid.flatten(2).transpose(1, 2).to(theirs.dtype)
    return {**state, name: torch.cat([theirs[:, :1], grid], dim=1)}

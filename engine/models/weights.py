"""Weights that people bring: checked tensor by tensor, kept as safetensors, never trusted to load here.

`.safetensors` holds nothing but numbers and is read in this process. A `.pth` is a pickle: it is opened only
in a child process with limited memory and time, so that a hostile or broken one takes nothing along.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine import access, files
from engine.access import CHANGE, READ, Ownership
from engine.errors import UserError
from engine.models.backbones import backbone_info
from engine.settings import PROJECT_ROOT, settings

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, INFO = "weights.safetensors", "weights.json"
CHILD_SECONDS = 120
MAX_BYTES = 4 * 1024**3
MAX_HEADER = 4 * 1024**2  # bytes; the names and places of a thousand tensors take 100,000


@dataclass(frozen=True)
class WeightsInfo:
    """What is known of one added weights file."""

    id: str
    name: str
    arch: str
    parameters: int
    bytes: int
    sha256: str
    created: float
    owner: str = ""
    private: bool = False

    @property
    def ownership(self) -> Ownership:
        return access.ownership(asdict(self))


def add_weights(path: Path | str, arch: str, name: str | None = None) -> str:
    """Check a weights file for `arch` and keep it; gives the id for "file:<id>".

    Raises:
        UserError: Wrong kind of file, wrong architecture, tensors that cannot be used, a nearly full disk, or
            more than one person may have.
    """
    from engine.runs.quotas import expecting
    from engine.runs.store import check_space

    path = Path(path)
    backbone_info(arch)
    suffix = path.suffix.lower()
    if suffix not in (".safetensors", ".pth", ".pt"):
        raise UserError("Weights must be a .safetensors, .pth or .pt file of plain tensors.")
    if not os.path.isfile(path):
        raise UserError("There is no such weights file: check the name.")
    if not 0 < path.stat().st_size <= MAX_BYTES:
        raise UserError("A weights file must hold between 1 byte and 4 GB: choose another.")
    check_space(settings().workspace)
    with expecting(bytes=0):
        return _kept(path, arch, name or path.stem)


def _kept(path: Path, arch: str, name: str) -> str:
    weights_id = files.new_id()
    folder = files.inside(settings().tmp, weights_id)
    folder.mkdir(parents=True)
    try:
        if path.suffix.lower() == ".safetensors":
            _take_safetensors(path, folder / WEIGHTS, arch)
        else:
            _take_pickle(path, folder / WEIGHTS, arch)
        files.write_json(folder / INFO, asdict(_describe(folder, weights_id, name, arch)))
        settings().weights.mkdir(parents=True, exist_ok=True)
        os.replace(folder, files.inside(settings().weights, weights_id))
    finally:
        files.remove_tree(folder)
    return weights_id


def _describe(folder: Path, weights_id: str, name: str, arch: str) -> WeightsInfo:
    import hashlib

    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="numpy") as kept:
        shapes = [kept.get_slice(key).get_shape() for key in kept.keys()]  # noqa: SIM118
    parameters = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        parameters += count
    with open(folder / WEIGHTS, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:120] or "weights"
    size = (folder / WEIGHTS).stat().st_size
    return WeightsInfo(weights_id, shown, arch, parameters, size, digest, time.time(), **access.mine())


def _take_safetensors(source: Path, target: Path, arch: str) -> None:
    from engine.models.loading import read_safetensors

    try:
        with open(source, "rb") as file:
            header = int.from_bytes(file.read(8), "little")
    except OSError:
        raise UserError("This weights file may not be read by this app: change its permissions.") from None
    if header > MAX_HEADER:  # safetensors would take 100 MB of it, and many times that in memory
        raise UserError("This weights file cannot be read: it is damaged, or no safetensors file.")
    keep_checked(
        read_safetensors(source, "This weights file", ours=False), target, arch, source.stat().st_size
    )


def _take_pickle(source: Path, target: Path, arch: str) -> None:
    """Let the child read, check and convert; whatever happens to it becomes a sentence."""
    command = [sys.executable, "-m", "engine.models.weights_child", str(source.resolve()), str(target), arch]
    keep = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    try:
        child = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env={**environment, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=CHILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError("This weights file took too long to read: save it as .safetensors.") from None
    try:
        answer = json.loads(child.stdout.decode())
    except ValueError:
        answer = {}
    if child.returncode == 0 and answer == {"ok": True} and target.is_file():
        return
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        raise UserError(answer["error"])
    raise UserError(
        "This weights file could not be read within the memory allowed for it: it is damaged or not plain "
        "weights; save it as .safetensors."
    )


def keep_checked(state: Mapping[str, object], target: Path, arch: str, file_bytes: int) -> None:
    """Check every tensor of a state against the architecture and write the trunk's as safetensors.

    Args:
        state: Name -> tensor, from outside.
        target: File to write.
        arch: What the state must fit.
        file_bytes: Size of the file it came from; tensors that claim more are refused.

    Raises:
        UserError: At most five names, and both shapes.
    """
    from safetensors.torch import save_file

    from engine.models.loading import check_fit, trunk_state
    from engine.models.trunks import skeleton

    info = backbone_info(arch)
    tensors = {name: _plain(name, tensor) for name, tensor in state.items()}
    if sum(tensor.nbytes for tensor in tensors.values()) > file_bytes:
        raise UserError("This weights file claims more numbers than it holds: it is damaged or hostile.")
    if len({_plain_name(name) for name in tensors}) < len(tensors):
        raise UserError("This weights file holds some tensors twice: save the state dict of one model.")
    tensors = trunk_state(arch, {_plain_name(name): tensor for name, tensor in tensors.items()})
    wanted = skeleton(arch).state_dict()
    check_fit(info, wanted, tensors)
    kept = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    for name, tensor in kept.items():  # only now: a number of 64 bits can be too large for one of 32
        if not bool(tensor.isfinite().all()):
            raise UserError(f"These weights hold values that are not finite numbers, first in {name[:60]}.")
    save_file({name: t.contiguous().clone() for name, t in kept.items()}, target)


def _plain_name(name: str) -> str:
    for prefix in ("module.", "model.", "trunk."):
        name = name.removeprefix(prefix)
    return name


def _plain(name: object, tensor: object) -> Tensor:
    """The tensor, if it is an ordinary one: dense, contiguous, float (or a step count)."""
    import torch

    shown = str(name)[:60].encode("ascii", "backslashreplace").decode()
    if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
        raise UserError(f"These are not plain weights: '{shown}' is not a block of numbers.")
    ordinary = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
    if not ordinary or not tensor.is_contiguous():
        raise UserError(f"These are not plain weights: '{shown}' is not stored as one block of numbers.")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError(f"These are not plain weights: '{shown}' claims more numbers than it holds.")
    counts = name.endswith("num_batches_tracked") and tensor.numel() == 1
    decimal = tensor.dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    if not decimal and not counts:
        raise UserError(f"These are not plain weights: '{shown}' does not hold decimal numbers.")
    return tensor.detach()


def weights_info(weights_id: str) -> WeightsInfo:
    """What is known of added weights.

    Raises:
        UserError: There are none with this id that who is acting may see.
    """
    folder = files.inside(settings().weights, files.check_id(weights_id, "weights id"))
    none = UserError(f"There are no weights '{weights_id}': add them again or choose others.")
    try:
        info = WeightsInfo(**files.read_json(folder / INFO))
    except TypeError:
        raise none from None
    if not access.may(READ, info.ownership):
        raise none
    return info


def weights_path(weights_id: str) -> Path:
    """The file of added weights; there may be none.

    Raises:
        UserError: They are somebody else's and private.
    """
    if (files.inside(settings().weights, files.check_id(weights_id, "weights id")) / INFO).exists():
        weights_info(weights_id)
    return files.inside(settings().weights, files.check_id(weights_id, "weights id")) / WEIGHTS


def list_weights() -> list[WeightsInfo]:
    """All added weights that who is acting may see, newest first."""
    try:
        ids = [entry.name for entry in settings().weights.iterdir() if files.ID_PATTERN.fullmatch(entry.name)]
    except OSError:
        return []
    found = []
    for weights_id in ids:
        try:
            found.append(weights_info(weights_id))
        except UserError:
            continue
    return sorted(found, key=lambda info: -info.created)


def remove_weights(weights_id: str) -> None:
    """Delete added weights; runs that started from them keep their own.

    Raises:
        UserError: There are none with this id, or they are somebody else's.
    """
    access.require(CHANGE, weights_info(weights_id).ownership, "weights file")
    files.remove_tree(files.inside(settings().weights, weights_id))

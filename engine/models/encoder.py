"""Encoders by name: any weights that turn images into features, in one word that fits a recipe.

Loads torch only when an encoder is built, so recipes and pages can check names without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.files import check_id
from engine.models.backbones import BackboneInfo, backbone_info

if TYPE_CHECKING:
    from engine.models.network import Encoder

PIXELS = "pixels"  # no encoder at all, where anything that gives features will do
KINDS = ("random", "torchvision", "file", "run")


@dataclass(frozen=True)
class EncoderName:
    """A parsed encoder name.

    Attributes:
        kind: "random", "torchvision" (pretrained), "file" (weights somebody added) or "run".
        value: The architecture for the first two, an id for the others.
    """

    kind: str
    value: str

    @property
    def arch(self) -> str | None:
        """The architecture, where the name itself says it."""
        return self.value if self.kind in ("random", "torchvision") else None

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def parse_encoder(name: str) -> EncoderName:
    """Read "random:<arch>", "torchvision:<arch>", "file:<weights id>" or "run:<run id>"; loads no torch.

    Raises:
        UserError: Not a name of that form, or an architecture nobody knows.
    """
    kind, colon, value = str(name).partition(":")
    if not colon or kind not in KINDS:
        shown = str(name)[:60].encode("ascii", "backslashreplace").decode()
        raise UserError(
            f"'{shown}' names no encoder: write random:resnet18, torchvision:resnet18, "
            "file:<weights id> or run:<run id>."
        )
    if kind in ("file", "run"):
        return EncoderName(kind, check_id(value, f"{kind} id"))
    info = backbone_info(value)
    if kind == "torchvision" and info.small:
        raise UserError(f"{info.title} has no pretrained weights: use random:{value}.")
    return EncoderName(kind, value)


def encoder_arch(name: str) -> str:
    """The architecture behind an encoder name; reads the weights' or the run's own note where it must.

    Raises:
        UserError: The weights or the run are not there.
    """
    parsed = parse_encoder(name)
    if parsed.kind == "file":
        from engine.models.weights import weights_info

        return weights_info(parsed.value).arch
    if parsed.kind == "run":
        return _run_info(parsed.value)["arch"]
    return parsed.value


def check_encoder(name: str, image_size: int) -> BackboneInfo:
    """Refuse at once what could not be built: weights that are not here, an image size that does not fit.

    Raises:
        UserError: One sentence with the choices.
    """
    info = backbone_info(encoder_arch(name))
    info.check_size(image_size)
    if parse_encoder(name).kind == "torchvision":
        from engine.models.pretrained import missing_sentence, weights_available

        if not weights_available(info.arch):
            raise UserError(missing_sentence(info))
    return info


def build_encoder(name: str, image_size: int, seed: int = 0) -> Encoder:
    """Build an encoder and load its weights; never asks the network.

    Args:
        name: As `parse_encoder` reads it.
        image_size: Side of the images it will read.
        seed: Draws random weights; without meaning for the others.

    Raises:
        UserError: Weights that are not here or do not fit, or an image size that cannot be read.
    """
    import torch

    from engine.models.network import Encoder
    from engine.models.trunks import build_trunk

    info = check_encoder(name, image_size)
    kind, value = parse_encoder(name).kind, parse_encoder(name).value
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = build_trunk(info.arch, image_size)
    provenance = {"torchvision": "pretrained"}.get(kind, kind)
    encoder = Encoder(info.arch, trunk, image_size, provenance, str(name))
    if kind != "random":
        from engine.models.loading import load_trunk, saved_state

        load_trunk(encoder, saved_state(kind, value, info.arch))
    if kind == "run" and _run_info(value).get("transform_input"):
        vars(trunk)["transform_input"] = True  # as the weights that the run began with expect
    return encoder


def _run_info(run_id: str) -> dict[str, Any]:
    from engine.runs.store import RunStore

    info = RunStore().encoder_info(run_id)
    if not info.get("arch"):
        raise UserError(f"The run '{run_id}' has left no encoder: choose a finished run.")
    backbone_info(str(info["arch"]))
    return info


def weights_available(arch: str) -> bool:
    """Whether torchvision's weights for `arch` are on this machine; asks no network, loads no torch."""
    from engine.models import pretrained

    return pretrained.weights_available(arch)

"""Encoder names: which weights to start from, in one word that fits a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UserError
from engine.files import check_id
from engine.models.backbones import backbone_info

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
        raise UserError(
            f"'{str(name)[:60]}' names no encoder: write random:resnet18, torchvision:resnet18, "
            "file:<weights id> or run:<run id>."
        )
    if kind in ("file", "run"):
        return EncoderName(kind, check_id(value, f"{kind} id"))
    info = backbone_info(value)
    if kind == "torchvision" and info.small:
        raise UserError(f"{info.title} has no pretrained weights: use random:{value}.")
    return EncoderName(kind, value)

"""Which backbones there are: torchvision's classification models and three small nets of our own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.errors import UserError
from engine.models.backbone_table import LINES, MILLISECONDS, TORCHVISION


@dataclass(frozen=True)
class BackboneInfo:
    """What can be said about an architecture without building it.

    Attributes:
        arch: Its name in encoder names, such as "resnet18".
        title: Its name on screen.
        family: Architectures with the same kind of layers.
        line: One plain sentence.
        parameters: Of the model with its 1000-class head.
        width: How many numbers describe an image.
        min_size: Smallest image side in pixels it can read.
        size_step: Image sides must be a multiple of this.
        default_size: The side it was made for.
        front: Shown first.
        small: Ours, for images of 28 to 64 px.
        gflops: Billions of multiply-adds for one image at the default side.
        milliseconds: Measured forward time of one image (see `MILLISECONDS`); None where not measured.
        weights_file: File name of torchvision's pretrained weights; empty where there are none.
        weights_mb: Its size.
        max_size: Largest image side in pixels it can read.
    """

    arch: str
    title: str
    family: str
    line: str
    parameters: int
    width: int
    min_size: int
    size_step: int
    default_size: int
    front: bool
    small: bool
    gflops: float
    milliseconds: float | None
    weights_file: str
    weights_mb: int
    max_size: int = 1024

    def check_size(self, image_size: int) -> None:
        """Refuse an image side this architecture cannot read.

        Raises:
            UserError: Names the sizes that work.
        """
        if self.min_size == self.max_size != image_size:
            raise UserError(
                f"{self.title} was made for images of {self.min_size} px, got {image_size} px: "
                "choose that size."
            )
        if not (self.min_size <= image_size <= self.max_size):
            raise UserError(
                f"{self.title} needs images of {self.min_size} to {self.max_size} px, got {image_size} px: "
                "choose another image size or another backbone."
            )
        if image_size % self.size_step:
            raise UserError(
                f"{self.title} needs image sizes in steps of {self.size_step}, got {image_size} px: "
                f"choose {self.default_size} px."
            )


def _torchvision() -> dict[str, BackboneInfo]:
    found = {}
    for arch, title, family, parameters, width, least, step, usual, gflops, file, megabytes in TORCHVISION:
        found[arch] = BackboneInfo(
            arch=arch,
            title=title,
            family=family,
            line=LINES.get(arch, f"{family} made for images of {usual} px."),
            parameters=parameters,
            width=width,
            min_size=least,
            size_step=step,
            default_size=usual,
            front=arch in LINES,
            small=False,
            gflops=gflops,
            milliseconds=MILLISECONDS.get(arch),
            weights_file=file,
            weights_mb=megabytes,
        )
    return found


def _small(
    arch: str, title: str, family: str, line: str, parameters: int, width: int, gflops: float
) -> BackboneInfo:
    return BackboneInfo(
        arch,
        title,
        family,
        line,
        parameters,
        width,
        8,
        1,
        32,
        True,
        True,
        gflops,
        MILLISECONDS.get(arch),
        "",
        0,
    )


_OWN = (
    _small(
        "cnn-small",
        "Compact CNN",
        "Compact CNN",
        "Seven convolutions for images of 28 to 64 px; learns in a minute on two cores.",
        592_552,
        128,
        0.012,
    ),
    _small(
        "resnet20",
        "ResNet-20 (small images)",
        "ResNet",
        "The CIFAR network of the ResNet paper: nineteen 3×3 convolutions, 64 features.",
        334_072,
        64,
        0.041,
    ),
    _small(
        "resnet18-small",
        "ResNet-18 (small images)",
        "ResNet",
        "ResNet-18 with a 3×3 first layer and no early pooling; strong at 32 px, slow without a GPU.",
        11_681_832,
        512,
        0.557,
    ),
)

_LIBRARY = _torchvision()
BACKBONES: dict[str, BackboneInfo] = {
    **{info.arch: info for info in _OWN},
    **{arch: _LIBRARY[arch] for arch in LINES},  # those shown first, in that order
    **{arch: info for arch, info in _LIBRARY.items() if arch not in LINES},
}


# Endings of the small networks' names, for learning without batch statistics.
VARIANTS = {"-groupnorm": "GroupNorm", "-nonorm": "no normalisation"}
WITH_VARIANTS = ("cnn-small", "resnet20")


def _variant(arch: str) -> BackboneInfo | None:
    """The entry of a small network with something else in place of BatchNorm."""
    for ending, words in VARIANTS.items():
        base = str(arch).removesuffix(ending)
        if base != arch and base in WITH_VARIANTS:
            info = BACKBONES[base]
            return replace(info, arch=arch, title=f"{info.title} with {words}", front=False)
    return None


def backbone_info(arch: str) -> BackboneInfo:
    """The entry of an architecture, an autoencoder's or a variant's included.

    Raises:
        UserError: There is none of that name.
    """
    if arch not in BACKBONES:
        from engine.models.codes import parse_code_arch

        code = parse_code_arch(arch)
        if code is not None:
            return code.info()
        variant = _variant(arch)
        if variant is not None:
            return variant
        raise UserError(
            f"There is no backbone '{str(arch)[:40]}'; `python -m engine backbones` lists them, "
            "resnet18 and cnn-small among them."
        )
    return BACKBONES[arch]

"""One file per trainable idea, and the registry of all that a recipe can ask for, found by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.fields import checked, load

if TYPE_CHECKING:
    from engine.methods.config import MethodConfig
    from engine.methods.method import Method


@dataclass(frozen=True)
class MethodEntry:
    """Where a method lives; reading the registry imports none of them.

    Attributes:
        title: The name a person reads.
        line: One sentence: what it learns from what.
        config: `module:class` of its config; the module imports no torch.
        method: `module:class` of the method itself; empty where nothing is trained.
        page: The page that offers it ("transfer", "autoencoders", "self-supervised", "maps", "compare",
            "try").
        needs_labels: Without class labels there is nothing to learn.
        own_network: It builds its own encoder; a recipe names no backbone for it.
        needs_colour: On grey images there is nothing to learn.
        reads_pixels: "pixels" does for an encoder.
        carry_out: `module:function` that carries out a recipe of it.
    """

    title: str
    line: str
    config: str
    method: str
    page: str
    needs_labels: bool
    own_network: bool = False
    needs_colour: bool = False
    reads_pixels: bool = False
    carry_out: str = "engine.training.carry_out:carry_out"


def _autoencoder(title: str, line: str, config: str, place: str, needs_colour: bool = False) -> MethodEntry:
    return MethodEntry(
        title=title,
        line=line,
        config=f"engine.methods.autoencoder_config:{config}",
        method=f"engine.methods.{place}",
        page="autoencoders",
        needs_labels=False,
        own_network=True,
        needs_colour=needs_colour,
    )


def _self_supervised(title: str, line: str, config: str, place: str) -> MethodEntry:
    return MethodEntry(
        title=title,
        line=line,
        config=f"engine.methods.{config}",
        method=f"engine.methods.{place}",
        page="self-supervised",
        needs_labels=False,
    )


METHODS: dict[str, MethodEntry] = {
    "classification": MethodEntry(
        title="Classification",
        line="Learn the classes of labelled images with a head on a backbone, frozen or trained along.",
        config="engine.methods.classification_config:ClassificationConfig",
        method="engine.methods.classification:Classification",
        page="transfer",
        needs_labels=True,
    ),
    "autoencoder": _autoencoder(
        "Autoencoder",
        "Squeeze each image into a short code and rebuild it from nothing else.",
        "AutoencoderConfig",
        "autoencoder:Autoencoder",
    ),
    "linear_autoencoder": _autoencoder(
        "Linear autoencoder",
        "The same without any non-linearity: it can do no better than PCA, and learns to do as well.",
        "LinearConfig",
        "autoencoder:LinearAutoencoder",
    ),
    "denoising_autoencoder": _autoencoder(
        "Denoising autoencoder",
        "A noisy image goes in, the clean one must come out; copying is no use any more.",
        "DenoisingConfig",
        "denoising:DenoisingAutoencoder",
    ),
    "inpainting": _autoencoder(
        "In-painting",
        "Part of the image is hidden, and what lies there has to be guessed from the rest.",
        "InpaintingConfig",
        "inpainting:Inpainting",
    ),
    "colorization": _autoencoder(
        "Colorization",
        "The grey image goes in, its colours must come out.",
        "ColorizationConfig",
        "colorization:Colorization",
        needs_colour=True,
    ),
    "split_brain": _autoencoder(
        "Split-brain autoencoder",
        "One half predicts the colours from the light, the other the light from the colours.",
        "SplitBrainConfig",
        "colorization:SplitBrain",
        needs_colour=True,
    ),
    "variational_autoencoder": _autoencoder(
        "Variational autoencoder",
        "Codes are small clouds near the origin, so that a random point can be decoded into a new image.",
        "VariationalConfig",
        "variational:VariationalAutoencoder",
    ),
    "masked_autoencoder": _autoencoder(
        "Masked autoencoder",
        "A small transformer sees a quarter of the patches and predicts the rest.",
        "MaskedConfig",
        "masked_autoencoder:MaskedAutoencoder",
    ),
    "simclr": _self_supervised(
        "SimCLR",
        "Two views of an image find each other among all other views of the batch.",
        "contrastive_config:SimCLRConfig",
        "simclr:SimCLR",
    ),
    "moco": _self_supervised(
        "MoCo",
        "A view finds its other view among a queue of keys that a slowly moving encoder made.",
        "contrastive_config:MoCoConfig",
        "moco:MoCo",
    ),
    "byol": _self_supervised(
        "BYOL",
        "Predict how a slowly moving copy of the network sees the other view; there are no negatives.",
        "joint_config:BYOLConfig",
        "byol:BYOL",
    ),
    "simsiam": _self_supervised(
        "SimSiam",
        "BYOL without the moving copy: only a stopped gradient keeps it from collapsing.",
        "joint_config:SimSiamConfig",
        "simsiam:SimSiam",
    ),
    "barlow_twins": _self_supervised(
        "Barlow Twins",
        "The numbers of two views' embeddings correlate each with itself and with no other.",
        "joint_config:BarlowTwinsConfig",
        "barlow_twins:BarlowTwins",
    ),
    "vicreg": _self_supervised(
        "VICReg",
        "Views agree, every number of the embedding varies, and no two say the same.",
        "joint_config:VICRegConfig",
        "vicreg:VICReg",
    ),
    "instance_discrimination": _self_supervised(
        "Instance discrimination",
        "Every image is a class of its own, remembered in a bank: where contrastive learning began.",
        "contrastive_config:InstanceConfig",
        "instance_discrimination:InstanceDiscrimination",
    ),
    "latent_map": MethodEntry(
        title="Latent maps",
        line="Lay out what an encoder makes of the images on flat maps, each by another method.",
        config="engine.methods.latent_map_config:MapConfig",
        method="",
        page="maps",
        needs_labels=False,
        reads_pixels=True,
        carry_out="engine.evaluation.latent_map:carry_out",
    ),
    "comparison": MethodEntry(
        title="Comparison",
        line="Measure how well classes can be read from several encoders, beside pixels and random weights.",
        config="engine.methods.comparison_config:ComparisonConfig",
        method="",
        page="compare",
        needs_labels=True,
        carry_out="engine.evaluation.comparison:carry_out",
    ),
    "depth_probe": MethodEntry(
        title="Probe by depth",
        line="Measure how well classes can be read after every block of an encoder, from image to features.",
        config="engine.methods.depth_probe_config:DepthProbeConfig",
        method="",
        page="try",
        needs_labels=True,
        carry_out="engine.evaluation.depth_probe:carry_out",
    ),
}
TRAINABLE = tuple(name for name, entry in METHODS.items() if entry.method)
ESTIMATED = (*TRAINABLE, "comparison")  # `engine.training.cost` tells beforehand what they will cost


def method_entry(name: str) -> MethodEntry:
    """The registry's line for `name`.

    Raises:
        UserError: There is no such method; the message lists those there are.
    """
    if name not in METHODS:
        raise UserError(f"There is no method '{str(name)[:40]}'; choose one of: {', '.join(METHODS)}.")
    return METHODS[name]


def config_class(name: str) -> type[MethodConfig]:
    """The config class of a method; imports no torch."""
    return load(method_entry(name).config)


def method_class(name: str) -> type[Method]:
    """The method itself; imports torch.

    Raises:
        UserError: There is no such method, or it trains nothing.
    """
    entry = method_entry(name)
    if not entry.method:
        raise UserError(f"{entry.title} trains nothing: choose one of: {', '.join(TRAINABLE)}.")
    return load(entry.method)


def work_of(name: str) -> Callable[[Any, Any], Any]:
    """The function (recipe, writer) that carries out a recipe of this method."""
    return load(method_entry(name).carry_out)


def parse_config(name: str, values: Mapping[str, Any]) -> MethodConfig:
    """The one check of a method's settings, for pages, command line, recipe files and worker alike.

    Raises:
        UserError: Names the field, its value and what would be accepted.
    """
    return checked(config_class(name), values)

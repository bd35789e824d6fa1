"""A trained network as a short script that needs nothing of this project, with definition and weights."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from engine.data.progress import Progress, Report, silent
from engine.export.definition import definitions
from engine.runs.store import RunStore

if TYPE_CHECKING:
    from engine.methods.method import Method
    from engine.models.codes import CodeArch
    from engine.models.network import Encoder

SCRIPT, DEFINITION, WEIGHTS = "run.py", "network.py", "network.safetensors"
NETWORK = "engine.export.network"
CODES = "engine.models.autoencoders"
CLASSES_LINE = 100  # letters of the line of classes, beyond which each class gets its own

SCRIPT_TEXT = Template("""\
# python run.py PICTURE
# $says
# Needs $needs. Reads a picture as the training did; only
# those of 16 bits are refused, and those of over 8 million pixels may differ slightly unless they are JPEG.

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

from network import $names, build

network = build(load_file(Path(__file__).with_name("network.safetensors")))

image = Image.open(sys.argv[1])
assert image.mode[0] not in "IF", "This script reads pictures of 8 bits."
shrink = min(image.size) / (2 * STORED)
if shrink >= 2:  # large JPEG pictures are decoded at a half, a quarter or an eighth of their size
    image.draft(image.mode, (int(image.width / shrink), int(image.height / shrink)))
image = ImageOps.exif_transpose(image).convert("RGBA")
image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
image = ImageOps.fit(image, (STORED, STORED), Image.Resampling.BILINEAR).crop(MIDDLE)
images = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255

$main
""")

CLASSIFIER_MAIN = """\
probabilities, features = network(images)
for share, place in zip(*probabilities[0].topk(min(5, len(CLASSES)))):
    print(f"{share:.6f} {CLASSES[place]}")"""
FEATURES_MAIN = """\
features = network(images)
print(*features[0].tolist())"""
DECODER_MAIN = """\
features, pictures = network(images)
print(*features[0].tolist())
Image.fromarray(pictures[0].mul(255).round().byte().permute(1, 2, 0).numpy()).save("rebuilt.png")"""

DEFINITION_TEXT = Template('''"""The network that run.py asks, as it was defined where it was trained."""

from __future__ import annotations

$imports
RUN = $run
SIDE = $side  # pixels that the network reads
STORED, MIDDLE = $stored, $middle  # the side a picture is shrunk to, and the square that is cut from it
MEAN, STD = $mean, $std
$constants


$definition


def build(weights: dict[str, Tensor]) -> nn.Module:
    """The trained network; it reads (N, 3, SIDE, SIDE) pictures in [0, 1]."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    network = $network
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)
''')


@dataclass(frozen=True)
class _Part:
    """A piece of the network: how it is made, and what has to be defined for that."""

    expression: str
    places: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    setup: str = ""  # a function of its own


def write_script(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write a zip of `run.py`, `network.py` and `network.safetensors`.

    The script loads the weights, prepares a picture as the training did, and prints what the network says of
    it; the definition is plain PyTorch, torchvision's networks by their names.

    Args:
        run_id: A finished run.
        path: The file.
        report: Told how far it is.

    Raises:
        UserError: The run has kept no network.
    """
    from safetensors.torch import save

    from engine.export.network import whole_network
    from engine.training.trained import load_trained

    (report or silent)(Progress("reading the network", 0, 2))
    method = load_trained(run_id)
    (report or silent)(Progress("writing it down", 1, 2))
    tensors = whole_network(method).state_dict()
    weights = save({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(SCRIPT, script_of(method))
        archive.writestr(DEFINITION, definition_of(method, RunStore().get(run_id).name))
        archive.writestr(WEIGHTS, weights)


def script_of(method: Method) -> str:
    """The text of the script for a trained method; at most 20 lines besides comments."""
    names, main = "MIDDLE, STORED", FEATURES_MAIN
    says = "It prints the features of the picture."
    if getattr(method, "head", None) is not None:
        names, main = "CLASSES, MIDDLE, STORED", CLASSIFIER_MAIN
        says = "It prints the five likeliest classes with their probabilities."
    elif getattr(method, "decodes", False):
        main = DECODER_MAIN
        says = "It prints the code of the picture, and rebuilds the picture from it in rebuilt.png."
    library = ["torchvision"] if "torchvision" in _trunk(method.encoder()).setup else []
    needs = ", ".join(["torch", *library, "safetensors", "Pillow and NumPy"])
    return SCRIPT_TEXT.substitute(says=says, needs=needs, names=names, main=main)


def definition_of(method: Method, name: str) -> str:
    """The text of the network's definition for a trained method, whose run is called `name`."""
    from engine.data.augment import stored_size

    encoder = method.encoder()
    trunk, head, pictures = _trunk(encoder), _head(method), _pictures(method)
    parts = [part for part in (trunk, head, pictures) if part is not None]
    wrappers = ["Classifier" if head else "Features", *(["Rebuilder"] if pictures else [])]
    places = [place for part in parts for place in part.places]
    wanted = [*places, *(f"{NETWORK}:{wrapper}" for wrapper in wrappers)]
    imports, definition = definitions(*dict.fromkeys(wanted))
    constants = [line for part in parts for line in part.constants]
    if head:
        constants.append(f"CLASSES = {_listed(method.task.classes)}")
    inner = ", ".join(part.expression for part in (trunk, head) if part)
    network = f"{wrappers[0]}({inner}, mean, std)"
    library = ["import torchvision"] if "torchvision" in trunk.setup else []
    stored = stored_size(encoder.image_size)
    start = round((stored - encoder.image_size) / 2)
    end = start + encoder.image_size
    return DEFINITION_TEXT.substitute(
        imports=_sorted(["import torch", "from torch import Tensor, nn", *imports, *trunk.imports, *library]),
        run=ascii(name),
        side=encoder.image_size,
        stored=stored,
        middle=(start, start, end, end),
        mean=encoder.mean.flatten().tolist(),
        std=encoder.std.flatten().tolist(),
        constants="\n".join(dict.fromkeys(constants)),
        definition="\n\n\n".join([definition, *(part.setup for part in parts if part.setup)]),
        network=f"Rebuilder({network}, {pictures.expression})" if pictures else network,
    )


def _trunk(encoder: Encoder) -> _Part:
    from engine.models.backbones import backbone_info
    from engine.models.codes import parse_code_arch
    from engine.models.small_nets import SMALL_NETS

    code = parse_code_arch(encoder.arch)
    if code is not None:
        return _code_trunk(code)
    if not backbone_info(encoder.arch).small:
        return _library_trunk(encoder)
    make: Any = SMALL_NETS[encoder.arch]
    words = ""
    if isinstance(make, partial):
        make, words = make.func, ", ".join(map(ascii, make.args))
    return _Part(f"{make.__name__}({words})", (f"{make.__module__}:{make.__name__}",))


def _code_trunk(arch: CodeArch) -> _Part:
    names = ("kind", "side", "reads", "hidden", "latent", "channels", "inputs", "sides", "widths", "patch")
    figures = ", ".join(f"{name}={getattr(arch, name)!r}" for name in names)
    constants, imports = (f"ARCH = SimpleNamespace({figures})",), ("from types import SimpleNamespace",)
    body, width = {
        "linear": ("nn.Flatten()", "ARCH.inputs"),
        "mlp": ("DenseBody(ARCH)", "ARCH.hidden"),
        "conv": ("ConvBody(ARCH, ARCH.channels)", "bottom_width(ARCH)"),
    }.get(arch.kind, ("", ""))
    if not body:
        whole = {"vit": "PatchTrunk", "split": "SplitTrunk"}[arch.kind]
        return _Part(f"{whole}(ARCH)", (f"{CODES}:{whole}",), constants, imports)
    used = [text.partition("(")[0] for text in (body, width) if not text.startswith(("nn.", "ARCH."))]
    places = (f"{CODES}:CodeTrunk", *(f"{CODES}:{name}" for name in used))
    return _Part(f"CodeTrunk(ARCH, {body}, {width}, ARCH.latent)", places, constants, imports)


def _library_trunk(encoder: Encoder) -> _Part:
    """The library's network without its last layer, as a function of the script."""
    from engine.models.backbones import backbone_info
    from engine.models.trunks import last_layer_name

    family = backbone_info(encoder.arch).family
    options = {
        "GoogLeNet": ", aux_logits=False, init_weights=False",
        "Inception": ", aux_logits=False, init_weights=False",
        "ViT": ", image_size=SIDE",
    }.get(family, "")
    lines = [
        "def make_trunk() -> nn.Module:",
        '    """The library network without its last layer."""',
        f'    net = torchvision.models.get_model("{encoder.arch}", weights=None{options})',
    ]
    if getattr(encoder.trunk, "transform_input", False):
        lines.append("    net.transform_input = True  # as the weights that the training began with expect")
    if family == "SqueezeNet":
        lines.append("    return SqueezeTrunk(net)")
        return _Part("make_trunk()", ("engine.models.trunks:SqueezeTrunk",), setup="\n".join(lines))
    lines += [
        f'    net.set_submodule("{last_layer_name(encoder.arch)}", nn.Identity())',
        "    return net",
    ]
    return _Part("make_trunk()", setup="\n".join(lines))


def _head(method: Method) -> _Part | None:
    head: Any = getattr(method, "head", None)
    if head is None:
        return None
    name, classes = type(head).__name__, len(method.task.classes)
    bias = ", bias=False" if getattr(getattr(head, "linear", None), "bias", True) is None else ""
    expression = f"{name}({method.backbone.width}, {classes}, 0.0{bias})"
    return _Part(expression, (f"{type(head).__module__}:{name}",))


def _pictures(method: Method) -> _Part | None:
    from engine.export.network import encoder_kind

    if not getattr(method, "decodes", False):
        return None
    if encoder_kind(method) == "split":
        places = (f"{NETWORK}:LabPictures", "engine.methods.colorization:SplitDecoder")
        return _Part("LabPictures(SplitDecoder(ARCH))", places)
    linear = getattr(method, "loss_kind", "") == "linear"
    places = (f"{NETWORK}:Pictures", f"{CODES}:build_decoder")
    return _Part(f"Pictures(build_decoder(ARCH, ARCH.channels), linear={linear})", places)


def _listed(texts: Sequence[str]) -> str:
    """A list of texts as Python, in plain ASCII whatever they say."""
    words = [ascii(text) for text in texts]
    line = f"[{', '.join(words)}]"
    return line if len(line) < CLASSES_LINE else "[\n" + "".join(f"    {word},\n" for word in words) + "]"


def _sorted(lines: Sequence[str]) -> str:
    """Import lines without repetition: the standard library's first, then the others."""
    standard = ("types", "math", "functools", "collections")
    unique = [line for line in dict.fromkeys(lines) if line not in ("from torch import nn",)]
    first = [line for line in unique if line.split()[1].split(".")[0] in standard]
    rest = [line for line in unique if line not in first]

    def order(line: str) -> tuple[bool, str]:
        return line.startswith("from"), line.lower()

    return "\n".join([*sorted(first, key=order), "", *sorted(rest, key=order), ""])

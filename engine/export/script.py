"""A trained network as a script that needs nothing of this project: weights, definition, preprocessing."""

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

SCRIPT, WEIGHTS = "run.py", "network.safetensors"
NETWORK = "engine.export.network"
CODES = "engine.models.autoencoders"
CLASSES_LINE = 100  # letters of the line of classes, beyond which each class gets its own

SCRIPT_TEXT = Template('''"""Runs a trained network by itself: python run.py IMAGE ...

$says
Needs $needs.
"""

from __future__ import annotations

$imports
RUN = $run
SIDE, STORED = $side, $stored  # pixels the network reads, and an image is shrunk to before its middle is cut
MEAN, STD = $mean, $std
$constants

# The network, as it was defined where it was trained.


$definition


# How it is loaded and asked.


def load_network() -> nn.Module:
    """The trained network; it reads (N, 3, SIDE, SIDE) images in [0, 1]."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    network = $network
    weights = load_file(Path(__file__).with_name("network.safetensors"))
    network.load_state_dict({name: w for name, w in weights.items() if not name.startswith("decoder.")})
    return network.eval()


${decoder}def load_image(path: str) -> Tensor:
    """(3, SIDE, SIDE) in [0, 1]: upright, transparency on white, a square from the middle."""
    image = ImageOps.exif_transpose(Image.open(path))
    if "A" in image.mode or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image, side = image.convert("RGB"), min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    if image.size != (STORED, STORED):
        box = (left, top, left + side, top + side)
        image = image.resize((STORED, STORED), Image.Resampling.BILINEAR, box=box)
    start = round((STORED - SIDE) / 2)
    pixels = np.array(image)[start : start + SIDE, start : start + SIDE]
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


if __name__ == "__main__":
    images = torch.stack([load_image(path) for path in sys.argv[1:]])
$main
''')

DECODER_TEXT = Template('''def load_decoder() -> nn.Module:
    """Turns (N, $latent) codes into (N, 3, SIDE, SIDE) pictures in [0, 1]."""
    pictures = $pictures
    weights = load_file(Path(__file__).with_name("network.safetensors"))
    pictures.load_state_dict({name: w for name, w in weights.items() if name.startswith("decoder.")})
    return pictures.eval()


''')

CLASSIFIER_MAIN = """\
    with torch.inference_mode():
        probabilities, features = load_network()(images)
    for path, shares, feature in zip(sys.argv[1:], probabilities, features):
        told = {"image": path, "class": CLASSES[int(shares.argmax())], "probabilities": shares.tolist()}
        print(json.dumps({**told, "features": feature.tolist()}))"""
FEATURES_MAIN = """\
    with torch.inference_mode():
        features = load_network()(images)
    for path, feature in zip(sys.argv[1:], features):
        print(json.dumps({"image": path, "features": feature.tolist()}))"""
DECODER_MAIN = """\
    with torch.inference_mode():
        features = load_network()(images)
        pictures = (255 * load_decoder()(features)).round().byte().permute(0, 2, 3, 1).numpy()
    for path, feature, picture in zip(sys.argv[1:], features, pictures):
        rebuilt = Path(path).with_name(Path(path).stem + "-rebuilt.png")
        Image.fromarray(picture).save(rebuilt)
        print(json.dumps({"image": path, "features": feature.tolist(), "rebuilt": str(rebuilt)}))"""

IMPORTS = (
    "import json",
    "import sys",
    "from pathlib import Path",
    "import numpy as np",
    "import torch",
    "from PIL import Image, ImageOps",
    "from safetensors.torch import load_file",
    "from torch import Tensor, nn",
)


@dataclass(frozen=True)
class _Part:
    """A piece of the network: how the script makes it, and what has to be defined for that."""

    expression: str
    places: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    setup: str = ""  # a function of its own


def write_script(run_id: str, path: Path, report: Report | None = None) -> None:
    """Write a zip of `run.py` and `network.safetensors`.

    The script defines the network in plain PyTorch (torchvision's by its name), loads the weights, prepares
    images as the training did, and prints one JSON object an image.

    Args:
        run_id: A finished run.
        path: The file.
        report: Told how far it is.

    Raises:
        UserError: The run has kept no network.
    """
    from safetensors.torch import save

    from engine.training.trained import load_trained

    (report or silent)(Progress("reading the network", 0, 2))
    method = load_trained(run_id)
    (report or silent)(Progress("writing it down", 1, 2))
    tensors = {f"trunk.{name}": tensor for name, tensor in method.backbone.trunk.state_dict().items()}
    for name in ("head", "decoder"):
        module: Any = getattr(method, name, None)
        if module is not None and (name == "head" or getattr(method, "decodes", False)):
            tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    weights = save({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(SCRIPT, script_of(method, RunStore().get(run_id).name))
        archive.writestr(WEIGHTS, weights)


def script_of(method: Method, name: str) -> str:
    """The text of the script for a trained method, whose run is called `name`."""
    from engine.data.augment import stored_size

    encoder = method.encoder()
    trunk, head, pictures = _trunk(encoder), _head(method), _pictures(method)
    wrapper = "Classifier" if head else "Features"
    parts = [part for part in (trunk, head, pictures) if part is not None]
    places = [place for part in parts for place in part.places]
    imports, definition = definitions(*dict.fromkeys([*places, f"{NETWORK}:{wrapper}"]))
    setup = "\n\n\n".join([definition, *(part.setup for part in parts if part.setup)])
    constants = [line for part in parts for line in part.constants]
    if head:
        constants.append(f"CLASSES = {_listed(method.task.classes)}")
    inner = ", ".join(part.expression for part in (trunk, head) if part)
    library = ["torchvision"] if "torchvision" in trunk.setup else []
    more = [*imports, *trunk.imports, *(f"import {name}" for name in library)]
    main = CLASSIFIER_MAIN if head else DECODER_MAIN if pictures else FEATURES_MAIN
    return SCRIPT_TEXT.substitute(
        says=_says(method),
        needs=", ".join(["torch", *library, "safetensors", "Pillow and NumPy"]),
        imports=_sorted([*IMPORTS, *more]),
        run=ascii(name),
        side=encoder.image_size,
        stored=stored_size(encoder.image_size),
        mean=encoder.mean.flatten().tolist(),
        std=encoder.std.flatten().tolist(),
        constants="\n".join(dict.fromkeys(constants)),
        definition=setup,
        network=f"{wrapper}({inner}, mean, std)",
        decoder=DECODER_TEXT.substitute(latent=encoder.width, pictures=pictures.expression)
        if pictures
        else "",
        main=main,
    )


def _says(method: Method) -> str:
    if getattr(method, "head", None) is not None:
        return "It prints the class, the probability of each class, and the features of every image."
    if getattr(method, "decodes", False):
        return "It prints the code of every image, and rebuilds the image from it in a picture beside it."
    return "It prints the features of every image."


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
    standard = ("json", "sys", "pathlib", "types", "math", "functools", "collections")
    unique = [line for line in dict.fromkeys(lines) if line not in ("from torch import nn",)]
    first = [line for line in unique if line.split()[1].split(".")[0] in standard]
    rest = [line for line in unique if line not in first]

    def order(line: str) -> tuple[bool, str]:
        return line.startswith("from"), line.lower()

    return "\n".join([*sorted(first, key=order), "", *sorted(rest, key=order), ""])

"""`probe`: how well classes can be read from an encoder's features, beside pixels and random weights."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.cli.output import Commands, ProgressLine, command, print_json, print_table
from engine.errors import UserError
from engine.models.encoder import PIXELS

if TYPE_CHECKING:
    import numpy as np

    from engine.data.dataset import Dataset

KINDS = ("knn", "linear")
SEED = 0  # of random weights, and of the images that choose the linear probe's penalty


def add(commands: Commands) -> None:
    parser = command(
        commands, "probe", "measure how well classes can be read from an encoder's features", probe
    )
    parser.add_argument(
        "encoder",
        metavar="ENCODER",
        help="pixels, random:NAME, torchvision:NAME, file:ID or run:ID",
    )
    parser.add_argument("--data", metavar="ID", required=True, help="an id of `data list`, or a catalog name")
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help="who reads them (knn)")
    parser.add_argument(
        "--image-size", type=int, metavar="N", help="side in pixels (what the encoder was made for)"
    )


def probe(args: argparse.Namespace) -> None:
    from engine.cli.data import find_set
    from engine.evaluation.encoding import PIXELS_SIDE, usual_side
    from engine.models.encoder import encoder_arch

    name = args.encoder
    arch = None if name == PIXELS else encoder_arch(name)  # a wrong name is told before anything is drawn
    dataset = find_set(args.data)
    size = args.image_size or usual_side(name, dataset)
    if arch is not None:
        from engine.models.encoder import check_encoder

        check_encoder(name, size)
    split, train, other = _parts(dataset)
    line = ProgressLine()
    found: dict[str, dict[str, Any] | None] = {}
    small = size if arch is None else min(size, PIXELS_SIDE)
    random = None if arch is None else f"random:{arch}"
    try:
        for which, side in {name: size, PIXELS: small, random: size}.items():
            if which is not None:
                features = _features(which, dataset, side, line)
                line.show(f"reading classes from {which}")
                found[which] = {**_measure(args.kind, features, dataset, train, other), "image_size": side}
    finally:
        line.end()
    answer = {"encoder": name, "data": dataset.id, "kind": args.kind, "split": split, "seed": SEED}
    baselines = {PIXELS: found[PIXELS], "random": None if random is None else found[random]}
    _tell({**answer, **(found[name] or {}), "baselines": baselines}, args.json)


def _parts(dataset: Dataset) -> tuple[str, np.ndarray, np.ndarray]:
    """Which split is asked about, and the labelled images to learn from and to ask about."""
    if not dataset.is_labelled:
        raise UserError(
            f"'{dataset.name[:60]}' has no classes to read: choose a data set with class folders."
        )
    rows = {split: dataset.indices(split) for split in ("train", "val", "test")}
    rows = {split: index[dataset.labels[index] >= 0] for split, index in rows.items()}
    split = "val" if len(rows["val"]) else "test"
    for needed in ("train", split):
        if not len(rows[needed]):
            lacks = "training" if needed == "train" else "validation or test"
            raise UserError(
                f"'{dataset.name[:60]}' has no {lacks} images with a class: "
                "add it again with a share for validation."
            )
    return split, rows["train"], rows[split]


def _features(name: str, dataset: Dataset, side: int, line: ProgressLine) -> np.ndarray:
    """(n, d) features of all images, from the cache where they have been computed before."""
    from engine.evaluation.encoding import encode

    def tell(phase: str, done: int, total: int) -> None:
        line.show(f"{phase} of {name}: {done:,} of {total:,}")

    found = encode(name, dataset, side, seed=SEED, tell=tell)
    assert found is not None  # nobody can stop it
    return found


def _measure(
    kind: str, features: np.ndarray, dataset: Dataset, train: np.ndarray, other: np.ndarray
) -> dict[str, Any]:
    from engine.evaluation.neighbours import KnnResult, knn_accuracy
    from engine.evaluation.probe import ProbeResult, linear_probe

    bank, queries, labels = features[train], features[other], dataset.labels
    classes = len(dataset.classes)
    result: KnnResult | ProbeResult
    if kind == "knn":
        result = knn_accuracy(bank, labels[train], queries, labels[other], classes)
    else:
        result = linear_probe(bank, labels[train], queries, labels[other], classes, seed=SEED)
    told = asdict(result)
    interval = [told.pop("low"), told.pop("high")]
    return {**told, "interval": interval, "train_n": len(train)}


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    rows = []
    for name, one in ((answer["encoder"], answer), *answer["baselines"].items()):
        if one is not None and (one is answer or name != answer["encoder"]):
            called = "random weights" if name == "random" else name
            low, high = one["interval"]
            rows.append(
                (called, f"{one['accuracy']:.4f}", f"{low:.3f} to {high:.3f}", f"{one['image_size']} px")
            )
    print_table(("FEATURES", "ACCURACY", "95 % INTERVAL", "IMAGES AT"), rows, "")
    how = f"{answer['k']} nearest neighbours" if answer["kind"] == "knn" else "a linear probe"
    print(f"\nBy {how}, from {answer['train_n']:,} training images; {answer['split']}, n = {answer['n']:,}.")

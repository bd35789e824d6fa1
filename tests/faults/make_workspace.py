"""Makes the workspace that later versions must still open: `python -m tests.faults.make_workspace OUT.zip`.

It is run once for a release, from the repository's root at that release, and its zip is kept beside this
file as workspace_v1/workspace.zip. Inside: a set of 20 images, added weights, three runs named after what
they are. The added weights are mostly zeros, so that copies of them shrink to little.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("finished classification", "finished autoencoder", "stopped classification")


def make(out: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        workspace = Path(place) / "workspace"
        for name, value in {"WORKSPACE": str(workspace), "DEVICE": "cpu", "MIN_FREE_BYTES": "0"}.items():
            os.environ[f"REPLAB_{name}"] = value
        fill(Path(place))
        pack(workspace, out)


def fill(place: Path) -> None:
    from engine.data.intake import add_dataset
    from engine.models.weights import add_weights

    dataset = add_dataset(pictures(place / "two colours"), name="Two colours")
    weights = add_weights(sparse_weights(place / "sparse.safetensors"), "cnn-small", "Sparse")
    head = {
        "mode": "extract",
        "augment": "none",
        "augmented_copies": 0,
        "batch_size": 4,
        "learning_rate": 0.1,
    }
    run(dataset, NAMES[0], "classification", f"file:{weights}", 32, {**head, "epochs": 3})
    code = {"network": "mlp", "hidden": 4, "latent_size": 2, "epochs": 3, "batch_size": 4}
    run(dataset, NAMES[1], "autoencoder", None, 8, code)
    run(dataset, NAMES[2], "classification", f"file:{weights}", 32, {**head, "epochs": 6}, stop_after=2)


def pictures(folder: Path) -> Path:
    """Ten reddish and ten bluish pictures of 32 px; six of each are for training, two each to judge."""
    random = np.random.default_rng(0)
    for split, n in (("train", 6), ("val", 2), ("test", 2)):
        for label, name in enumerate(("red", "blue")):
            (folder / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = np.full((32, 32, 3), 80, np.uint8)
                pixels[..., 2 * label] = 160 + random.integers(0, 60)
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG")
                (folder / split / name / f"{i}.png").write_bytes(file.getvalue())
    return folder


def sparse_weights(path: Path) -> Path:
    """A compact CNN of which one weight in fifty is not zero."""
    import torch
    from safetensors.torch import save_file

    from engine.models.encoder import build_encoder

    state = build_encoder("random:cnn-small", 32, 0).trunk.state_dict()
    draw = torch.Generator().manual_seed(0)
    for name, tensor in state.items():
        if tensor.ndim == 4:
            kept = torch.rand(tensor.shape, generator=draw) < 0.02
            state[name] = torch.where(kept, 0.5 * torch.sign(tensor), torch.zeros(()))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def run(
    dataset: Any, name: str, method: str, backbone: str | None, size: int, config: Any, stop_after: int = 0
) -> None:
    from engine.runs.executors import InlineExecutor
    from engine.runs.recipe import check_recipe, make_recipe
    from engine.runs.store import RunStore
    from engine.training.carry_out import carry_out

    recipe = check_recipe(
        make_recipe(
            {
                "dataset": dataset.id,
                "fingerprint": dataset.fingerprint,
                "method": method,
                "config": config,
                "backbone": backbone,
                "image_size": size,
                "seed": 0,
            }  # fmt: skip
        )
    )

    def stopping(wanted: Any, writer: Any) -> None:
        real = writer.metric

        def metric(row: Any) -> None:
            real(row)
            if row["kind"] == "epoch" and row["epoch"] == stop_after:
                (writer.folder / "stop").touch()

        writer.metric = metric
        carry_out(wanted, writer)

    store = RunStore()
    made = store.create(recipe, name)
    InlineExecutor(store, stopping).submit(made.id)
    assert store.get(made.id).state == name.split()[0].replace("finished", "done"), store.log_tail(made.id)


def pack(workspace: Path, out: Path) -> None:
    """Everything but what can be computed again."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(workspace.rglob("*")):
            inside = path.relative_to(workspace)
            if (
                path.is_file()
                and inside.parts[0] in ("datasets", "runs", "weights")
                and "pixels" not in inside.parts
            ):
                archive.write(path, inside.as_posix())


if __name__ == "__main__":
    make(Path(sys.argv[1]).absolute())

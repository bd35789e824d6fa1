"""What a run can be taken home as, by name; reading the table loads none of the writers."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UserError
from engine.methods import method_entry
from engine.runs.layout import DONE, FINAL
from engine.runs.store import RunStore

NETWORK, DECODER, DATA, TOLD, ANY = "network", "decoder", "data", "told", "any"
BYTES, ZIP = "application/octet-stream", "application/zip"


@dataclass(frozen=True)
class RunFormat:
    """One file that a run can be taken home as.

    Attributes:
        title: What a button says.
        line: One sentence: what the file is good for.
        file: Beginning and ending of its name; the run's id goes between them.
        media_type: For a browser.
        place: `module:function` of its writer, which takes the run's id, a path and a report.
        needs: What the run must have: a network, a decoder that works alone, the data set, something told of
            every image, or nothing but its folder.
        decoder: The writer is asked for the decoder.
        quick: Takes less than a third of a second.
        maps: A map can be taken home so too.
        only_maps: Nothing but a map can.
    """

    title: str
    line: str
    file: tuple[str, str]
    media_type: str
    place: str
    needs: str = NETWORK
    decoder: bool = False
    quick: bool = False
    maps: bool = False
    only_maps: bool = False

    def name(self, run_id: str) -> str:
        """The file's name for a run."""
        stem, ending = self.file
        return f"{stem}-{run_id}{ending}"


def _with_decoder(known: RunFormat) -> RunFormat:
    stem, ending = known.file
    return RunFormat(
        f"Decoder · {known.title}",
        "The other half: codes go in, pictures come out.",
        (f"decoder-{stem}", ending),
        known.media_type,
        known.place,
        DECODER,
        True,
    )


SCRIPT = RunFormat(
    "Weights with a script",
    "A zip of the weights, the definition of the network, and a script of 20 lines that runs a picture.",
    ("script", ".zip"),
    ZIP,
    "engine.export.script:write_script",
)
ONNX = RunFormat(
    "ONNX",
    "For other programs and languages; checked against PyTorch before it is handed out.",
    ("network", ".onnx"),
    BYTES,
    "engine.export.onnx_file:write_onnx",
)
TORCHSCRIPT = RunFormat(
    "TorchScript",
    "One file that torch runs from Python or C++ without any definition.",
    ("network", ".pt"),
    BYTES,
    "engine.export.program:write_torchscript",
)
PROGRAM = RunFormat(
    "Exported program",
    "What torch.export writes: TorchScript's successor, for torch 2 and later.",
    ("network", ".pt2"),
    BYTES,
    "engine.export.program:write_program",
)

RUN_FORMATS: dict[str, RunFormat] = {
    "script": SCRIPT,
    "onnx": ONNX,
    "torchscript": TORCHSCRIPT,
    "pt2": PROGRAM,
    "onnx-decoder": _with_decoder(ONNX),
    "torchscript-decoder": _with_decoder(TORCHSCRIPT),
    "pt2-decoder": _with_decoder(PROGRAM),
    "safetensors": RunFormat(
        "Encoder's weights",
        "The tensors alone, as safetensors, under the architecture's own names.",
        ("encoder", ".safetensors"),
        BYTES,
        "engine.export.take:write_encoder",
        quick=True,
    ),
    "decoder": RunFormat(
        "Decoder's weights",
        "The tensors of the other half alone, as safetensors.",
        ("decoder", ".safetensors"),
        BYTES,
        "engine.export.take:write_decoder",
        quick=True,
    ),
    "features": RunFormat(
        "Features (Parquet)",
        "A row for each image of the data set: file name, split, label, and the encoder's numbers.",
        ("features", ".parquet"),
        "application/vnd.apache.parquet",
        "engine.export.features:write_features",
        DATA,
    ),
    "csv": RunFormat(
        "Table (CSV)",
        "What the run says of every image, for a spreadsheet; of a map, where every point lies.",
        ("predictions", ".csv"),
        "text/csv; charset=utf-8",
        "engine.export.take:write_table",
        TOLD,
        quick=True,
        maps=True,
    ),
    "report": RunFormat(
        "Report (HTML)",
        "One page with data, split, recipe, curves, results, maps and versions; opens without a network.",
        ("report", ".html"),
        "text/html; charset=utf-8",
        "engine.export.report:write_report",
        ANY,
        maps=True,
    ),
    "projector": RunFormat(
        "TensorBoard (zip)",
        "A folder for TensorBoard's embedding projector, with the original space and the images.",
        ("projector", ".zip"),
        ZIP,
        "engine.export.map_tensorboard:write_projector_run",
        ANY,
        maps=True,
        only_maps=True,
    ),
    "recipe": RunFormat(
        "Recipe (JSON)",
        "All that is needed to repeat the run: `train --recipe` reads it.",
        ("recipe", ".json"),
        "application/json",
        "engine.export.code:write_recipe",
        ANY,
        quick=True,
        maps=True,
    ),
    "code": RunFormat(
        "Code (Python)",
        "The lines that repeat the run with this program's own functions.",
        ("repeat", ".py"),
        "text/x-python; charset=utf-8",
        "engine.export.code:write_code",
        ANY,
        quick=True,
        maps=True,
    ),
    "zip": RunFormat(
        "Whole run (zip)",
        "Everything but the images, for another installation: its Runs page takes it in.",
        ("run", ".zip"),
        ZIP,
        "engine.export.run_zip:write_run_zip",
        ANY,
        maps=True,
    ),
}


def run_format(name: str) -> RunFormat:
    """The table's entry.

    Raises:
        UserError: There is none of that name; the message lists those there are.
    """
    if name not in RUN_FORMATS:
        raise UserError(f"There is no format '{str(name)[:40]}'; choose one of: {', '.join(RUN_FORMATS)}.")
    return RUN_FORMATS[name]


def refusal(run_id: str, name: str) -> str | None:
    """Why a run cannot be taken home as this, in one sentence; None if it can.

    Raises:
        UserError: There is no such run or no such format.
    """
    known, store = run_format(name), RunStore()
    run = store.get(run_id)
    if name in ("recipe", "code"):
        return None
    entry = method_entry(store.recipe(run_id).method)
    if known.only_maps and entry.page != "maps":
        return "This run is no map: draw one of its encoder first."
    if run.state not in FINAL or (run.state != DONE and name != "zip"):
        return "This run is not done, so there is nothing to take home yet: wait for it, or resume it."
    if not entry.method and not known.maps:
        return "This run trained no network: take its report, or the whole run."
    if not entry.method and known.needs == TOLD and entry.page != "maps":
        return "This run keeps no table of images: take its report, or the whole run."
    if known.needs == DECODER or name == "decoder":
        return _no_decoder(run_id, store, alone=name != "decoder")
    if known.needs in (NETWORK, DATA) and not store.encoder_path(run_id).is_file():
        return "This run has kept no encoder: run it again."
    if known.needs == TOLD and entry.method and not store.predictions_path(run_id).is_file():
        return "This run has kept nothing that could be a table: run it again."
    return None


def _no_decoder(run_id: str, store: RunStore, alone: bool) -> str | None:
    if not store.decoder_path(run_id).is_file():
        return "This run has no decoder: only autoencoders have one."
    if alone and not (store.results(run_id) or {}).get("decodes"):
        return "This method's decoder needs part of an image beside the code: take its weights instead."
    return None

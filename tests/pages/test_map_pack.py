"""The pack of a latent map, read back byte by byte as its layout says, and what it refuses."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pages.components.map_pack import (
    COLOURS,
    MOST_POINTS,
    NO_CLASS,
    SCALE,
    ColourField,
    Panel,
    Pictures,
    pack,
    points_id,
)
from tests.pages.made import HOSTILE

N = 7
CODES = np.array([0, 1, 2, NO_CLASS, 0, 1, 2], np.uint16)
CLASS = ColourField("class", "class", CODES, ["cat", "dog", HOSTILE[0]])


def positions(dim: int = 2) -> np.ndarray:
    return np.random.default_rng(dim).normal(size=(N, dim)).astype(np.float32)


def pictures(index: np.ndarray | None = None, fingerprint: str = "abc") -> Pictures:
    index = np.arange(N)[::-1] if index is None else index
    return Pictures("digits", fingerprint, index, 28, 32, 16, 256, 28)


def read(data: bytes) -> tuple[dict[str, Any], Callable[[str, int, int], np.ndarray]]:
    """The header, and a reader of arrays: type, place, count."""
    (length,) = struct.unpack("<I", data[:4])
    start = math.ceil((4 + length) / 4) * 4

    def array(kind: str, at: int, count: int) -> np.ndarray:
        assert (start + at) % 4 == 0, "a browser looks at numbers in place only on multiples of 4"
        return np.frombuffer(data, kind, count, start + at)

    return json.loads(data[4 : 4 + length]), array


def test_positions_come_back_axis_by_axis() -> None:
    flat, deep = positions(2), positions(3)
    header, array = read(pack([Panel("PCA", flat), Panel("UMAP", deep)], [CLASS]))
    for panel, wanted in zip(header["panels"], (flat, deep), strict=True):
        n, dim = wanted.shape
        assert panel["dim"] == dim
        assert np.array_equal(array("<f4", panel["at"], n * dim).reshape(dim, n).T, wanted)


@pytest.mark.parametrize("extra", range(5))
def test_arrays_begin_on_multiples_of_four_whatever_the_header_takes(extra: int) -> None:
    header, array = read(
        pack([Panel("P" * (1 + extra), positions())], [CLASS], ["a" * extra] * N, pictures())
    )
    assert np.array_equal(array("<u2", header["colours"][0]["at"], N), CODES)
    assert array("<u4", header["pictures"]["at"], N).tolist() == list(range(N))[::-1]
    text = array("u1", header["captions"]["at"], header["captions"]["bytes"]).tobytes().decode()
    assert text.split("\n") == ["a" * extra] * N


def test_a_panel_without_positions_carries_its_state_and_sentence() -> None:
    header, _ = read(
        pack([Panel("t-SNE", None, "working", "120 of 750"), Panel("PCA", positions())], [CLASS])
    )
    working = header["panels"][0]
    assert (working["dim"], working["state"], working["sentence"]) == (0, "working", "120 of 750")


def test_the_scale_of_numbers_leaves_out_the_outermost_percents_and_missing_values() -> None:
    values = np.append(np.arange(1000, dtype=np.float32), [1e9, np.nan, np.inf]).astype(np.float32)
    n = len(values)
    field = ColourField("loss", "number", values, unit="nats")
    header, array = read(pack([Panel("PCA", np.zeros((n, 2)))], [field]))
    known = np.append(np.arange(1000.0), 1e9)
    wanted = [0.0, np.percentile(known, 1), np.percentile(known, 99), 1e9]
    assert np.allclose(header["colours"][0]["ends"], wanted, rtol=1e-6)
    assert np.array_equal(array("<f4", header["colours"][0]["at"], n), values, equal_nan=True)


def test_numbers_that_are_all_missing_still_have_ends() -> None:
    field = ColourField("loss", "number", np.full(N, np.nan))
    header, _ = read(pack([Panel("PCA", positions())], [field]))
    assert header["colours"][0]["ends"] == [0, 0, 0, 0]


def test_names_keep_their_markup_and_lose_their_line_breaks() -> None:
    names = ["a\nb", *HOSTILE, "\u202egnp.exe", "é" * 200]
    header, array = read(pack([Panel("PCA", positions())], [CLASS], names))
    found = array("u1", header["captions"]["at"], header["captions"]["bytes"]).tobytes().decode().split("\n")
    assert len(found) == N
    assert found[0] == "a b" and found[1] == HOSTILE[0] and found[-2] == "gnp.exe" and len(found[-1]) == 80
    assert header["colours"][0]["names"][2] == HOSTILE[0]


def test_names_too_many_to_send_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.components.map_pack.MOST_CAPTION_BYTES", 2 * N - 1)
    panels = [Panel("PCA", positions())]
    assert read(pack(panels, [CLASS], ["aa"] * N))[0]["captions"] is None
    assert read(pack(panels, [CLASS], ["a"] * N))[0]["captions"] is not None


def test_labels_are_told_whether_or_not_they_are_a_colour_and_sent_once() -> None:
    loss = ColourField("loss", "number", np.zeros(N, np.float32))
    for colours in ([CLASS, loss], [loss], [loss, CLASS]):
        header, array = read(pack([Panel("PCA", positions())], colours, labels=CLASS))
        assert header["labels"]["names"] == ["cat", "dog", HOSTILE[0]]
        assert np.array_equal(array("<u2", header["labels"]["at"], N), CODES)
        places = [field["at"] for field in header["colours"] if field["name"] == "class"]
        assert places == [header["labels"]["at"]] * any(field is CLASS for field in colours)


def test_a_colour_of_classes_is_no_label() -> None:
    said = ColourField("prediction", "class", CODES, ["cat", "dog", "owl"])
    assert read(pack([Panel("PCA", positions())], [said]))[0]["labels"] is None


def test_the_same_points_have_the_same_name_whatever_is_drawn_of_them() -> None:
    few = read(pack([Panel("PCA", positions())], [CLASS], None, pictures()))[0]["points"]
    more = read(
        pack([Panel("PCA", positions()), Panel("UMAP", None, "waiting")], [CLASS], ["a"] * N, pictures())
    )[0]["points"]
    others = {
        points_id(N, pictures(np.arange(N))),
        points_id(N, pictures(fingerprint="d")),
        points_id(N, None),
    }
    assert few == more and few not in others and len(others) == 3


@pytest.mark.parametrize(
    ("panels", "colours", "captions", "said"),
    [
        ([], [CLASS], None, "panels must be 1 to 6"),
        ([Panel(str(k), None) for k in range(7)], [CLASS], None, "panels must be 1 to 6"),
        ([Panel("a", None), Panel("a", None)], [CLASS], None, "different titles"),
        ([Panel("a", None)], [], None, "at least one field"),
        ([Panel("a", np.zeros((N - 1, 2)))], [CLASS], None, r"positions must be \(7, 2\)"),
        ([Panel("a", np.zeros((N, 4)))], [CLASS], None, r"positions must be \(7, 2\)"),
        ([Panel("a", None)], [ColourField("c", "class", CODES, ["cat"])], None, "below its 1 names"),
        ([Panel("a", None)], [CLASS, ColourField("x", "number", np.zeros(3))], None, "the values of 'x'"),
        ([Panel("a", None)], [CLASS], ["one"], "captions must have one entry"),
        ([Panel("a", None)], [ColourField("c", "number", np.zeros(MOST_POINTS + 1))], None, "at most 60000"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    panels: list[Panel], colours: list[ColourField], captions: list[str] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        pack(panels, colours, captions)


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a hex colour (IEC 61966-2-1)."""
    values = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    share = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089])
    f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes, 2009, severity 1.0, on linear RGB
SEEN = {
    "all colours": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


@pytest.mark.parametrize("eyes", SEEN)
def test_any_two_class_colours_can_be_told_apart(eyes: str) -> None:
    seen = [lab(SEEN[eyes] @ linear(colour)) for colour in COLOURS]
    least = min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i])
    assert len(COLOURS) == 10
    assert least > 9, "a difference of 2.3 is just noticeable"


@pytest.mark.parametrize("eyes", SEEN)
def test_the_scale_of_numbers_only_ever_grows_lighter(eyes: str) -> None:
    lightness = [lab(SEEN[eyes] @ linear(colour))[0] for colour in SCALE]
    assert (np.diff(lightness) > 3).all()

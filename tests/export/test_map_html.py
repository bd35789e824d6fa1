"""The web page of a map: it asks the network for nothing, names stay text, and pictures lie where it says."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.export import map_html
from engine.export.map_html import STEPS, pictures_within, write_html
from tests.export.map_runs import HOSTILE, NAMES, colour, coloured_set, map_of, map_run, told

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """The elements of a page, and whether every one that was opened is closed in turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def page_of(run: str) -> str:
    file = io.BytesIO()
    write_html(map_of(run), file)
    return file.getvalue().decode()


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def thumbnail(data: dict[str, Any], row: int) -> np.ndarray:
    """(side, side, 3) of a point, found as the data says."""
    told = data["pictures"]
    place = int(numbers(told["place"], "<i4")[row])
    number, at = divmod(place, told["inRow"] ** 2)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["sheets"][number]))))
    y, x = (part * told["cell"] for part in divmod(at, told["inRow"]))
    return sheet[y : y + told["side"], x : x + told["side"]]


def test_the_page_is_whole_and_names_no_place_outside_itself(workspace: Path) -> None:
    page = page_of(map_run(coloured_set()))
    outline = Outline(page)
    assert not outline.open and outline.tags().isdisjoint({"img", "link", "iframe", "object", "base", "form"})
    assert not any(
        {"src", "href", "srcset", "action", "style"} & attrs.keys() for _, attrs in outline.elements
    )
    assert not any(key.startswith("on") for _, attrs in outline.elements for key in attrs)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket", page)


def test_the_policy_forbids_all_but_what_the_page_holds(workspace: Path) -> None:
    metas = [attrs for tag, attrs in Outline(page_of(map_run(coloured_set()))).elements if tag == "meta"]
    policy = next(meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_hostile_names_stay_text(workspace: Path) -> None:
    tame, hostile = (page_of(map_run(coloured_set(12, names))) for names in (NAMES, HOSTILE))
    assert Outline(hostile).elements == [(tag, attrs) for tag, attrs in Outline(tame).elements], (
        "names made elements or attributes"
    )
    data = told(hostile)
    names = [name for name, *_ in data["ways"][0]["groups"]]
    assert names == [HOSTILE[0], HOSTILE[1], "tab here line end"]
    assert any("<img src=x onerror" in name for name in data["names"])
    assert hostile.count("</script") == 2 and "<img" not in hostile


def test_names_of_data_sets_and_reasons_are_escaped(workspace: Path) -> None:
    from engine.data.dataset import rename_dataset

    dataset = coloured_set()
    rename_dataset(dataset.id, "<script>alert(1)</script>")
    outline = Outline(page_of(map_run(dataset, failed="isomap")))
    assert [tag for tag, _ in outline.elements].count("script") == 2
    text = "".join(outline.text)
    assert "images of <script>alert(1)</script>" in text and "Too few <points>." in text


def test_places_groups_and_names_are_those_of_the_map(workspace: Path) -> None:
    dataset = coloured_set()
    run = map_run(dataset)
    found, data = map_of(run), told(page_of(run))
    for panel, positions in zip(data["panels"], found.aligned().values(), strict=True):
        steps = numbers(panel["at"], "<u2").reshape(panel["dim"], data["n"]).T.astype(float)
        extent = np.ptp(positions, axis=0).max()
        middle = (positions.max(axis=0) + positions.min(axis=0)) / 2
        np.testing.assert_allclose((steps / STEPS - 0.5) * extent + middle, positions, atol=extent / 60_000)
    way = data["ways"][0]
    groups = np.array([name for name, *_ in way["groups"]])[numbers(way["of"], "<u2")]
    assert groups.tolist() == [NAMES[code] for code in found.label]
    assert [count for _, count, *_ in way["groups"]] == [8, 8, 8]
    assert data["names"] == [dataset.names[place] for place in found.index]
    assert [way["name"] for way in data["ways"]] == ["class", "cluster", "split"]


def test_every_thumbnail_lies_where_the_data_says(workspace: Path) -> None:
    run = map_run(coloured_set(30, side=28))
    found, data = map_of(run), told(page_of(run))
    assert (data["pictures"]["side"], data["pictures"]["cell"], data["pictures"]["count"]) == (28, 32, 30)
    for row, image in enumerate(found.index):
        assert np.abs(thumbnail(data, row).astype(int) - colour(int(image))).max() <= 4


def test_figures_captions_recipe_and_seed_are_on_the_page(workspace: Path) -> None:
    run = map_run(coloured_set())
    text = "".join(Outline(page_of(run)).text)
    for words in ("trust 0.92", "hit 0.25", "Large distances are real", "Seed 7.", "numpy ", "Isomap"):
        assert words in text
    assert map_of(run).recipe.to_json() in text and "images of all points" in text


def test_a_file_that_would_grow_too_large_has_smaller_pictures_then_fewer(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = coloured_set(60, side=64)
    run = map_run(dataset)
    found, whole = map_of(run), page_of(run)
    groups = found.label
    large = pictures_within(dataset, found, groups, 10**7)
    assert large is not None and large.side == 48 and len(large.rows) == 60
    small = pictures_within(dataset, found, groups, large.weight - 1)
    assert small is not None and small.side < 48 and small.weight < large.weight
    few = pictures_within(dataset, found, groups, 2600)
    assert few is not None and few.side == 24 and 6 <= len(few.rows) < 60 and few.weight <= 2600
    assert np.ptp(np.bincount(groups[few.rows], minlength=3)) <= 1, "every class has its share"
    assert pictures_within(dataset, found, groups, 100) is None

    monkeypatch.setattr(map_html, "MOST_BYTES", len(whole) - large.weight + map_html.SPARE + 2600)
    page = page_of(run)
    data = told(page)
    count = data["pictures"]["count"]
    assert len(page.encode()) <= map_html.MOST_BYTES and f"the images of {count} of 60 points" in page
    place = numbers(data["pictures"]["place"], "<i4")
    assert (place >= 0).sum() == count and data["n"] == 60
    for row in np.flatnonzero(place >= 0):
        assert np.abs(thumbnail(data, int(row)).astype(int) - colour(int(found.index[row]))).max() <= 4


def test_a_map_without_its_data_set_has_no_pictures_and_says_so(workspace: Path) -> None:
    from engine.data.dataset import remove_dataset

    dataset = coloured_set()
    run = map_run(dataset)
    remove_dataset(dataset.id)
    page = page_of(run)
    assert "This file holds no images." in page and told(page)["pictures"] is None
    assert [name for name, *_ in told(page)["ways"][0]["groups"]] == ["class 0", "class 1", "class 2"]

"""The report: everything is in it, nothing is loaded from elsewhere, and names stay what was typed."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.dataset import remove_dataset, rename_dataset
from engine.evaluation.depth_probe import carry_out
from engine.export.report import POLICY, maps_of, write_report
from engine.export.report_charts import Line, curves, ticks
from engine.files import read_json, write_json
from engine.runs import layout
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from tests.evaluation.comparing import compared, comparison_recipe
from tests.export.map_runs import coloured_set, map_run
from tests.pages.coded import code_run
from tests.pages.learned import learned_run
from tests.pages.made import HOSTILE, make_dataset, make_run


class Page(HTMLParser):
    """What a browser would make of the page: elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(run: str, tmp_path: Path) -> tuple[Page, str]:
    write_report(run, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    return Page(text), text


def test_a_classification_tells_data_split_recipe_curves_confusion_and_hashes(
    workspace: Path, tmp_path: Path
) -> None:
    dataset = make_dataset(("cat", "dog", "owl"), (8, 4, 4))
    run = make_run(dataset, "My run")
    page, text = page_of(run, tmp_path)
    store = RunStore()
    for heading in ("Accuracy", "Confusion", "Classes", "Curves", "Data", "Split", "Recipe", "Hashes"):
        assert f"<h2>{heading}</h2>" in text
    for word in ("My run", "from random weights", "Tiny", "cat", "owl", dataset.fingerprint):
        assert word in page.words
    assert store.recipe(run).digest() in page.words and "Epoch 3 was kept" in page.words
    # one validation image of the last class is mistaken for the first: 11 of 12 right
    assert "91.7%" in page.words and "11 of 12" in page.words and "owl taken for cat: 1" in page.words
    cells = [attributes for attributes in page.all("td") if attributes.get("class") in ("right", "wrong")]
    assert len(cells) == 9 and [cell["class"] for cell in cells].count("right") == 3
    assert len(page.all("polyline")) == 4, "loss and accuracy, training and validation"
    assert "24 of 48 images:" in page.words, "what is sampled says of how many"
    assert "train classification --recipe" in page.words and "InlineExecutor" in page.words


def test_a_mistake_is_shown_with_its_image(workspace: Path, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    dataset = make_dataset(("cat", "dog"))
    run = make_run(dataset)
    _, text = page_of(run, tmp_path)
    shown = text.split("taken for")[1].split("<section>")[0]
    source = re.search(r'src="data:image/png;base64,([^"]+)"', shown)
    assert source
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(source[1]))).convert("RGB"))
    wrong = int(dataset.indices("val")[-1])
    np.testing.assert_array_equal(picture, np.asarray(dataset.image(wrong)))


@pytest.mark.parametrize("kind", ["classification", "autoencoder", "simclr", "map"])
def test_nothing_comes_from_elsewhere_and_nothing_runs(workspace: Path, tmp_path: Path, kind: str) -> None:
    dataset = make_dataset()
    made = {"classification": make_run, "autoencoder": code_run, "simclr": learned_run, "map": map_run}
    run = made[kind](coloured_set() if kind == "map" else dataset)  # type: ignore[operator]
    page, text = page_of(run, tmp_path)
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert f'content="{POLICY}"' in text and "script" not in POLICY
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            value = attributes.get(name) or ""
            assert value.startswith("data:image/") or not value, (tag, value[:60])
    assert "url(" not in text and "@import" not in text
    outside = re.sub(r"<(p|dd|pre|dt)[^>]*>.*?</\1>", "", text, flags=re.S)
    assert not re.search(r"https?://(?!www\.w3\.org/)", outside)


def test_names_from_outside_stay_text(workspace: Path, tmp_path: Path) -> None:
    evil = ["</style><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', *HOSTILE]
    dataset = make_dataset(evil[:3])
    rename_dataset(dataset.id, evil[0])
    run = make_run(dataset, evil[1])
    page, _ = page_of(run, tmp_path)
    assert not page.all("script") and not [one for one in page.all("img") if one.get("src") == "x"]
    assert evil[1] in page.words and evil[0] in page.words, "they read as they were typed"
    titles = {str(cell.get("title")) for cell in page.all("td")}
    assert any("<script>" in title for title in titles), "also where only a title holds them"


def test_what_an_autoencoder_rebuilt_stands_beside_what_went_in(workspace: Path, tmp_path: Path) -> None:
    run = code_run(make_dataset(), epochs=2)
    page, text = page_of(run, tmp_path)
    frame = RunStore().frame(run, 2)
    assert "After epoch 2" in page.words and "Error by class" in text
    pairs = [image for image in page.all("img") if image.get("alt") in ("what went in", "what came out")]
    assert len(pairs) == 2 * min(8, len(frame["given"]))


def test_what_was_learned_stands_beside_pixels_and_chance(workspace: Path, tmp_path: Path) -> None:
    run = learned_run(make_dataset(per_class=(12, 6, 0)))
    page, _ = page_of(run, tmp_path)
    study = (RunStore().results(run) or {})["study"]
    for row in study["rows"]:
        assert row["title"] in page.words
        if row.get("knn"):
            assert f"{row['knn']['accuracy']:.1%}" in page.words


def test_maps_of_the_encoder_are_drawn_and_others_are_not(workspace: Path, tmp_path: Path) -> None:
    dataset = coloured_set()
    run, other = code_run(dataset), map_run(dataset)
    before, _ = page_of(run, tmp_path)
    mine = map_run(dataset)
    path = RunStore().folder(mine) / layout.RECIPE
    write_json(path, {**read_json(path), "backbone": f"run:{run}"})
    layout.write_status(RunStore().folder(mine), finished=1.0)  # so that the list looks again
    assert maps_of(run, RunStore()) == [mine] and other != mine
    page, _ = page_of(run, tmp_path)
    assert "Maps of what the encoder sees" in page.words
    assert "Maps of what the encoder sees" not in before.words
    drawn = [image for image in page.all("img") if str(image.get("src")).startswith("data:image/svg+xml")]
    assert len(drawn) == 1
    svg = base64.b64decode(str(drawn[0]["src"]).partition(",")[2]).decode()
    assert svg.count("<circle") >= 2 * len(dataset), "a mark for every point on both panels"


def test_without_its_data_set_the_report_says_so(workspace: Path, tmp_path: Path) -> None:
    dataset = make_dataset(("cat", "dog"))
    run = make_run(dataset)
    remove_dataset(dataset.id)
    page, _ = page_of(run, tmp_path)
    assert "not here any more" in page.words and "cat" in page.words and not page.all("img")


@pytest.mark.parametrize(
    "results",
    [
        {"splits": {"val": {"accuracy": "x", "interval": None}}},
        {"splits": [1], "classes": {"name": 3}, "confusion": "no"},
        {"confusion": [[1]], "classes": [{"name": "<b>"}], "confusion_split": "evil", "splits": {}},
        {},
    ],
)
def test_results_that_are_nonsense_leave_the_rest_of_the_page(
    workspace: Path, tmp_path: Path, results: dict[str, Any]
) -> None:
    run = make_run(make_dataset())
    write_json(RunStore().folder(run) / layout.RESULTS, results)
    page, _ = page_of(run, tmp_path)
    assert "Hashes" in page.words and "Tiny" in page.words


def test_ticks_enclose_the_values_in_round_steps() -> None:
    for low, high in ((0.0, 1.0), (0.31, 0.33), (-5.0, 1234.0), (2e-9, 5e-9), (7.0, 7.0)):
        found = ticks(low, high)
        assert found[0] <= low + 1e-12 and found[-1] >= high - 1e-12 and 3 <= len(found) <= 8
        steps = np.diff(found)
        np.testing.assert_allclose(steps, steps[0])
        lead = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
        assert min(abs(lead - known) for known in (1, 2, 2.5, 5, 10)) < 1e-6


def test_a_curve_reaches_from_the_first_epoch_to_the_last() -> None:
    drawn = curves("<loss>", [Line("training", [1, 2, 3], [3.0, 2.0, 1.0])])
    assert "&lt;loss&gt;" in drawn and "<loss>" not in drawn
    points = [tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", drawn)]
    xs, ys = zip(*points, strict=True)
    assert xs[0] < xs[1] < xs[2] and xs[1] - xs[0] == pytest.approx(xs[2] - xs[1])
    assert ys[0] < ys[1] < ys[2], "a smaller value lies lower"
    many = curves("loss", [Line("training", list(range(5000)), [float(i % 7) for i in range(5000)])])
    assert len(many) < 20_000


def test_a_comparison_tells_every_encoder_with_its_figures_and_the_advice(
    workspace: Path, tmp_path: Path
) -> None:
    dataset = make_dataset(HOSTILE[:2], (12, 6, 10))
    recipe = comparison_recipe(dataset, "random:resnet20", 0, 32, draws=2, few_most=2, structure=False)
    run, found, _ = compared(recipe)
    page, _ = page_of(run, tmp_path)
    assert len(found.measured) == 2, "random weights are their own floor"
    for row in found.measured:
        linear = row.figure("linear")
        assert linear and row.title in page.words
        assert "".join(f"{linear[key]:.1%}" for key in ("accuracy", "low", "high")) in page.words
    assert "1 labels a class" not in page.words and "1 label a class" in page.words
    assert "2 labels a class" in page.words and "Accuracies on 20 of 20 test images" in page.words
    assert found.advice() in page.words and found.best() in page.words
    assert "its own network" not in page.words and not page.all("script")


def test_a_comparison_that_measured_nothing_yet_has_no_table(workspace: Path, tmp_path: Path) -> None:
    run = RunStore().create(comparison_recipe(make_dataset(), "pixels", 0, 32)).id
    assert "Encoders compared" not in page_of(run, tmp_path)[0].words


@pytest.mark.parametrize("twin", [False, True])
def test_a_probe_by_depth_tells_every_block(workspace: Path, tmp_path: Path, twin: bool) -> None:
    dataset, store = make_dataset(per_class=(12, 6, 0)), RunStore()
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "depth_probe"}
    rest = {
        "backbone": "random:cnn-small",
        "image_size": 16,
        "config": {"learn": 20, "ask": 10, "kind": "knn"},
    }
    recipe = check_recipe(make_recipe({**fields, **rest}))
    run = store.create(recipe).id
    found = carry_out(recipe, store.writer(run))
    if twin:
        found["twin"] = [{**row, "accuracy": 0.123} for row in found["depth"]]
    write_json(store.folder(run) / layout.RESULTS, found)
    page, _ = page_of(run, tmp_path)
    for row in found["depth"]:
        shown = f"{row['accuracy']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
        assert f"{row['block']}{row['width']:,}{shown}" in page.words
    assert ("12.3%" in page.words) == twin
    assert f"learned from {found['learned']:,} of {found['learned_of']:,} images" in page.words

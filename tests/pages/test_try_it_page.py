"""The Try it page: one picture, two models, a folder, under the hood, and everything that can be missing."""

from __future__ import annotations

import base64
import csv
import io
import re
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.data.dataset import Dataset, remove_dataset
from engine.errors import UserError
from engine.evaluation.inside import Layer, Tap
from engine.evaluation.novelty import share_beyond, training_images
from engine.evaluation.trial import Line, read_picture, side_of, try_pictures
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.settings import settings
from pages.components import try_answer, try_inside, try_many, try_novelty, try_source, try_work
from pages.components.text import JOINER
from pages.components.try_answer import agreement_words, truth_words
from pages.components.try_models import frozen_random
from pages.components.try_work import Job
from tests.evaluation.tried import tried_run
from tests.pages.made import HOSTILE, fine, make_dataset, make_unlabelled, open_page, words

PAGE = "try_it"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are waited for, so that a page is whole after one run."""
    monkeypatch.setattr(try_work, "PATIENCE", 60.0)


@pytest.fixture
def dataset(workspace: Path) -> Dataset:
    return make_dataset(HOSTILE[:2], (12, 12, 6))


@pytest.fixture
def run(dataset: Dataset) -> str:
    return tried_run(dataset)


def strange() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def upload(app: AppTest, data: bytes, name: str = "mine.png") -> AppTest:
    app = fine(app.button_group(key="try.way.3").set_value("file").run())
    return fine(app.file_uploader[0].set_value((name, data, "image/png")).run())


def letters(text: str) -> str:
    """Text without what keeps Markdown from reading it."""
    return text.replace("\\", "").replace(JOINER, "")


def plain(app: AppTest) -> str:
    return letters(words(app))


def test_without_a_classifier_the_page_says_what_to_do(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id)
    assert "No classifier has finished yet" in words(app) and app.button(key="try.train")


def test_a_held_out_image_is_answered_at_once_with_everything(dataset: Dataset, run: str) -> None:
    app = open_page(PAGE, data=dataset.id)
    text = plain(app)
    assert app.query_params["run"] == run, "the model stands in the address"
    assert "16 px" in text and "from random weights" in text
    tried = try_pictures(run, read_picture(dataset.raw_bytes(int(first(dataset))), side_of(run))[None])
    assert f"{tried.shares[0].max():.1%}" in text
    seen = training_images(run)
    assert seen is not None
    held = share_beyond(seen.held_out, seen.usual)
    assert f"It would flag **{held.beyond} of {held.n}** test images" in text
    assert "24 of 24 training images" in text
    assert [metric.label for metric in app.metric] == ["Temperature", "Error before", "Error after"]
    assert "Rank correlation" in text or "cannot be compared" in text
    assert not any("<img src=x" in str(html.value) for html in app.get("html")), "names are plain text"


def first(dataset: Dataset) -> int:
    from pages.components.choose import candidates

    return int(candidates(dataset, dataset.indices("test"), None, 0)[0])


def test_an_upload_and_a_photograph_are_answered_as_the_engine_does(dataset: Dataset, run: str) -> None:
    app = upload(open_page(PAGE, data=dataset.id), strange())
    tried = try_pictures(run, read_picture(strange(), side_of(run))[None])
    assert f"{tried.shares[0].max():.1%}" in plain(app)
    app = fine(app.button_group(key="try.way.3").set_value("camera").run())
    assert "If the browser has refused the camera" in words(app) and "Choose a picture" in words(app)
    shot = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(shot, "JPEG")
    app = fine(app.camera_input[0].set_value(("shot.jpg", shot.getvalue(), "image/jpeg")).run())
    tried = try_pictures(run, read_picture(shot.getvalue(), side_of(run))[None])
    assert f"{tried.shares[0].max():.1%}" in plain(app)


def test_what_is_no_picture_or_too_large_is_one_sentence(
    dataset: Dataset, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = upload(open_page(PAGE, data=dataset.id), b"no picture")
    assert [letters(error.value) for error in app.error] == [
        "This picture cannot be used: not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF or PPM)."
    ]
    monkeypatch.setenv("REPLAB_MAX_FILE_BYTES", "100")
    app = upload(open_page(PAGE, data=dataset.id), strange())
    assert len(app.error) == 1 and "over the limit" in app.error[0].value


def test_the_threshold_decides_what_is_unlike_anything_seen(dataset: Dataset, run: str) -> None:
    app = upload(open_page(PAGE, data=dataset.id), strange())
    slider = next(s for s in app.slider if s.label == "Threshold")
    app = fine(slider.set_value(0.0).run())
    seen = training_images(run)
    assert seen is not None
    everything = share_beyond(seen.held_out, 0.0)
    assert "**Unlike anything seen**" in words(app)
    assert f"**{everything.beyond} of {everything.n}** test images" in words(app)
    other = make_dataset(("x", "y"), (5, 3, 0), name="Elsewhere")
    app = fine(app.run())
    app = fine(app.selectbox(key=f"try.a.other.{run}").set_value(other.id).run())
    assert "of 16** images of Elsewhere" in words(app) and "16 of 16 images" in words(app)


@pytest.mark.parametrize("where", ["opening", "measuring"])
def test_another_set_that_cannot_be_used_is_one_sentence_beside_the_verdict(
    dataset: Dataset, run: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def refused(*given: Any) -> None:
        raise UserError("This set is damaged.")

    other = make_dataset(("x", "y"), (5, 3, 0), name="Elsewhere")
    app = open_page(PAGE, data=dataset.id)
    if where == "opening":
        monkeypatch.setattr(try_novelty, "open_dataset", refused)
    else:
        monkeypatch.setattr("engine.evaluation.novelty.other_distances", refused)
    app = fine(app.selectbox(key=f"try.a.other.{run}").set_value(other.id).run())
    assert [error.value for error in app.error] == ["This set is damaged."]
    assert "It would flag" in words(app), "what is known without that set stays"


def test_a_class_can_be_asked_about(dataset: Dataset, run: str) -> None:
    app = open_page(PAGE, data=dataset.id)
    (box,) = [s for s in app.selectbox if s.label == "Class" and "target" in str(s.key)]
    second = box.options[1]
    app = fine(box.select_index(1).run())
    assert f"Bright speaks for {second[:10]}" in plain(app)


def test_two_models_answer_side_by_side(dataset: Dataset, run: str) -> None:
    other = tried_run(make_dataset(("left", "right"), (8, 4, 0), name="Other"), mode="extract")
    app = open_page(PAGE, data=dataset.id, run=run)
    app = fine(app.selectbox(key="try.other").set_value(other).run())
    assert len(app.metric) == 6 and len(app.subheader) == 2
    assert "is none that this model knows" in words(app)
    assert "not calibrated" in words(app), "eight validation images are too few"


def test_a_run_whose_data_set_is_gone_still_predicts(dataset: Dataset, run: str) -> None:
    remove_dataset(dataset.id)
    make_unlabelled(4)
    app = open_page(PAGE)
    app = fine(app.file_uploader[0].set_value(("mine.png", strange(), "image/png")).run())
    assert "data set of this run is gone" in words(app) and len(app.metric) == 3 and not app.error


def test_a_run_that_kept_no_network_is_one_sentence(dataset: Dataset, run: str) -> None:
    RunStore().writer(run).best_path.unlink()
    app = open_page(PAGE, data=dataset.id)
    assert [letters(error.value) for error in app.error] == [
        "This run has kept no network: only a finished run can be used."
    ]


def arrive(monkeypatch: pytest.MonkeyPatch, **files: bytes) -> None:
    """What dropping a zip does: the component itself needs a browser."""
    settings().uploads.mkdir(parents=True, exist_ok=True)
    path = settings().uploads / "abcdefghijkmnpqr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/") + ".png", data)
    arrived = [path]
    monkeypatch.setattr(try_many, "upload", lambda *args, **more: arrived.pop() if arrived else None)


def test_a_zip_becomes_a_table_a_gallery_and_a_file(
    dataset: Dataset, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(monkeypatch, a__one=dataset.raw_bytes(0), a__two=strange(), broken=b"no picture")
    app = open_page(PAGE, data=dataset.id, view="folder")
    assert "2 pictures" in words(app) and "broken.png" in plain(app)
    table = app.dataframe[0].value
    assert sorted(table["file"]) == ["a/one.png", "a/two.png"]
    assert list(table["confidence"]) == sorted(table["confidence"], reverse=True)
    far = fine(app.button_group(key="try.many.order").set_value("far").run()).dataframe[0].value
    assert list(far["file"]) == ["a/two.png", "a/one.png"] and far["distance"][1] < 0.01
    assert any("abcdefghijkmnpqr" in key for key in try_work._jobs if isinstance(key, tuple))
    app = fine(app.button(key="try.many.clear").click().run())
    assert not app.dataframe and not list(settings().uploads.iterdir())
    assert not any("abcdefghijkmnpqr" in key for key in try_work._jobs if isinstance(key, tuple))


def test_the_file_holds_every_probability(dataset: Dataset, run: str, tmp_path: Path) -> None:
    path = tmp_path / "abc.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.png", dataset.raw_bytes(0))
    many = try_many._work(run, path)(Job())
    rows = list(csv.DictReader(io.StringIO(try_many.csv_of(many).decode())))
    tried = try_pictures(run, read_picture(dataset.raw_bytes(0), side_of(run))[None])
    assert [float(rows[0][f"p({name})"]) for name in HOSTILE[:2] if f"p({name})" in rows[0]] == pytest.approx(
        [float(tried.shares[0, tried.classes.index(name)]) for name in HOSTILE[:2]], abs=1e-6
    )
    assert rows[0]["nearest_image"] == dataset.names[0]


def test_a_zip_without_pictures_is_one_sentence(
    dataset: Dataset, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(monkeypatch, notes=b"no picture")
    app = open_page(PAGE, data=dataset.id, view="folder")
    assert len(app.error) == 1 and "No picture can be read there" in app.error[0].value


def test_a_folder_can_be_stopped_and_keeps_what_was_done(dataset: Dataset, run: str, tmp_path: Path) -> None:
    path = tmp_path / "abc.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70):  # more than one batch
            archive.writestr(f"{number:02d}.png", dataset.raw_bytes(number % len(dataset)))
    job = Job()
    job.tell = lambda phase, done, total: setattr(job, "stopping", done > 0 and total == 0)  # type: ignore[method-assign]
    many = try_many._work(run, path)(job)
    assert many.stopped and 0 < len(many.lines) < 70 and len(many.thumbs) == len(many.lines)


@pytest.mark.parametrize(
    ("most", "given", "more"), [(4, 4, False), (4, 5, True), (3, 4, True), (3, 3, False)]
)
def test_a_folder_is_cut_to_the_most_and_more_is_told_only_where_there_is(
    dataset: Dataset,
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    given: int,
    more: bool,
) -> None:
    monkeypatch.setattr(try_many, "MOST", most)
    monkeypatch.setattr("engine.evaluation.trial.BATCH", 2)
    path = tmp_path / "abc.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(given):
            archive.writestr(f"{number}.png", dataset.raw_bytes(number))
    many = try_many._work(run, path)(Job())
    assert [line.name for line in many.lines] == [f"{number}.png" for number in range(most)]
    assert len(many.thumbs) == most and many.more is more


def inside(app: AppTest, part: str) -> AppTest:
    return fine(app.button_group(key="try.inside.part").set_value(part).run())


def test_filters_and_activations_of_any_encoder(dataset: Dataset, run: str) -> None:
    app = open_page(PAGE, data=dataset.id, view="inside")
    assert "32 filters of 4 × 4 px" in words(app) and "nothing has been learned" in words(app)
    app = inside(app, "maps")
    assert "stem: 32 of 32 channels, 16 × 16 places" in words(app)
    app = fine(app.select_slider[0].set_value(2).run())
    assert "stage2: 48 of 128 channels, 4 × 4 places" in words(app)
    app = fine(open_page(PAGE, data=dataset.id, run=run).button(key="try.inside").click().run())
    assert "that a run of yours has trained" in words(app) and "nothing has been learned" not in words(app)


def test_of_a_block_only_what_is_shown_is_kept_and_large_maps_are_shrunk() -> None:
    maps = np.zeros((60, 192, 384), np.float32)
    maps[7, :96, :192] = 1  # a quarter of it, top left
    tap = Tap("stem", "stem", 60, 192, 384, "first")
    shown = try_inside.shown_layer(Layer(tap, maps, np.argsort(-maps.mean((1, 2)), kind="stable")))
    assert len(shown.items) == try_inside.CHANNELS and shown.items[0]["label"] == "channel 7"
    assert shown.items[0]["value"] == "0.25", "the mean is that of the whole map"
    assert try_work.size_of(shown) < maps.nbytes / 20
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.items[0]["images"][0].split(",")[1]))))
    assert drawn.shape == (48, 96, 3)
    bright = drawn.sum(2) > 600
    assert bright[:24, :48].all() and bright.sum() == 24 * 48


def test_a_block_without_places_keeps_its_numbers() -> None:
    numbers = np.arange(5, dtype=np.float32)
    shown = try_inside.shown_layer(
        Layer(Tap("head", "head", 5, 1, 1, "vector"), numbers[:, None, None], np.arange(5))
    )
    assert shown.items == [] and shown.numbers.tolist() == numbers.tolist()


def test_a_shrunk_map_holds_the_mean_of_the_places_that_fall_together() -> None:
    share = np.random.default_rng(0).random((192, 192), np.float32)
    small = try_inside.shrunk(share)
    assert small == pytest.approx(share.reshape(96, 2, 96, 2).mean((1, 3)), abs=1e-6)
    assert try_inside.shrunk(share[:90, :90]) is not None and try_inside.shrunk(share[:90, :90]).shape == (
        90,
        90,
    )


def test_an_image_size_that_an_encoder_cannot_read_is_one_sentence(dataset: Dataset) -> None:
    app = open_page(PAGE, data=dataset.id, view="inside")
    app = fine(app.selectbox(key="backbone.arch").set_value("resnet18").run())
    app = fine(app.button_group(key="weights.resnet18").set_value("random").run())
    app = fine(app.number_input(key="compose.depth_probe.size.224").set_value(16).run())
    assert "must be within [32, 1024], got 16" in plain(app) and not app.error


def depth_run(dataset: Dataset) -> str:
    fields = {"dataset": dataset.id, "fingerprint": dataset.fingerprint, "method": "depth_probe"}
    rest = {"backbone": "random:cnn-small", "image_size": 16, "seed": 0, "config": {"kind": "knn"}}
    store = RunStore()
    run = store.create(check_recipe(make_recipe({**fields, **rest}))).id
    InlineExecutor(store).submit(run)
    assert store.status(run).state == "done", store.log_tail(run)
    return run


def test_a_probe_by_depth_is_asked_for_with_its_settings(dataset: Dataset, waiting: None) -> None:
    app = inside(open_page(PAGE, data=dataset.id, view="inside"), "depth")
    app = fine(app.button_group(key="compose.depth_probe.kind").set_value("knn").run())
    fine(app.button(key="compose.start").click().run())
    (found,) = RunStore().list()
    recipe = RunStore().recipe(found.id)
    assert (recipe.method, recipe.backbone, recipe.config["kind"]) == (
        "depth_probe",
        "random:cnn-small",
        "knn",
    )


def test_a_finished_probe_shows_every_block_and_can_be_changed(dataset: Dataset) -> None:
    run = depth_run(dataset)
    app = open_page(PAGE, data=dataset.id, run=run)
    table = app.dataframe[0].value
    assert list(table["after"]) == ["image", "stem", "stage1", "stage2", "features"]
    assert "Best after" in words(app) and "24 of 24 training images" in words(app)
    app = fine(app.button(key="run.again").click().run())
    assert app.button_group(key="compose.depth_probe.kind").value == "knn"
    assert "You ran exactly this" in words(app), "the same question finds the run that is there"


def test_a_probe_that_is_deleted_while_it_is_watched_is_one_sentence(
    dataset: Dataset, waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"dataset": dataset.id, "method": "depth_probe", "image_size": 32}
    run = RunStore().create(make_recipe({**fields, "backbone": "random:cnn-small"})).id

    def gone(*given: Any) -> None:
        raise UserError("There is no such run.")

    monkeypatch.setattr(RunStore, "progress", gone)
    app = open_page(PAGE, data=dataset.id, run=run)
    assert "There is no such run." in [error.value for error in app.error]


def test_a_probe_that_waits_or_failed_says_so(dataset: Dataset, waiting: None) -> None:
    store = RunStore()
    fields = {"dataset": dataset.id, "method": "depth_probe", "image_size": 32}
    run = store.create(make_recipe({**fields, "backbone": "random:cnn-small"})).id
    app = open_page(PAGE, data=dataset.id, run=run)
    assert app.button(key="run.stop") and not app.dataframe
    store.request_stop(run)
    failing = store.create(make_recipe(fields)).id
    InlineExecutor(store).submit(failing)
    assert "needs an encoder" in words(open_page(PAGE, data=dataset.id, run=failing))


def test_a_set_without_labels_has_nothing_to_probe(workspace: Path) -> None:
    plain_set = make_unlabelled(6)
    app = inside(open_page(PAGE, data=plain_set.id, view="inside"), "depth")
    assert "has no labels: there is nothing to read" in words(app)
    assert not any(button.key == "compose.start" for button in app.button)


def test_work_shows_progress_and_stop_and_can_begin_again(
    dataset: Dataset, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(try_work, "PATIENCE", 0.01)
    go, begun = threading.Event(), []

    def slowly(run: str, tell: Any, stop: Any) -> None:
        begun.append(run)
        while not (stop() or go.is_set()):
            tell("computing features", 3, 10)
            time.sleep(0.01)

    monkeypatch.setattr("engine.evaluation.novelty.training_images", slowly)
    app = open_page(PAGE, data=dataset.id)
    deadline = time.monotonic() + 60
    while not any(button.key == "try.a.seen.stop" for button in app.button):
        assert time.monotonic() < deadline
        app = fine(app.run())
    app = fine(app.button(key="try.a.seen.stop").click().run())
    while not any(button.key == "try.a.seen.again" for button in app.button):
        assert time.monotonic() < deadline
        app = fine(app.run())
    assert "Stopped" in words(app) and begun == [run]
    go.set()
    fine(app.button(key="try.a.seen.again").click().run())
    assert begun == [run, run]


def test_work_that_fails_is_one_sentence_and_an_unknown_fault_is_not_quoted() -> None:
    def refused(job: Job) -> None:
        raise UserError("This cannot be.")

    def broken(job: Job) -> None:
        raise RuntimeError("/secret/path")

    with pytest.raises(UserError, match="This cannot be."):
        try_work.follow(("test", "refused"), refused, "x")
    with pytest.raises(UserError) as told:
        try_work.follow(("test", "broken"), broken, "x")
    assert "secret" not in str(told.value)


def test_a_stop_in_the_queue_takes_the_work_out_at_once() -> None:
    go, begun = threading.Event(), []
    before = try_work._job(("test", "before"), lambda job: go.wait(60), True, "a")
    try:
        queued = try_work._job(("test", "queued"), begun.append, True, "a")
        try_work._stop(queued, "a")
        assert try_work._ended(queued) and not before.answer.done()
        st.session_state[try_work.SESSION] = "a"
        assert try_work.follow(("test", "queued"), begun.append, "queued", long=True) is None
    finally:
        go.set()
        st.session_state.pop(try_work.SESSION, None)
    before.answer.result(60)
    assert not begun


def test_a_stop_ends_the_work_only_for_the_one_who_pressed_it() -> None:
    def work(job: Job) -> str | None:
        while not (job.stop() or go.is_set()):
            time.sleep(0.01)
        return None if job.stop() else "found"

    go, key = threading.Event(), ("test", "shared")
    job = try_work._job(key, work, True, "a")
    assert try_work._job(key, work, True, "b") is job
    try_work._stop(job, "a")
    assert try_work._job(key, work, True, "a") is job and not job.stopping
    try_work._again(key, "a")
    assert "a" not in job.left, "who starts again joins those who wait"
    try_work._stop(job, "a")
    try_work._stop(job, "b")
    assert job.stopping and try_work._ended(job), "the last one ends it"
    anew = try_work._job(key, work, True, "c")
    assert anew is not job, "a third has stopped nothing"
    go.set()
    assert anew.answer.result(60) == "found"


def test_an_answer_that_was_dropped_while_a_page_waits_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    before = try_work._job(("test", "first"), lambda job: go.wait(60), True, "a")
    try:
        waiting = try_work._job(("test", "waiting"), lambda job: "found", True, "a")
        monkeypatch.setattr(try_work, "MAX_KEPT", 1)
        try_work._job(("test", "next"), lambda job: 1, False, "b")
        assert not waiting.stopping and not before.stopping, "pages wait for them"
        monkeypatch.setattr(try_work, "HEARD", 0.0)
        try_work._job(("test", "last"), lambda job: 1, False, "b")
        assert waiting.answer.cancelled()
    finally:
        go.set()
    assert try_work.follow(("test", "waiting"), lambda job: "found", "x", long=True) == "found"


def test_answers_are_bounded_by_their_bytes_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(name: str, size: int) -> Job:
        job = try_work._job(("bytes", name), lambda job: [np.zeros(size, np.uint8)], False, "a")
        job.answer.result(60)
        return job

    monkeypatch.setattr(try_work, "MAX_BYTES", 1000)
    try_work.forget_about("bytes")
    ask("one", 400)
    ask("two", 500)
    ask("one", 400)
    ask("three", 900)
    assert ("bytes", "two") in try_work._jobs, "900 fit"
    ask("four", 1)
    assert {key[1] for key in try_work._jobs if key[0] == "bytes"} == {"three", "four"}  # type: ignore[index]
    try_work.forget_about("four")
    assert ("bytes", "four") not in try_work._jobs and ("bytes", "three") in try_work._jobs


def test_the_size_of_an_answer_counts_what_lies_deep_in_it() -> None:
    many = try_many.Many(("ab", "c"), calibration=None, thumbs=["x" * 100])  # type: ignore[arg-type]
    many.lines = [Line("name", "ab", 0.5, 0.5, np.zeros(4))]
    assert try_work.size_of(many) == 3 + 100 + 4 + 2 + 32
    assert try_work.size_of({"a": (b"12", np.zeros((2, 3), np.float32)), "b": None}) == 26


def test_words_for_what_is_known() -> None:
    assert "right" in truth_words("a", "a", ("a", "b"))
    assert "its class is a" in truth_words("a", "b", ("a", "b"))
    assert "none that this model knows" in truth_words("c", "b", ("a", "b"))
    assert "more than of what was learned" in agreement_words(0.9, True)
    assert "differs from the map of these random weights" in agreement_words(0.1, True)
    assert "cannot be compared" in agreement_words(None, True)
    for agreement in (0.9, 0.1, None):
        assert not {"learned", "training"} & set(re.findall("[a-z]+", agreement_words(agreement, False)))
    assert "training" not in agreement_words(0.1, True), "one map alone does not tell where it comes from"


def test_only_a_random_backbone_that_was_not_trained_is_told_so(dataset: Dataset, run: str) -> None:
    assert not frozen_random(run)
    assert frozen_random(tried_run(dataset, mode="extract"))


def test_a_map_is_laid_over_the_picture_brightest_where_it_is_strongest() -> None:
    from engine.evaluation.saliency import Saliency

    share = np.zeros((8, 8), np.float32)
    share[2, 5] = 1
    drawn = try_answer.overlay(np.full((8, 8, 3), 90, np.uint8), Saliency(share, 8, 8, "x"))
    times = try_answer.SHOWN_SIDE // 8
    assert drawn.shape == (8 * times, 8 * times, 3)
    row, column = np.unravel_index(drawn.sum(2).argmax(), drawn.shape[:2])
    assert (row // times, column // times) == (2, 5)


def test_the_strip_offers_held_out_images_before_others(dataset: Dataset) -> None:
    assert list(try_source.SPLITS) == ["test", "val", "train"]

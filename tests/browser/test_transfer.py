"""The whole way in a real browser: upload, train, reload and restart in mid-run, results, the images."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

HOSTILE = ["<img src=x onerror=alert(1)> <b>b", "**s** $x^2$ smile [l](http---evil.example)"]
ROOT = Path(__file__).resolve().parents[2]


def archive(classes: list[str], images: int = 15) -> bytes:
    """Noisy colours, one a class; every fifth image shows the next class's colour: mistakes to be made."""
    random = np.random.default_rng(0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for label, name in enumerate(classes):
            for i in range(images):
                shown = (label + 1) % len(classes) if i % 5 == 0 else label
                base = 70 + 130 * (np.arange(3) == shown % 3) * np.ones((32, 32, 1))
                pixels = (base + random.normal(0, 25, (32, 32, 3))).clip(0, 255).astype(np.uint8)
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "PNG")
                target.writestr(f"{name}/{i}.png", file.getvalue())
    return buffer.getvalue()


def upload(watched: Any, url: str, name: str, data: bytes) -> None:
    watched.open(f"{url}/data-sets")
    watched.page.get_by_test_id("stMain").get_by_text("Add images", exact=True).click()
    watched.page.get_by_role("button", name="Choose a file").wait_for(timeout=60_000)
    with watched.page.expect_file_chooser() as chooser:
        watched.page.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files({"name": f"{name}.zip", "mimeType": "application/zip", "buffer": data})
    watched.page.get_by_role("heading", name=name, exact=True).wait_for(timeout=90_000)
    watched.ready()


def compose(watched: Any, epochs: int) -> None:
    """Go to the training page of the chosen set and ask for so many epochs."""
    watched.page.get_by_test_id("stSidebarNavLink").filter(has_text="Transfer learning").click()
    field = watched.page.get_by_label("Epochs", exact=True)
    field.wait_for(timeout=60_000)
    watched.ready()
    field.fill(str(epochs))
    field.press("Enter")
    watched.page.get_by_text(f"{epochs} epochs over").wait_for(timeout=30_000)
    watched.ready()


def start(watched: Any) -> None:
    watched.page.get_by_role("button", name="Start training").click()
    watched.page.locator(".rl-live").wait_for(timeout=60_000)
    watched.page.wait_for_url("**run=*")


def wait_for_state(watched: Any, wanted: Any, timeout: int = 180_000) -> None:
    watched.page.locator(".rl-state").filter(has_text=wanted).wait_for(timeout=timeout)


def tab(watched: Any, name: str) -> None:
    watched.page.get_by_role("tab", name=name).click()


@pytest.fixture(scope="module")
def lab(make_server: Any) -> Any:
    return make_server()


def test_from_a_zip_to_the_images_behind_a_mistake(lab: Any, visit: Any) -> None:
    watched = visit(height=1200)
    upload(watched, lab.url, "Colours", archive(["blue", "green", "red"]))
    compose(watched, 150)
    watched.shot("transfer-compose")
    start(watched)
    wait_for_state(watched, "Training")
    watched.page.locator(".rl-card").first.wait_for(timeout=60_000)
    watched.page.locator(".rl-grid img").first.wait_for(timeout=60_000)
    watched.shot("transfer-live")

    watched.page.reload()  # a reload in mid-run
    watched.ready()
    wait_for_state(watched, re.compile("Training|Done"))
    lab.stop(force=True)  # and a server that dies in mid-run
    lab.start()
    again = visit(height=1200)
    again.open(watched.page.url)
    wait_for_state(again, re.compile("Training|Done"), 60_000)
    wait_for_state(again, "Done")
    again.page.get_by_role("tab", name="Confusion").wait_for(timeout=60_000)
    again.shot("transfer-done")

    tab(again, "Confusion")
    again.page.locator("button.miss").first.click()
    behind = again.page.locator(".gallery:visible img")
    behind.first.wait_for(timeout=60_000)
    again.page.get_by_text(re.compile("True class .*, predicted .*: [1-9]")).wait_for()
    behind.first.scroll_into_view_if_needed()
    again.page.wait_for_function("[...document.querySelectorAll('img')].every(i => i.complete)")
    again.shot("transfer-confusion")
    tab(again, "Mistakes")
    again.shot("transfer-mistakes")
    with again.page.expect_download() as download:
        tab(again, "Recipe and downloads")
        again.page.get_by_role("link", name="Predictions (CSV)").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "image,name,split,label,predicted,confidence,correct,p(blue),p(green),p(red)"
    assert len(lines) == 1 + 45
    assert again.page.locator("[data-testid=stException]").count() == 0
    again.clean()


def test_two_tabs_start_one_run_and_both_can_watch_and_stop_it(lab: Any, visit: Any) -> None:
    tabs = [visit(), visit()]
    for watched in tabs:
        watched.open(f"{lab.url}/data-sets?data=digits")
        compose(watched, 900)
    for watched in tabs:
        start(watched)
    runs = {re.search(r"run=([a-z0-9-]+)", watched.page.url)[1] for watched in tabs}  # type: ignore[index]
    assert len(runs) == 1
    for watched in tabs:
        wait_for_state(watched, "Training", 60_000)
    tabs[0].page.get_by_role("button", name="Stop").click()
    for watched in tabs:
        wait_for_state(watched, "Stopped", 60_000)
        watched.page.get_by_role("button", name="Resume").wait_for(timeout=60_000)
        watched.clean()
    tabs[1].page.get_by_role("button", name="Resume").click()
    wait_for_state(tabs[1], "Training", 60_000)
    tabs[1].page.get_by_role("button", name="Stop").click()
    wait_for_state(tabs[1], "Stopped", 60_000)


def test_names_that_are_markup_stay_what_they_are(lab: Any, visit: Any) -> None:
    watched = visit(height=1300)
    upload(watched, lab.url, "<b>Set</b> $x$ **y**", archive(HOSTILE, 10))
    compose(watched, 2)
    start(watched)
    wait_for_state(watched, "Done")
    for name in ("Confusion", "Mistakes", "Classes", "Recipe and downloads"):
        watched.page.get_by_role("tab", name=name).wait_for(timeout=60_000)
        tab(watched, name)
        watched.ready()
        watched.page.wait_for_timeout(400)
        if name == "Confusion":
            watched.page.locator("th.side", has_text=HOSTILE[0]).wait_for()
            watched.shot("transfer-hostile")
    assert watched.page.locator(".katex").count() == 0
    assert watched.page.locator("img[src=x]").count() == 0
    watched.page.get_by_test_id("stSidebarNavLink").filter(has_text="Runs").click()
    watched.page.get_by_test_id("stDataFrame").first.wait_for(timeout=60_000)
    watched.clean()


def made_run(lab: Any, options: str) -> str:
    """A finished run of made-up numbers."""
    script = f"from tests.pages.made import make_dataset, make_run; print(make_run(make_dataset({options})))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=lab.environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def finished(lab: Any) -> str:
    return made_run(lab, "name='Made up'")


def test_a_matrix_of_many_classes_opens_its_cells_too(lab: Any, visit: Any) -> None:
    run = made_run(lab, "[f'class {i:02d}' for i in range(30)], (1, 2, 0), 'Many classes'")
    watched = visit(height=1500)
    watched.open(f"{lab.url}/transfer-learning?run={run}")
    watched.page.get_by_role("tab", name="Confusion").wait_for(timeout=60_000)
    tab(watched, "Confusion")
    matrix = watched.page.locator(".matrix canvas")
    matrix.scroll_into_view_if_needed()
    box = matrix.bounding_box()
    matrix.hover(position={"x": box["width"] * 4.5 / 30, "y": box["height"] * 3.5 / 30})
    watched.page.get_by_text(re.compile(r"images of class 03 predicted as class 04")).wait_for()
    matrix.click(position={"x": box["width"] * 7.5 / 30, "y": box["height"] * 7.5 / 30})
    watched.page.get_by_text(re.compile("True class class 07, predicted class 07")).wait_for(timeout=30_000)
    watched.ready()
    matrix.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Enter"):
        matrix.press(key)
    watched.page.get_by_text(re.compile("True class class 09, predicted class 08")).wait_for(timeout=30_000)
    watched.shot("transfer-many-classes")
    watched.clean()


@pytest.mark.parametrize("dark", [False, True])
def test_a_finished_run_wide_and_narrow(lab: Any, visit: Any, finished: str, dark: bool) -> None:
    for width in (1400, 400):
        name = f"{'dark' if dark else 'light'}{'-narrow' if width == 400 else ''}"
        watched = visit(width=width, height=1400, dark=dark)
        watched.open(f"{lab.url}/all-runs")
        watched.page.get_by_test_id("stDataFrame").first.wait_for(timeout=60_000)
        watched.shot(f"runs-{name}")
        watched.open(f"{lab.url}/transfer-learning?run={finished}")
        wait_for_state(watched, "Done", 60_000)
        watched.page.locator(".rl-chart .main-svg").first.wait_for(timeout=60_000)
        watched.shot(f"transfer-run-{name}")
        assert watched.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        watched.clean()

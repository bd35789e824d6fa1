"""The Data page in a real browser: a zip, a dropped folder, hostile names, every part of a set."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

HOSTILE = "<img src=x onerror=alert(1)> **b** $x^2$ :material-home"
IMAGES = 12


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 56, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def archive(classes: list[str], images: int = IMAGES) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for label, name in enumerate(classes):
            for i in range(images):
                target.writestr(f"{name}/{i}.png", picture(100 * label + i))
        target.writestr(f"{classes[0]}/broken.png", b"no image")
        target.writestr("__MACOSX/._x", b"")
    return buffer.getvalue()


def add(watched: Any, url: str) -> None:
    watched.open(f"{url}/data-sets")
    watched.page.get_by_test_id("stMain").get_by_text("Add images", exact=True).click()
    watched.page.get_by_role("button", name="Choose a file").wait_for(timeout=60_000)


def choose(watched: Any, name: str, data: bytes) -> None:
    with watched.page.expect_file_chooser() as chooser:
        watched.page.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})


def arrived(watched: Any, name: str) -> None:
    """The set of this name is open; invisible joiners in shown names do not count."""
    watched.page.wait_for_function(
        "name => [...document.querySelectorAll('h3')]"
        ".some(h => h.innerText.replaceAll('\\u2060', '') === name)",
        arg=name,
        timeout=90_000,
    )
    watched.ready()


def part(watched: Any, name: str) -> None:
    watched.page.get_by_test_id("stMain").get_by_text(name, exact=True).first.click()
    watched.ready()


def test_a_zip_becomes_a_set_with_the_right_counts(server: Any, page: Any) -> None:
    add(page, server.url)
    page.shot("data-add")
    choose(page, "Cats & dogs.zip", archive(["cats", "dogs"]))
    arrived(page, "Cats & dogs")
    page.page.get_by_text(f"{2 * IMAGES}", exact=True).first.wait_for()
    page.shot("data-look")
    part(page, "Counts")
    page.page.get_by_text("so it was made").first.wait_for(timeout=30_000)
    page.shot("data-counts")
    part(page, "What was taken")
    page.page.get_by_role("button", name="Download as CSV", exact=True).wait_for(timeout=30_000)
    page.shot("data-report")
    part(page, "Augmented views")
    page.page.locator(".rl-views img").first.wait_for(timeout=60_000)
    page.shot("data-views")
    assert not [p for p in (server.workspace / "uploads").iterdir()]
    page.clean()


def test_hostile_names_are_shown_letter_by_letter(server: Any, page: Any) -> None:
    long = "n" * 200
    add(page, server.url)
    choose(page, f"{HOSTILE}.zip", archive([HOSTILE, "![x](http://evil.example/b.png)", long]))
    arrived(page, HOSTILE)
    for name in ("Counts", "Images"):
        part(page, name)
        page.page.wait_for_timeout(800)
        assert page.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.page.locator("[data-testid=stMain] img[src='x'], [data-testid=stMain] .katex").count() == 0
    assert page.page.locator("[data-testid=stMain] a[href*='evil']").count() == 0
    page.shot("data-hostile")
    page.open(f"{server.url}/")
    page.page.get_by_text(HOSTILE.replace(":", ":\u2060")).first.wait_for(timeout=30_000)
    page.clean()


def test_a_folder_is_packed_in_the_browser(server: Any, page: Any, tmp_path: Path) -> None:
    folder = tmp_path / "földer of birds"
    names = ["crow", "a class with a very long name " * 4 + "end"]
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            (folder / name / f"{i}.png").write_bytes(picture(1000 + 10 * label + i))
    add(page, server.url)
    with page.page.expect_file_chooser() as chooser:
        page.page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(folder)
    arrived(page, "földer of birds")
    page.page.get_by_text("12", exact=True).first.wait_for()
    found = [json.loads(p.read_text()) for p in (server.workspace / "datasets").glob("*/dataset.json")]
    birds = next(info for info in found if info["name"] == "földer of birds")
    assert birds["n"] == 12 and set(birds["classes"]) == set(names)
    page.clean()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("notes.txt", b"hello", "is of another kind"),
        ("empty.zip", b"", "empty"),
        ("broken.zip", b"PK\x03\x04 not really a zip", "zip"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(
    server: Any, page: Any, name: str, data: bytes, words: str
) -> None:
    add(page, server.url)
    choose(page, name, data)
    page.page.get_by_text(words).first.wait_for(timeout=60_000)
    assert "Traceback" not in page.page.content()
    if page.page.get_by_role("button", name="Dismiss").count():
        page.page.get_by_role("button", name="Dismiss").first.click()
        page.ready()
    page.clean()


def test_cancel_leaves_nothing_behind(server: Any, page: Any) -> None:
    before = set((server.workspace / "datasets").iterdir())
    add(page, server.url)
    page.page.context.new_cdp_session(page.page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000},
    )
    choose(page, "slow.zip", np.random.default_rng(0).bytes(6_000_000))
    page.page.get_by_role("button", name="Cancel").wait_for()
    page.page.wait_for_timeout(1500)
    page.shot("data-uploading")
    page.page.get_by_role("button", name="Cancel").click()
    page.page.get_by_role("button", name="Choose a file").wait_for()
    page.page.wait_for_timeout(1000)
    assert not list((server.workspace / "uploads").iterdir())
    assert set((server.workspace / "datasets").iterdir()) == before
    page.clean()


def test_a_set_can_be_renamed_downloaded_and_deleted(server: Any, page: Any) -> None:
    add(page, server.url)
    choose(page, "short life.tar", tarball())
    arrived(page, "short life")
    page.page.locator("[data-testid=stPopoverButton]:visible").last.click()
    page.page.get_by_label("Name", exact=True).fill("renamed")
    page.page.get_by_role("button", name="Rename").click()
    arrived(page, "renamed")
    link = page.page.get_by_role("link", name="Download as zip")
    if not link.is_visible():
        page.page.locator("[data-testid=stPopoverButton]:visible").last.click()
    with page.page.expect_download() as download:
        link.click()
    with zipfile.ZipFile(download.value.path()) as found:
        assert len(found.namelist()) == 10 and found.testzip() is None
    assert download.value.suggested_filename == "renamed.zip"
    page.page.get_by_role("button", name="Delete").last.click()
    dialog = page.page.get_by_test_id("stDialog")
    dialog.get_by_text("for good").wait_for()
    page.shot("data-delete")
    dialog.get_by_role("button", name="Delete").click()
    dialog.wait_for(state="detached")
    page.ready()
    assert page.page.get_by_text("renamed", exact=True).count() == 0
    names = [
        json.loads(p.read_text())["name"] for p in (server.workspace / "datasets").glob("*/dataset.json")
    ]
    assert "renamed" not in names and names
    page.clean()


def tarball() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for i in range(10):
            info = tarfile.TarInfo(f"{'ab'[i % 2]}/{i}.png")
            data = picture(5000 + i)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return buffer.getvalue()

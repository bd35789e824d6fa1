"""Weights in a real browser: files that people bring, bad ones among them, and none to be had by network."""

from __future__ import annotations

import pickle
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_transfer import archive, compose, start, tab, upload, wait_for_state

FILES = {"safetensors": "cnn-small", "pth": "squeezenet1_1"}
TITLES = {"cnn-small": "Compact CNN", "squeezenet1_1": "SqueezeNet 1.1"}


class Canary:
    """A pickle that writes a file when it is opened carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    """The port of a proxy that takes every connection and never answers: a network that leads nowhere."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield listening.getsockname()[1]
        for connection in taken:
            connection.close()


def offline(make_server: Any, folder: Path, port: int) -> Any:
    """A server without pretrained weights, whose only way out is the proxy at `port`."""
    proxy = f"http://127.0.0.1:{port}"
    return make_server(TORCH_HOME=str(folder), HTTPS_PROXY=proxy, https_proxy=proxy, no_proxy="127.0.0.1")


@pytest.fixture(scope="module")
def lab(make_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = offline(make_server, tmp_path_factory.mktemp("torch"), 9)  # where nothing listens
    until = time.monotonic() + 60
    while not (server.workspace / "datasets" / "digits").exists():  # the first sets are being drawn
        assert time.monotonic() < until
        time.sleep(0.1)
    return server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad weights files."""
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    from engine.models.trunks import build_trunk

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    small = build_trunk("cnn-small", 32).state_dict()
    save_file(small, folder / "mine.safetensors")
    torch.save(models.get_model("squeezenet1_1").state_dict(), folder / "mine.pth")
    name = next(name for name, tensor in small.items() if tensor.ndim == 4)
    save_file({**small, name: small[name][:1].contiguous()}, folder / "cut.safetensors")
    (folder / "hostile.pth").write_bytes(pickle.dumps({"state_dict": Canary(folder / "canary")}))
    (folder / "junk.safetensors").write_bytes(b"\xff" * 4000)
    torch.save({"conv.weight": torch.zeros(3)}, folder / "other.pt")
    return folder


def choose(watched: Any, title: str) -> None:
    """Choose a backbone as a person does: open the list, type, press Enter."""
    box = watched.page.get_by_role("combobox", name=re.compile("Backbone"))
    box.click()
    box.fill(title)
    watched.page.get_by_role("option", name=re.compile(re.escape(title))).first.click()
    recipe = watched.page.locator(".st-key-start").get_by_text(title.rstrip(" ·")).first
    recipe.wait_for(timeout=60_000)  # the settings below belong to this backbone from here on
    watched.ready()


def chosen(watched: Any, label: str) -> str:
    box = watched.page.get_by_test_id("stSelectbox").filter(has_text=label)
    return str(box.inner_text() + box.locator("input").first.input_value())


def weights(watched: Any, source: str) -> None:
    watched.page.get_by_role("radio", name=source).or_(
        watched.page.get_by_test_id("stButtonGroup").get_by_role("button", name=source)
    ).first.click()
    watched.ready()


def hand_over(watched: Any, path: Path) -> None:
    button = watched.page.get_by_role("button", name=re.compile("Choose a file"))
    button.wait_for(timeout=60_000)
    with watched.page.expect_file_chooser() as chooser:
        button.press("Enter")  # a mouse press would be lost while the expander around it still opens
    chooser.value.set_files(path)


def startable(watched: Any, wanted: bool) -> None:
    """Wait until Start can be pressed, or cannot."""
    state = ":enabled" if wanted else ":disabled"
    watched.page.locator(f"button{state}", has_text="Start training").wait_for(timeout=30_000)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_is_added_on_the_page_and_trained_on(lab: Any, visit: Any, files: Path, suffix: str) -> None:
    title = TITLES[FILES[suffix]]
    watched = visit(height=1300, dark=suffix == "pth")
    upload(watched, lab.url, f"Colours for {suffix}", archive(["blue", "green", "red"]))
    compose(watched, 3)
    choose(watched, title)
    if suffix == "pth":
        size = watched.page.get_by_label("Image size (px)", exact=True)
        size.fill("64")
        size.press("Enter")
        watched.ready()
    weights(watched, "My file")
    watched.page.get_by_text("it is checked tensor by tensor").wait_for(timeout=60_000)
    startable(watched, False)
    watched.shot(f"weights-{suffix}-before")
    hand_over(watched, files / f"mine.{suffix}")
    watched.page.get_by_text("weights of yours").wait_for(timeout=120_000)
    watched.ready()
    watched.shot(f"weights-{suffix}-added")
    assert f"mine.{suffix}" in chosen(watched, "Weights file")
    start(watched)
    wait_for_state(watched, "Done")
    tab(watched, "Recipe and downloads")
    watched.page.get_by_text(f"from the file mine.{suffix}").first.wait_for(timeout=60_000)
    watched.shot(f"weights-{suffix}-done")
    assert watched.page.get_by_text("from random weights").count() == 0
    watched.clean()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hostile.pth", "more than plain weights"),
        ("cut.safetensors", "do not fit Compact CNN"),
        ("junk.safetensors", "no safetensors file"),
        ("other.pt", "not those of Compact CNN"),
    ],
)
def test_a_bad_file_ends_in_one_sentence(lab: Any, visit: Any, files: Path, name: str, told: str) -> None:
    watched = visit(height=1300, dark=name.startswith("cut"))
    watched.open(f"{lab.url}/transfer-learning?data=digits")
    choose(watched, "Compact CNN")
    weights(watched, "My file")
    add = watched.page.get_by_text("Add another file", exact=True)
    watched.page.get_by_text(re.compile("Choose a file|Add another file")).first.wait_for(timeout=60_000)
    if add.count():
        add.click()
    hand_over(watched, files / name)
    alert = watched.page.get_by_test_id("stAlert").filter(has_text=told)
    alert.wait_for(timeout=120_000)
    watched.shot(f"weights-bad-{name.partition('.')[0]}")
    said = alert.inner_text().strip()
    assert watched.page.get_by_test_id("stAlert").count() == 1
    assert len(said) <= 300 and "Traceback" not in said and str(files) not in said
    assert not (files / "canary").exists()
    assert not list((lab.workspace / "uploads").glob("*.p*"))
    watched.clean()


def test_without_a_network_pretrained_weights_are_refused_at_once_with_choices(lab: Any, visit: Any) -> None:
    for dark in (False, True):
        watched = visit(height=1300, dark=dark)
        watched.open(f"{lab.url}/transfer-learning?data=digits")
        choose(watched, "ResNet-18 ·")
        weights(watched, "Pretrained")
        if not dark:  # the second visitor is told what the first one's attempt came to
            watched.page.get_by_text("are not on this machine").wait_for(timeout=10_000)
            watched.shot("weights-missing")
            startable(watched, False)
            watched.page.get_by_role("button", name="Download (45 MB)").click()
        watched.page.get_by_text("there is no way to the network from here").wait_for(timeout=10_000)
        assert watched.page.get_by_test_id("stAlert").count() == 1
        startable(watched, False)
        watched.shot(f"weights-offline-{'dark' if dark else 'light'}")
        weights(watched, "Random")
        watched.page.get_by_text("Nothing has been learned yet").wait_for(timeout=10_000)
        startable(watched, True)
        watched.clean()


def test_a_network_that_never_answers_keeps_nobody_waiting(
    make_server: Any, visit: Any, silent: int, tmp_path: Path
) -> None:
    server = offline(make_server, tmp_path / "torch", silent)
    watched = visit(height=1300)
    upload(watched, server.url, "Colours", archive(["blue", "green", "red"]))
    compose(watched, 3)
    choose(watched, "ResNet-18 ·")
    weights(watched, "Pretrained")
    watched.page.get_by_role("button", name="Download (45 MB)").click()
    watched.page.get_by_text("Looking for a way to the network").wait_for(timeout=10_000)
    watched.shot("weights-waiting")
    watched.page.get_by_role("button", name="Cancel").click()
    watched.page.get_by_role("button", name="Download (45 MB)").wait_for(timeout=10_000)
    weights(watched, "Random")
    watched.page.get_by_text("Nothing has been learned yet").wait_for(timeout=10_000)
    weights(watched, "Pretrained")
    watched.page.get_by_role("button", name="Download (45 MB)").click()
    watched.page.get_by_text("there is no way to the network from here").wait_for(timeout=40_000)
    server.stop()
    watched.clean()

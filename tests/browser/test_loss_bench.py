"""The loss bench in a real browser: drag, read, halve the temperature, collapse, use keys, a phone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def bench(server: Any, page: Any) -> Bench:
    return Bench(server, page)


class Bench:
    """The bench in a browser window, opened and answered once."""

    def __init__(self, server: Any, watched: Any) -> None:
        self.watched, self.page = watched, watched.page
        watched.open(f"{server.url}/self-supervised?view=bench")
        self.page.get_by_role("heading", name="Loss bench").first.wait_for(timeout=90_000)
        self.root = self.page.locator(".bench")
        self.page.locator(".bench[data-asked]").wait_for(timeout=30_000)

    def asked(self) -> int:
        return int(self.root.get_attribute("data-asked"))

    def after(self, action: Callable[[], Any]) -> None:
        """Do something and wait for the server's answer to it."""
        before = self.asked()
        action()
        wait_until(lambda: self.asked() > before)

    def loss(self) -> float:
        return float(self.page.locator(".gauge .loss").inner_text())

    def fact(self, name: str) -> float:
        return float(self.page.locator(f"dt:has-text('{name}') + dd").inner_text())

    def point(self, name: str) -> Any:
        return self.page.get_by_role("slider", name=name, exact=True)

    def push(self) -> float:
        """The share of the push that the hardest negative has, in percent."""
        chart = self.page.locator(".bars svg")
        chart.focus()
        self.page.keyboard.press("ArrowRight")
        self.page.keyboard.press("ArrowRight")
        text = self.page.locator(".bars .tip").inner_text()
        chart.blur()
        return float(text.split(", ")[-1].split(" %")[0])


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def middle(locator: Any) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(bench: Bench, name: str, degrees: float) -> list[int]:
    """Take a point to an angle and tell how long each answer on the way took, in milliseconds."""
    mouse, point = bench.page.mouse, bench.point(name)
    bench.page.locator("svg.circle").scroll_into_view_if_needed()
    x, y = middle(bench.page.locator("svg.circle .ring"))
    start = middle(point.locator(".dot"))
    reach = math.dist((x, y), start)
    first = math.degrees(math.atan2(y - start[1], start[0] - x))
    mouse.move(*start)
    mouse.down()
    took = []
    for step in range(1, 13):
        angle = math.radians(first + (degrees - first) * step / 12)
        bench.after(lambda a=angle: mouse.move(x + reach * math.cos(a), y - reach * math.sin(a)))
        took.append(int(bench.root.get_attribute("data-took")))
    mouse.up()
    return took


def test_dragging_a_view_onto_the_other_lowers_the_loss_at_once(bench: Bench) -> None:
    before = bench.loss()
    other = float(bench.point("view 2 of image 6").get_attribute("aria-valuenow"))
    opposite = drag(bench, "view 1 of image 6", other - 180)
    apart = bench.loss()
    together = drag(bench, "view 1 of image 6", other)
    assert bench.loss() < before < apart
    reached = float(bench.point("view 1 of image 6").get_attribute("aria-valuenow"))
    assert abs((reached - other + 180) % 360 - 180) <= 2
    assert "view 1 of image 6" in bench.page.locator(".bars h4").inner_text()
    assert sorted(opposite + together)[12] < 400  # a fifth of that on a machine with nothing else to do
    bench.watched.shot("bench-dragged")
    bench.watched.clean()


def test_half_the_temperature_gives_the_hardest_negative_more(bench: Bench) -> None:
    shares = [bench.push()]
    for _ in range(2):
        bench.after(bench.page.get_by_role("button", name="Halve the temperature").click)
        shares.append(bench.push())
    assert shares == sorted(shares) and shares[-1] > shares[0] + 5
    slider = bench.page.get_by_role("slider", name="Temperature")
    assert slider.get_attribute("aria-valuetext") in ("0.12", "0.13")
    bench.after(lambda: slider.press("End"))
    assert slider.get_attribute("aria-valuetext") == "2"
    assert bench.push() < shares[0]
    bench.watched.clean()


def test_presets_tell_collapse_from_success(bench: Bench) -> None:
    page = bench.page
    bench.after(page.get_by_role("button", name="Collapsed").click)
    assert bench.loss() == bench.fact("Chance") == pytest.approx(math.log(15), abs=1e-3)
    assert bench.fact("Spread") == 0
    bench.after(page.get_by_role("button", name="Spread evenly").click)
    assert bench.fact("Floor") < bench.loss() == bench.fact("Best on a circle") < bench.fact("Chance")
    assert bench.fact("Spread") == pytest.approx(1, abs=0.01)
    bench.after(page.get_by_role("button", name="Views apart").click)
    assert bench.loss() > bench.fact("Chance")
    bench.after(page.get_by_role("button", name="New points").click)
    assert page.get_by_role("button", name="Random").get_attribute("aria-pressed") == "true"
    bench.watched.clean()


def test_the_matrices_are_read_in_words_by_pointer_and_by_key(bench: Bench) -> None:
    page = bench.page
    canvas, tip = page.locator(".probabilities canvas"), page.locator(".right .tip")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    cell = (box["width"] - 16) / 16
    page.mouse.move(box["x"] + 15 + 10.5 * cell, box["y"] + 15 + 2.5 * cell)
    words = tip.inner_text()
    assert words.startswith("view 1 of image 3 × view 2 of image 3 (the positive): 0.")
    assert ", probability 0." in words
    page.mouse.click(box["x"] + 15 + 4.5 * cell, box["y"] + 15 + 4.5 * cell)
    assert "left out of the softmax" in tip.inner_text()
    assert page.locator(".bars h4").inner_text() == "Gradient for view 1 of image 5"
    canvas.focus()
    page.mouse.move(0, 0)
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        canvas.press(key)
    assert tip.inner_text().startswith("view 1 of image 7 × view 1 of image 2: ")
    canvas.press("Enter")
    assert page.locator(".bars h4").inner_text() == "Gradient for view 1 of image 7"
    bench.watched.clean()


def test_a_point_turns_by_keys_and_the_queue_has_its_own(bench: Bench) -> None:
    page = bench.page
    point = bench.point("view 2 of image 4")
    before = int(point.get_attribute("aria-valuenow"))
    bench.after(lambda: point.press("ArrowRight"))
    assert (int(point.get_attribute("aria-valuenow")) - before) % 360 in (1, 2, 3)
    bench.after(page.get_by_role("button", name="InfoNCE").click)
    assert int(point.get_attribute("aria-valuenow")) != before  # the points stay where they are
    assert bench.fact("Chance") == pytest.approx(math.log(17), abs=1e-3)
    assert page.get_by_role("slider", name="key 16 of the queue").count() == 1
    bench.after(lambda: page.get_by_role("slider", name="Keys in the queue").fill("3"))
    assert bench.fact("Chance") == pytest.approx(math.log(4), abs=1e-3)
    bench.after(lambda: page.get_by_role("slider", name="key 3 of the queue").press("ArrowLeft"))
    bench.watched.shot("bench-queue")
    bench.watched.clean()


def test_the_answer_comes_after_the_prediction(bench: Bench) -> None:
    question = bench.page.get_by_text("which negatives get more of the gradient?")
    question.scroll_into_view_if_needed()
    answer = bench.page.get_by_text("The hardest ones")
    assert not answer.is_visible()
    bench.page.get_by_text("Reveal", exact=True).click()
    answer.wait_for()
    assert bench.page.get_by_text("What not to conclude.").count() == 1


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_the_largest_bench_without_scrolling_sideways(
    server: Any, visit: Callable[..., Any], dark: bool
) -> None:
    bench = Bench(server, visit(width=400, height=900, dark=dark))
    bench.after(lambda: bench.page.get_by_role("slider", name="Pairs").fill("16"))
    main = bench.page.get_by_test_id("stMain")
    assert main.evaluate("(box) => box.scrollWidth <= box.clientWidth")
    assert bench.root.evaluate("(box) => box.scrollWidth <= box.clientWidth + 1")
    bench.page.locator("svg.circle").scroll_into_view_if_needed()
    bench.watched.shot(f"bench-400-{'dark' if dark else 'light'}")
    bench.watched.clean()

"""Names that are markup, formulas or far too long, on every page: text, and nothing but text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser.conftest import ROOT, Server
from tests.security.everything import NAMES

BUILD = """
import json, pathlib, sys
from tests.security.everything import everything
with everything(pathlib.Path(sys.argv[1])) as lab:
    (lab.workspace / "first-start.json").write_text("{}")  # no built-in sets
    print(json.dumps({"dataset": lab.dataset.id, "runs": lab.runs}))
"""
# everything that a page shows, in shadow trees too, and what may not come of a name
SEEN = """() => {
  const roots = [document], text = [], made = [];
  for (let i = 0; i < roots.length; i++) {
    for (const node of roots[i].querySelectorAll("*")) {
      if (node.shadowRoot) roots.push(node.shadowRoot);
      if (node.contentDocument) roots.push(node.contentDocument);
      const tag = node.tagName.toLowerCase(), code = tag === "script" || tag === "style";
      if (!code) for (const part of node.childNodes) if (part.nodeType === 3) text.push(part.data);
      if (node.value && typeof node.value === "string") text.push(node.value);
      for (const { name, value } of node.attributes) {
        if (["title", "alt", "aria-label", "placeholder"].includes(name)) text.push(value);
        const link = ["href", "src", "srcset", "action", "xlink:href", "style"].includes(name);
        const handler = name.startsWith("on");
        const alive = link && value[0] !== "#" && /evil[.]example|javascript:/i.test(value);
        if (handler || alive || (name === "src" && value === "x"))
          made.push(`<${tag} ${name}="${value}">`.slice(0, 200));
      }
      if (code && /alert\\(/.test(node.textContent)) made.push(`<${tag}> ${node.textContent.slice(0, 200)}`);
      if (node.classList.contains("katex") && node.textContent.includes("x^2")) made.push("a formula");
    }
  }
  return { text: text.join("\\n"), made, title: document.title,
           wide: document.documentElement.scrollWidth - innerWidth };
}"""
MOST_CLICKS = (4, 9)  # on the parts of a page; on those of a run


@dataclass(frozen=True)
class Lab:
    url: str
    dataset: str
    runs: dict[str, str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("hostile")
    said = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = json.loads(said.stdout.splitlines()[-1])
    server = Server(folder / "workspace")
    server.start()
    yield Lab(server.url, found["dataset"], found["runs"])
    server.stop()


def check(watched: Any, expected: str, where: str) -> str:
    """What the page shows; it holds a name letter by letter, and nothing came of any."""
    for _ in range(40):
        seen = watched.page.evaluate(SEEN)
        text = str(seen["text"]).replace("\u2060", "")
        if expected in text:
            break
        watched.page.wait_for_timeout(250)  # a page is drawn part by part
    assert seen["made"] == [], f"{where}: {seen['made']}"
    assert seen["wide"] <= 0, f"{where} scrolls sideways by {seen['wide']} px"
    assert seen["title"] == "Representation Lab", "no name gets into the title"
    assert expected in text, f"{where} does not show {expected!r}"
    assert watched.page.get_by_test_id("stException").count() == 0, where
    watched.clean()
    return text


def parts(watched: Any) -> list[Any]:
    """The tabs and the switches between parts of a page."""
    main = watched.page.get_by_test_id("stMain")
    found = [*main.get_by_role("tab").all(), *main.get_by_test_id("stButtonGroup").get_by_role("radio").all()]
    return [one for one in found if one.is_visible()]


def walk(watched: Any, address: str, expected: str, clicks: int) -> str:
    """Open an address and each of its parts; everything that was seen."""
    watched.open(address)
    watched.page.wait_for_timeout(400)  # components and pictures
    where = address.rpartition("/")[2]
    seen = [check(watched, expected, where)]
    for number in range(min(clicks, len(parts(watched)))):
        there = parts(watched)
        if number >= len(there):
            break
        name = there[number].inner_text()
        there[number].click()
        watched.ready()
        watched.page.wait_for_timeout(250)
        seen.append(check(watched, expected, f"{where}, {name}"))
    return "\n".join(seen)


# where the points of a flat panel are drawn, as shares of its box
SPOTS = """f => {
  const dots = f.data.find(d => d.x && d.x.length > 5), { xaxis, yaxis } = f.layout;
  const share = (value, [low, high]) => (value - low) / (high - low);
  return Array.from(dots.x, (x, i) => [share(x, xaxis.range), 1 - share(dots.y[i], yaxis.range)]);
}"""

SET = NAMES[0][:28]  # how the set's name begins; its picker shows it on every page


@pytest.mark.parametrize(
    ("page", "run"),
    [
        *(("", ""), ("data-sets", ""), ("transfer-learning", ""), ("transfer-learning", "classification")),
        *(("auto-encoders", ""), ("auto-encoders", "autoencoder"), ("self-supervised", "")),
        *(("self-supervised", "simclr"), ("maps", ""), ("maps", "drawn map"), ("compare-encoders", "")),
        *(("compare-encoders", "comparison"), ("try-it", ""), ("try-it", "classification"), ("all-runs", "")),
    ],
)
def test_b30_a_name_is_text_on_every_part_of_every_page(lab: Lab, visit: Any, page: str, run: str) -> None:
    watched = visit()
    query = f"?data={lab.dataset}" + (f"&run={lab.runs[run]}" if run else "")
    seen = walk(watched, f"{lab.url}/{page}{query}", SET, MOST_CLICKS[bool(run)])
    if run == "classification" and page == "transfer-learning":
        for name in NAMES[:4]:  # the classes
            assert name[:24] in seen, name
    watched.shot(f"hostile-{page or 'home'}{'-' + run.replace(' ', '-') if run else ''}")


def test_b30_a_name_is_text_on_a_phone(lab: Lab, visit: Any) -> None:
    watched = visit(width=400)
    for page, run in (("data-sets", ""), ("transfer-learning", "classification"), ("maps", "drawn map")):
        query = f"?data={lab.dataset}" + (f"&run={lab.runs[run]}" if run else "")
        watched.open(f"{lab.url}/{page}{query}")
        watched.page.wait_for_timeout(700)
        check(watched, NAMES[0][:20], f"{page} at 400 px")


def test_b30_a_name_is_text_on_the_card_of_a_point_and_in_the_legend(lab: Lab, visit: Any) -> None:
    watched = visit()
    watched.open(f"{lab.url}/maps?data={lab.dataset}&run={lab.runs['drawn map']}")
    box = watched.page.locator(".lm-box").first
    box.wait_for(timeout=60_000)
    watched.page.locator(".latent-map[data-drawn]").wait_for(timeout=60_000)
    place, card = box.bounding_box(), watched.page.locator(".lm-card")
    spots = watched.page.locator(".lm-figure").first.evaluate(SPOTS)
    shown: set[str] = set()
    for x, y in spots[:12]:
        at = (place["x"] + place["width"] * x, place["y"] + place["height"] * y)
        watched.page.mouse.move(at[0] + 40, at[1] - 40, steps=2)
        watched.page.mouse.move(*at, steps=3)
        watched.page.wait_for_timeout(250)
        if card.is_visible():
            shown.add(card.inner_text())
        if len(shown) >= 3:
            break
    text = "\n".join(shown).replace("\u2060", "")
    assert any(name[:20] in text for name in NAMES), text
    seen = check(watched, NAMES[0][:28], "the card of a point")
    assert sum(name[:14] in seen for name in NAMES) >= 4, "the legend"


def test_b30_the_walk_would_see_what_a_name_made(lab: Lab, visit: Any) -> None:
    """The check itself: it hears each of the ways in which markup could come alive."""
    watched = visit()
    watched.open(lab.url)
    for markup in (
        "<img src=x>",
        "<a href='http://evil.example/'>a</a>",
        "<b onmouseover='alert(1)'>b</b>",
        "<span class=katex>x^2</span>",
        f"<pre style='width: 3000px; position: absolute'>{'W' * 400}</pre>",
    ):
        add = "html => { const box = document.createElement('div'); box.id = 'probe'; box.innerHTML = html;"
        watched.page.evaluate(f"{add} document.body.append(box); }}", markup)
        seen = watched.page.evaluate(SEEN)
        watched.page.evaluate("document.getElementById('probe').remove()")
        assert seen["made"] or seen["wide"] > 0, markup

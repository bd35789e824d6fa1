"""Who may import whom (the house rules), read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# where -> what must not be imported there, with the reason a reader would ask for
BANNED: list[tuple[str, tuple[str, ...], str]] = [
    ("engine", ("streamlit", "plotly", "pages", "app"), "the engine knows no screen"),
    (
        "engine/data",
        ("engine.methods", "engine.training", "engine.runs", "engine.evaluation"),
        "data knows no model",
    ),
    ("engine/models", ("engine.training", "engine.methods"), "models know no loop"),
    (
        "engine/methods",
        ("engine.training.loop", "engine.runs", "engine.data.dataset"),
        "a method knows no loop and no run",
    ),
    (
        "engine/training/loop.py",
        ("engine.methods", "engine.runs", "engine.data.dataset"),
        "the loop never names a method",
    ),
    ("pages/components", ("engine.training.loop",), "components never train"),
]
# files that a page needs before torch is loaded: imports at their top level
LIGHT = ["engine/settings.py", "engine/files.py", "engine/errors.py", "engine/lock.py", "engine/runs"]
HEAVY = ("torch", "torchvision", "streamlit", "plotly", "sklearn", "pandas", "umap")
MAY_BE_HEAVY = {"engine/runs/worker.py"}


def imports(path: Path, top_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(where: str) -> list[Path]:
    path = ROOT / where
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def hits(names: Iterator[str], banned: tuple[str, ...]) -> list[str]:
    return [name for name in names for ban in banned if name == ban or name.startswith(ban + ".")]


@pytest.mark.parametrize(("where", "banned", "reason"), BANNED, ids=[rule[0] for rule in BANNED])
def test_nobody_imports_what_its_place_forbids(where: str, banned: tuple[str, ...], reason: str) -> None:
    assert files(where), f"{where} is gone: update the table"
    wrong = {
        str(path.relative_to(ROOT)): found for path in files(where) if (found := hits(imports(path), banned))
    }
    assert not wrong, f"{reason}: {wrong}"


@pytest.mark.parametrize("where", LIGHT)
def test_what_the_first_page_needs_loads_nothing_heavy(where: str) -> None:
    wrong = {
        name: found
        for path in files(where)
        if (name := path.relative_to(ROOT).as_posix()) not in MAY_BE_HEAVY
        and (found := hits(imports(path, top_only=True), HEAVY))
    }
    assert files(where) and not wrong


def test_pages_do_not_import_each_other() -> None:
    pages = {path.stem for path in (ROOT / "pages").glob("*.py")} - {"__init__"}
    wrong = {
        path.name: found
        for path in (ROOT / "pages").glob("*.py")
        if (found := hits(imports(path), tuple(f"pages.{page}" for page in pages)))
    }
    assert pages and not wrong


def test_the_rule_finds_an_offender(tmp_path: Path) -> None:
    offender = tmp_path / "offender.py"
    offender.write_text("def f():\n    from streamlit.runtime import exists\n    return exists\n")
    assert hits(imports(offender), ("streamlit",))
    assert not hits(imports(offender, top_only=True), ("streamlit",))

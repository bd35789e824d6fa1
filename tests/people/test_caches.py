"""What the server remembers for everybody: each place is listed, with what keeps it from the wrong eyes."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOBODYS = "holds nobody's data"
ASKED = "whoever calls it has opened the run or data set first, which asks access"
# file, function -> why it may be remembered without a person in its key
KNOWN = {
    (
        "engine/data/dataset.py",
        "_summary",
    ): "the engine's own account: its callers ask access",
    ("engine/evaluation/kept.py", "known"): ASKED,
    ("engine/export/definition.py", "_read"): NOBODYS,
    ("engine/export/map_svg.py", "_font"): NOBODYS,
    ("engine/export/run_zip.py", "_read_facts"): ASKED,
    ("engine/runs/expected.py", "_method"): "the name of a method, for the length of the queue",
    ("engine/people/store.py", "_secret"): "the server's own, never sent",
    ("engine/training/look_views.py", "_kept"): ASKED,
    ("engine/training/machine.py", "fast_bfloat16"): NOBODYS,
    ("pages/components/bench_routes.py", "_batch"): ASKED,
    ("pages/components/code_preview.py", "_pairs"): ASKED,
    ("pages/components/data_routes.py", "picture"): ASKED,
    ("pages/components/map_routes.py", "_packed"): ASKED,
    ("pages/components/map_spaces.py", "_packed"): ASKED,
    ("pages/components/home_machine.py", "cache_bytes"): NOBODYS,
    ("pages/components/network_preview.py", "described"): NOBODYS,
    ("pages/components/sprites.py", "_sheet"): ASKED,
    ("pages/components/views_preview.py", "_pictures"): ASKED,
}
CACHES = {"cache_data", "cache_resource", "lru_cache", "cache"}


def remembered() -> set[tuple[str, str]]:
    """(file, function) of everything that is remembered for as long as the server lives."""
    found = set()
    for path in [*ROOT.glob("engine/**/*.py"), *ROOT.glob("pages/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(map(_caches, node.decorator_list)):
                if node.args.args:  # without a question it is the same for everybody
                    found.add((path.relative_to(ROOT).as_posix(), node.name))
    return found


def _caches(decorator: ast.expr) -> bool:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(call, "attr", getattr(call, "id", "")) in CACHES


def test_b25_everything_that_is_remembered_is_known_and_kept_from_others() -> None:
    assert remembered() == set(KNOWN)

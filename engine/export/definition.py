"""Source text of classes and functions of this project, with all that they need, to be run without it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

OURS = "engine."
Place = tuple[str, str]  # module, name


@dataclass(frozen=True)
class _Module:
    """A module's lines, what it defines, and where its imported names come from ("" names a module)."""

    lines: list[bytes]
    defined: dict[str, ast.stmt]
    imported: dict[str, Place]


@dataclass
class _Definition:
    """One definition: its lines, and (row, from, to, what it means) of the names in them that are ours."""

    lines: list[bytes]
    uses: list[tuple[int, int, int, Place]] = field(default_factory=list)


def definitions(*places: str) -> tuple[list[str], str]:
    """The lines that import what other packages give, and the text that defines `places`.

    Names that two modules use for different things, and those asked of a module (`lab.colour`), get the
    module's name in front.

    Args:
        places: "module:name" of functions and classes of this project. What they use is defined before them;
            annotations are not followed, so the text has to stand below `from __future__ import annotations`.
    """
    imports: set[str] = set()
    found: dict[Place, _Definition] = {}
    for place in places:
        module, _, name = place.partition(":")
        _collect((module, name), imports, found)
    names = _names(found)
    texts = [_written(definition, names) for definition in found.values()]
    return sorted(imports, key=lambda line: (line.startswith("from"), line)), "\n\n\n".join(texts)


def _collect(place: Place, imports: set[str], found: dict[Place, _Definition]) -> None:
    """Add a definition after those that it uses."""
    if place in found:
        return
    module, name = place
    known = _read(module)
    node = known.defined[name]
    decorators = getattr(node, "decorator_list", [])
    first = min(part.lineno for part in (node, *decorators))
    definition = _Definition(known.lines[first - 1 : node.end_lineno])
    head = definition.lines[node.lineno - first]
    start = head.index(name.encode())
    definition.uses.append((node.lineno - first, start, start + len(name.encode()), place))
    for used in _used(node):
        target = _meaning(used, known, module)
        if target is None:
            continue
        if not target[0].startswith(OURS):
            imports.add(_import_line(target, _first(used)))
            continue
        if target != place:
            _collect(target, imports, found)
        definition.uses.append((used.lineno - first, used.col_offset, used.end_col_offset or 0, target))
    found[place] = definition


def _meaning(used: ast.Name | ast.Attribute, known: _Module, module: str) -> Place | None:
    """What a name stands for: a definition of ours, something imported, or nothing that matters here."""
    name = _first(used)
    if name in known.defined:
        return (module, name) if isinstance(used, ast.Name) else None
    source, what = known.imported.get(name, ("", ""))
    if not source:
        return None
    if source.startswith(OURS) and what not in _read(source).defined:
        whole = f"{source}.{what}"  # a module of ours, asked for one of its names
        return (whole, used.attr) if isinstance(used, ast.Attribute) else None
    return (source, what) if isinstance(used, ast.Name) or not source.startswith(OURS) else None


def _first(used: ast.Name | ast.Attribute) -> str:
    return used.id if isinstance(used, ast.Name) else used.value.id  # type: ignore[attr-defined]


def _used(node: ast.AST) -> Iterator[ast.Name | ast.Attribute]:
    """Names and what is asked of names in a piece of code, but not in its annotations."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield node
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _used(child)


def _names(found: dict[Place, _Definition]) -> dict[Place, str]:
    """The name of each definition in the text, no two alike."""
    counts = Counter(name for _, name in found)
    asked = {place for one in found.values() for row, a, b, place in one.uses if b"." in one.lines[row][a:b]}
    stems = {module for module, _ in asked}
    return {
        (module, name): f"{module.rpartition('.')[2]}_{name.lstrip('_')}"
        if counts[name] > 1 or module in stems
        else name
        for module, name in found
    }


def _written(definition: _Definition, names: dict[Place, str]) -> str:
    lines = list(definition.lines)
    for row, start, end, place in sorted(set(definition.uses), reverse=True):
        lines[row] = lines[row][:start] + names[place].encode() + lines[row][end:]
    return b"\n".join(lines).decode()


def _import_line(target: Place, alias: str) -> str:
    module, name = target
    line, own = (f"from {module} import {name}", name) if name else (f"import {module}", module)
    return line if alias == own else f"{line} as {alias}"


@cache
def _read(module: str) -> _Module:
    path = import_module(module).__file__
    assert path is not None
    text = Path(path).read_text(encoding="utf-8")
    defined: dict[str, ast.stmt] = {}
    imported: dict[str, Place] = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            defined[node.targets[0].id] = node
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            imported |= {alias.asname or alias.name: (alias.name, "") for alias in node.names}
    return _Module(text.encode().splitlines(), defined, imported)

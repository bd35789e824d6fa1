"""Config fields with help and bounds, and the one check that turns a bad value into a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from engine.errors import UserError

MAX_LIST = 180  # letters of names in one sentence

Scalar = bool | int | float | str


def setting(default: Scalar, help: str, *, more: bool = False, **extra: Any) -> Any:
    """A config field: default, one plain sentence of help, bounds (`ge`, `le`, `gt`, `lt`), form hints.

    Args:
        default: Value when nothing is said.
        help: One sentence shown under the field on the page and in the command line's help.
        more: The form keeps the field folded away under "More".
        **extra: Bounds go to pydantic; `title`, `unit`, `step`, `labels` (choice -> words), `group` (the fold
            that the field lies in), `off` (the value that switches it off) and `form` (False where a page
            asks for it in its own way) go to the form.
    """
    bounds = {key: extra.pop(key) for key in ("ge", "le", "gt", "lt") if key in extra}
    title = extra.pop("title", None)
    return Field(default, description=help, title=title, json_schema_extra={"more": more, **extra}, **bounds)


Config = TypeVar("Config", bound=BaseModel)


def checked(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """A config from plain values.

    Raises:
        UserError: Names the field, its value and what would be accepted.
    """
    try:
        config = cls(**{str(key): value for key, value in values.items()})
    except ValidationError as error:
        raise UserError(_sentence(cls, error)) from None
    for name, value in values.items():  # pydantic takes true for 1
        kind = cls.model_fields[name].annotation
        if isinstance(value, bool) and bool not in (kind, *get_args(kind)):
            raise UserError(f"{name} must be {_accepted(cls, name)}, got {str(value).lower()}.")
    return config


def _sentence(cls: type[BaseModel], error: ValidationError) -> str:
    """The first problem in words: field, value, bounds."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "config"
    if problem["type"] == "extra_forbidden":
        return f"There is no setting {field[:40]!r}; known are: {_some(field[:40], list(cls.model_fields))}."
    if problem["type"] == "value_error":  # a check across fields, already a sentence
        return str(problem["ctx"]["error"])
    value = repr(problem["input"])[:40]
    return f"{field[:40]} must be {_accepted(cls, field)}, got {value}."


def _some(wrong: str, names: list[str]) -> str:
    """The names, those like the wrong one first; only as many as a sentence can hold."""
    near = get_close_matches(wrong, names, n=3)
    names = near + [name for name in names if name not in near]
    shown = names
    while len(", ".join(shown)) > MAX_LIST:
        shown = shown[:-1]
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


def _accepted(cls: type[BaseModel], field: str) -> str:
    schema = cls.model_json_schema()["properties"].get(field, {})
    if "enum" in schema:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"])
    kind = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    words = kind.get(schema.get("type", ""), "text")
    bounds = [
        f"{phrase} {schema[key]:g}"
        for key, phrase in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    return " ".join([words, " and ".join(bounds)]).strip()


def load(place: str) -> Any:
    """The class or function at `module:name`, imported now."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

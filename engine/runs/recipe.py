"""Recipe: everything that is needed to repeat one training, as a frozen, checked piece of JSON."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from engine.errors import UserError
from engine.files import check_id

VERSION = 1
MAX_BYTES = 64 * 1024  # a recipe is about 600 bytes
MAX_SETTINGS = 100
MAX_TEXT = 900  # the longest list of encoders
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
ENCODER = re.compile(r"[a-z][a-z0-9-]{0,31}(?::[A-Za-z0-9][A-Za-z0-9_.-]{0,99})?")
FINGERPRINT = re.compile(r"[A-Za-z0-9:_-]{0,200}")

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None


class Recipe(BaseModel):
    """One training to carry out: what to learn from, how, on which backbone, from which seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: StrictInt = Field(VERSION, ge=1, le=VERSION)
    dataset: StrictStr = Field(max_length=64)
    fingerprint: StrictStr = Field("", max_length=200)
    method: StrictStr = Field(max_length=64)
    config: dict[StrictStr, Scalar] = Field(default_factory=dict)
    backbone: StrictStr | None = Field(None, max_length=140)
    image_size: StrictInt = Field(ge=8, le=1024)
    seed: StrictInt = Field(0, ge=0, le=2**31 - 1)

    def to_json(self) -> str:
        """The recipe as readable JSON; `from_json` gives the same recipe back."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False, allow_nan=False, sort_keys=True)

    @classmethod
    def from_json(cls, data: str | bytes) -> Recipe:
        """Read a recipe that may come from anybody.

        Raises:
            UserError: It is not a recipe; the sentence names the field, its value and what would do.
        """
        return make_recipe(_parse(data))

    def digest(self) -> str:
        """Sha256 of the canonical JSON: two recipes that would train the same have the same digest.

        Creators store the fully resolved config (`check_recipe`), so defaults count as if they were typed.
        """
        return recipe_digest(self.model_dump())


def recipe_digest(fields: dict[str, Any]) -> str:
    """The digest of a recipe given as plain fields; 1 and 1.0 are the same number here."""
    text = json.dumps(_canonical(fields), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def make_recipe(fields: dict[str, Any]) -> Recipe:
    """A recipe from plain fields, with every problem told as one sentence.

    Raises:
        UserError: A field is missing, unknown, of the wrong kind or out of bounds.
    """
    if not isinstance(fields, dict):
        raise UserError("A recipe is one JSON object of named fields, like the recipe.json of a run.")
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        raise UserError(_sentence(error)) from None
    _check_texts(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> Recipe:
    """The one check that pages, recipe files and the worker share; gives the recipe with its config complete.

    Raises:
        UserError: The method or backbone is unknown, a setting is unknown or out of bounds, or the backbone
            cannot read images of this size.
    """
    from engine import methods
    from engine.data.vectors import vectors_id
    from engine.models.backbones import backbone_info
    from engine.models.encoder import PIXELS, parse_encoder

    recipe = make_recipe(recipe.model_dump())
    config = methods.parse_config(recipe.method, dict(recipe.config))
    config.check_size(recipe.image_size)
    entry = methods.method_entry(recipe.method)
    if entry.own_network and recipe.backbone is not None:
        raise UserError(f"{entry.title} brings its own network: leave the backbone out.")
    no_network = recipe.backbone == PIXELS or vectors_id(recipe.backbone or "") is not None
    if recipe.backbone is not None and not (entry.reads_pixels and no_network):
        arch = parse_encoder(recipe.backbone).arch
        if arch:
            backbone_info(arch).check_size(recipe.image_size)
    return make_recipe({**recipe.model_dump(), "config": config.model_dump(mode="json")})


def _check_texts(recipe: Recipe) -> None:
    check_id(recipe.dataset, "data set id")
    if not NAME.fullmatch(recipe.method):
        raise UserError(f"method must be a name such as classification, got {shown(recipe.method)}.")
    if recipe.backbone is not None and not ENCODER.fullmatch(recipe.backbone):
        raise UserError(
            f"backbone must be a name such as torchvision:resnet18 or run:<id>, got {shown(recipe.backbone)}."
        )
    if not FINGERPRINT.fullmatch(recipe.fingerprint):
        raise UserError(f"fingerprint must be letters and digits, got {shown(recipe.fingerprint)}.")
    if len(recipe.config) > MAX_SETTINGS:
        raise UserError(f"config has {len(recipe.config)} settings; no method has more than {MAX_SETTINGS}.")
    for name, value in recipe.config.items():
        if not NAME.fullmatch(name):
            raise UserError(
                f"config has a setting called {shown(name)}; names are lower case with underscores."
            )
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise UserError(f"config: {name} is a text of {len(value)} letters; {MAX_TEXT} is the limit.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config: {name} must be a finite number, got {value}.")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UserError(f"config: {name} is a number of {len(str(abs(value)))} digits: too large to use.")


def shown(value: object) -> str:
    """A value from outside, short and in plain letters, for a sentence."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text[:200].split()).encode("unicode_escape").decode()
    return f"'{text[:37]}…'" if len(text) > 38 else f"'{text}'"


def _parse(data: str | bytes) -> Any:
    if len(data) > MAX_BYTES:
        raise UserError(
            f"This recipe file has more than {MAX_BYTES:,} bytes: give one like the recipe.json of a run."
        )
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except UserError:
        raise
    except RecursionError:
        raise UserError("This recipe file is nested too deeply: a recipe is one flat JSON object.") from None
    except ValueError:  # not UTF-8, not JSON, or a number of thousands of digits
        raise UserError(
            "This file is not a recipe: it does not hold JSON, like the recipe.json of a run."
        ) from None


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise UserError(f"The recipe gives {shown(name)} twice; keep one of them.")
        fields[name] = value
    return fields


def _no_constants(word: str) -> Any:
    raise UserError(f"The recipe holds {word}, which is not a number that can be used.")


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


WANTED = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of a recipe; remove it",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "dict_type": "must be an object of named settings",
    "finite_number": "must be a finite number",
    "none_required": "must be a number, a text, true, false or null",
}


def _sentence(error: ValidationError) -> str:
    """The first problem of a validation as one sentence that names field, value and bounds."""
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    if place[:1] == ["config"] and len(place) > 2:  # the last part names a branch of the union: noise
        return f"config: {shown(place[1])} {WANTED['none_required']}, got {shown(first['input'])}."
    name = shown(": ".join(place[:2])).strip("'") if place else "The recipe"
    context = first.get("ctx", {})
    if first["type"] == "missing":
        return f"The recipe has no {name}: add it."
    if first["type"] == "extra_forbidden":
        return f"{shown(place[0])} is not a field of a recipe: remove it."
    wanted = WANTED.get(first["type"])
    if wanted is None and first["type"] in ("greater_than_equal", "less_than_equal"):
        field = Recipe.model_fields[place[0]]
        low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
        high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
        wanted = f"must be {low}" if low == high else f"must be within {low} and {high}"
    if wanted is None and "max_length" in context:
        wanted = f"must have at most {context['max_length']} letters"
    return f"{name} {wanted or 'cannot be used'}, got {shown(first['input'])}."

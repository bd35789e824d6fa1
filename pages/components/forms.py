"""Widgets drawn from a config class: label, bounds, default, unit and help all come from its fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pages.components.text import md

SEGMENTS = 4  # up to so many choices are shown side by side
SEGMENT_LETTERS = 30
SHORT_LETTERS = 16
HALF_LINE_LETTERS = 14  # of all segments together


@dataclass(frozen=True)
class Setting:
    """One field of a config class, as a form needs it."""

    name: str
    kind: Literal["bool", "int", "float", "choice", "text"]
    default: Any
    help: str = ""
    low: float | None = None
    high: float | None = None
    low_excluded: bool = False
    high_excluded: bool = False
    choices: tuple[Any, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    step: float | None = None
    unit: str = ""
    label: str = ""
    more: bool = False
    optional: bool = False
    group: str = ""
    off: Any = None

    @property
    def title(self) -> str:
        text = self.label or self.name.replace("_", " ").capitalize()
        return f"{text} ({self.unit})" if self.unit else text

    @property
    def is_short(self) -> bool:
        """Whether its widget can do with half a line."""
        words = [str(self.labels.get(str(choice), choice)) for choice in self.choices]
        if self.kind in ("int", "float"):
            return True
        letters = sum(map(len, words))
        if len(words) <= SEGMENTS and letters <= SEGMENT_LETTERS:  # shown side by side
            return bool(words) and letters <= HALF_LINE_LETTERS
        return max(map(len, words), default=SHORT_LETTERS + 1) <= SHORT_LETTERS

    def bounds_text(self) -> str:
        low, high = (f"{value:g}" for value in (self.low or 0, self.high or 0))
        if self.low is not None and self.high is not None:
            opening, closing = "[("[self.low_excluded], "])"[self.high_excluded]
            return f"within {opening}{low}, {high}{closing}"
        if self.low is not None:
            return f"{'above' if self.low_excluded else 'at least'} {low}"
        return f"{'below' if self.high_excluded else 'at most'} {high}" if self.high is not None else ""


def settings_of(config: type[BaseModel]) -> list[Setting]:
    """The fields of a config class that a form draws, in the order in which they are written."""
    return [_setting(name, info) for name, info in config.model_fields.items() if _drawn(info)]


def _drawn(info: FieldInfo) -> bool:
    """Whether a form draws the field; what needs more than a widget is asked for by its page."""
    return not (isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("form") is False)


def _setting(name: str, info: FieldInfo) -> Setting:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    annotation, optional = _without_none(info.annotation)
    bounds: dict[str, Any] = {}
    for constraint in info.metadata:
        for attribute, side in (("ge", "low"), ("gt", "low"), ("le", "high"), ("lt", "high")):
            if getattr(constraint, attribute, None) is not None:
                bounds[side] = float(getattr(constraint, attribute))
                bounds[f"{side}_excluded"] = attribute in ("gt", "lt")
    choices = tuple(get_args(annotation)) if get_origin(annotation) is Literal else ()
    labels = extra.get("labels")
    step = extra.get("step")
    default = info.get_default(call_default_factory=True)
    return Setting(
        name=name,
        kind=_kind(annotation, choices),
        default=None if default is PydanticUndefined else default,
        help=info.description or "",
        choices=choices,
        labels={str(key): str(words) for key, words in labels.items()} if isinstance(labels, dict) else {},
        step=float(step) if isinstance(step, (int, float)) else None,
        unit=str(extra.get("unit") or ""),
        label=str(extra.get("label") or info.title or ""),
        more=bool(extra.get("more")),
        group=str(extra.get("group") or ""),
        off=extra.get("off"),
        optional=optional,
        **bounds,
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) is Literal:
        return annotation, False
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if len(parts) == 1 and type(None) in get_args(annotation):
        return parts[0], True
    return annotation, False


def _kind(annotation: Any, choices: tuple[Any, ...]) -> Literal["bool", "int", "float", "choice", "text"]:
    if choices:
        return "choice"
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float")):
        if annotation is kind:
            return name  # type: ignore[return-value]
    return "text"


def problem(setting: Setting, value: Any) -> str | None:
    """One sentence if `value` cannot be this setting's, else None."""
    if value is None or value == "":
        return (
            None
            if setting.optional
            else f"{setting.title} needs a value {setting.bounds_text()}".rstrip() + "."
        )
    if setting.kind not in ("int", "float"):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{setting.title} must be a finite number."
    low_fails = setting.low is not None and (
        value < setting.low or (setting.low_excluded and value == setting.low)
    )
    high_fails = setting.high is not None and (
        value > setting.high or (setting.high_excluded and value == setting.high)
    )
    if low_fails or high_fails:
        return f"{setting.title} must be {setting.bounds_text()}, got {value:g}."
    return None


GROUP_ICONS = {"Views": ":material/crop_rotate:", "Break it on purpose": ":material/destruction:"}
GROUP_LINES = {
    "Break it on purpose": "A broken recipe runs all the same; the page says what to watch for.",
}
PUT = "forms.put"  # keys whose values were put since their widgets were last drawn


def put(key: str, value: Any) -> None:
    """Change what the widget at `key` shows."""
    st.session_state[key] = value
    st.session_state.setdefault(PUT, set()).add(key)


def initial(key: str, value: Any, name: str = "value") -> dict[str, Any]:
    """The argument with which a widget begins: what it holds already, else `value`.

    A browser may never show the first of two page runs that follow each other closely. It then begins with
    the widget's own default, and sends that back as if somebody had chosen it; so the default is always what
    the session holds. A value that was just put needs none: it is sent as a change.

    Args:
        key: Of the widget.
        value: Where the session holds nothing yet.
        name: What the widget calls its default.
    """
    if key in st.session_state.get(PUT, ()):
        st.session_state[PUT].discard(key)
        return {}
    return {name: st.session_state[key] if key in st.session_state else value}


class ConfigForm:
    """A form that remembers: its values live in the session under its name, across pages and reruns."""

    def __init__(
        self,
        name: str,
        config: type[BaseModel],
        skip: tuple[str, ...] = (),
        begin: Mapping[str, Any] | None = None,
    ) -> None:
        """`begin` holds defaults that suit what is chosen beside the form."""
        self.name = name
        self.settings = [setting for setting in settings_of(config) if setting.name not in skip]
        self.problems: dict[str, str] = {}
        self.memory: dict[str, Any] = st.session_state.setdefault(f"{name}.values", {})
        self._begin_with(begin or {})

    def key(self, field_name: str) -> str:
        return f"{self.name}.{field_name}"

    def _begin_with(self, values: Mapping[str, Any]) -> None:
        """Follow new defaults where the form still holds the old ones; what somebody chose stays."""
        before = self.memory.get("begin", {})
        for name, value in values.items():
            default = next(setting.default for setting in self.settings if setting.name == name)
            if value != before.get(name) and self.memory.get(name, default) == before.get(name, default):
                self.memory[name] = value
                put(self.key(name), value)
        self.memory["begin"] = {**before, **values}

    def prefill(self, values: Mapping[str, Any]) -> None:
        """Set the form to `values`; what they do not name goes back to its default. Before `draw`."""
        for setting in self.settings:
            value = values.get(setting.name, setting.default)
            self.memory[setting.name] = value
            put(self.key(setting.name), value)

    def draw(self, hide: Callable[[str], bool] = lambda name: False) -> dict[str, Any]:
        """Draw all fields and return their values; `problems` then holds a sentence per impossible one.

        Args:
            hide: Fields that mean nothing beside the other choices; they keep their default.
        """
        values = {setting.name: setting.default for setting in self.settings if hide(setting.name)}
        shown = [setting for setting in self.settings if setting.name not in values]
        values |= self._fields([setting for setting in shown if not (setting.more or setting.group)])
        for group in dict.fromkeys(setting.group for setting in shown if setting.group):
            icon = GROUP_ICONS.get(group, ":material/tune:")
            values |= self._fold(group, [setting for setting in shown if setting.group == group], icon)
        rest = [setting for setting in shown if setting.more and not setting.group]
        return values | self._fold("More settings", rest, ":material/tune:")

    def _fold(self, title: str, settings: list[Setting], icon: str) -> dict[str, Any]:
        """Fields folded away under a title that counts what was changed."""
        if not settings:
            return {}
        changed = sum(self.memory.get(s.name, s.default) != s.default for s in settings)
        note = f" · {changed} changed" if changed else ""
        # by its key it stays open when the title changes
        with st.expander(f"{title}{note}", icon=icon, key=self.key(f"fold.{title}")):
            if title in GROUP_LINES:
                st.caption(GROUP_LINES[title])
            return self._fields(settings)

    def _fields(self, settings: list[Setting]) -> dict[str, Any]:
        """Draw fields in their order; two short ones in a row share a line."""
        values: dict[str, Any] = {}
        waiting = None
        for i, setting in enumerate(settings):
            place = None
            if setting.is_short:
                if waiting is not None:
                    place, waiting = waiting, None
                elif i + 1 < len(settings) and settings[i + 1].is_short:
                    place, waiting = st.columns(2)
            with place or st.container():
                values[setting.name] = self._field(setting)
        return values

    def _field(self, setting: Setting) -> Any:
        key = self.key(setting.name)
        value = _widget(setting, key, _fitting(setting, self.memory.get(setting.name, setting.default)))
        self.memory[setting.name] = value
        sentence = problem(setting, value)
        if sentence:
            self.problems[setting.name] = sentence
            st.caption(f":red[:material/error: {md(sentence)}]")
        return value


def _fitting(setting: Setting, value: Any) -> Any:
    """A value that the widget can hold at all; bounds are checked later and told in words."""
    if setting.kind == "choice" and value not in setting.choices:
        return setting.default
    if setting.kind in ("int", "float"):
        number = float(value or 0)
        return number if setting.kind == "float" else int(number)
    return value


def _widget(setting: Setting, key: str, value: Any) -> Any:
    label, tip = md(setting.title), md(setting.help) or None
    if setting.kind == "choice":
        return _choice(setting, label, tip, key, value)
    begin = initial(key, value)
    if setting.kind == "bool":
        return st.toggle(label, key=key, help=tip, **begin)
    if setting.kind == "int":
        return int(st.number_input(label, step=1, format="%d", key=key, help=tip, **begin))
    if setting.kind == "float":
        return float(st.number_input(label, step=_step(setting), format="%g", key=key, help=tip, **begin))
    return st.text_input(label, key=key, help=tip, max_chars=200, **begin)


def _choice(setting: Setting, label: str, tip: str | None, key: str, value: Any) -> Any:
    def show(choice: Any) -> str:
        return str(setting.labels.get(str(choice), str(choice).replace("_", " ").capitalize()))

    letters = sum(len(show(choice)) for choice in setting.choices)
    if len(setting.choices) <= SEGMENTS and letters <= SEGMENT_LETTERS:
        begin = initial(key, value, "default")
        return st.segmented_control(
            label,
            setting.choices,
            format_func=show,
            key=key,
            help=tip,
            width="stretch",
            required=True,
            **begin,
        )
    return st.selectbox(
        label,
        setting.choices,
        format_func=show,
        key=key,
        help=tip,
        **initial_index(key, value, setting.choices),
    )


def initial_index(key: str, value: Any, options: Sequence[Any]) -> dict[str, Any]:
    """As `initial`, for a select."""
    begin = initial(key, value)
    return {"index": options.index(begin["value"])} if begin else {}


def _step(setting: Setting) -> float:
    """A step of the size of the default's leading digit: 0.001 goes to 0.002, not to 1.001."""
    if setting.step:
        return float(setting.step)
    size = abs(float(setting.default or 0)) or (setting.high or 1.0) / 10
    return float(10.0 ** math.floor(math.log10(size)))

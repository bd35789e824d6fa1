"""Writing a recipe: presets, the form of a method, seed and size, the cost, and Start."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.methods import ESTIMATED, METHODS, config_class, parse_config
from engine.runs.recipe import VERSION, Recipe
from pages.components import store
from pages.components.estimate import show_estimate
from pages.components.forms import ConfigForm, Setting, initial, initial_index, problem, put
from pages.components.text import ago, md

SEED_HELP = "Decides every random choice; the same seed repeats the run."
SIZE_HELP = (
    "Images are resized to this square before the backbone sees them; half of it is four times faster."
)
SEED = Setting("seed", "int", 0, low=0, high=2**31 - 1, help=SEED_HELP)


class Composer:
    """The form of one method with everything around it; remembers across pages under the method's name."""

    def __init__(self, method: str, skip: tuple[str, ...] = (), begin: dict[str, Any] | None = None) -> None:
        self.method = method
        self.config = config_class(method)
        self.form = ConfigForm(f"compose.{method}", self.config, skip, begin)

    def presets(self) -> None:
        """A select of presets; choosing one fills the form."""
        presets = getattr(self.config, "PRESETS", {})
        if len(presets) > 1:
            st.selectbox(
                "Preset", list(presets), index=None, placeholder="Start from a preset",
                key=self.form.key("preset"), on_change=self._use_preset,
                help="Fills the form; everything can be changed afterwards.",
            )  # fmt: skip

        note = self.config.PRESET_NOTES.get(st.session_state.get(self.form.key("preset")) or "")
        if note:
            st.caption(md(note, limit=400))

    def _use_preset(self) -> None:
        name = st.session_state.get(self.form.key("preset"))
        if name is not None:
            self.prefill(self.config.PRESETS[name])
            size = self.config.PRESET_RECIPES.get(name, {}).get("image_size")
            if size is not None:
                self.remember_size(int(size))

    def prefill(self, values: dict[str, Any]) -> None:
        """Fill the form and every setting that the page draws itself."""
        self.form.prefill(values)
        for field_name in values.keys() - {setting.name for setting in self.form.settings}:
            self.form.memory[f"prefill.{field_name}"] = values[field_name]

    def own_choice(self, field_name: str, variant: str, default: Any) -> tuple[str, dict[str, Any]]:
        """Key and default of a setting that the page draws itself: what was prefilled, chosen or usual.

        Args:
            field_name: Of the config.
            variant: What the default depends on; each variant remembers its own choice.
            default: Where nothing was chosen yet.
        """
        key = self.form.key(f"{field_name}.{variant}")
        prefilled = self.form.memory.pop(f"prefill.{field_name}", None)
        if prefilled is not None:
            put(key, prefilled)
        return key, initial(key, self.form.memory.get(key, default), "default")

    def remember_choice(self, key: str, value: Any) -> None:
        """Keep what the widget at `key` holds while other pages are open."""
        self.form.memory[key] = value

    def size_and_seed(
        self, default_size: int, smallest: int, check: Callable[[int], None]
    ) -> tuple[int, int]:
        """The two numbers of a recipe that are no method's business.

        Args:
            default_size: The side that the backbone was made for.
            smallest: The smallest side that it can read.
            check: Raises UserError where the backbone cannot read a side.
        """
        size = Setting(
            "image_size", "int", default_size, unit="px", low=max(8, smallest), high=1024, help=SIZE_HELP
        )
        left, right = st.columns(2)
        with left:
            key = self.form.key(f"size.{default_size}")
            if "offered_size" in self.form.memory:
                put(key, self.form.memory.pop("offered_size"))
            chosen_size = self._number(size, f"size.{default_size}")
        with right:
            chosen_seed = self._number(SEED, "seed")
        try:
            check(chosen_size)
        except UserError as error:
            if size.name not in self.form.problems:
                self._refuse(size.name, str(error))
        return chosen_size, chosen_seed

    def seed(self) -> int:
        """The seed, where there is no image size to ask for."""
        return self._number(SEED, "seed")

    def remember_size(self, size: int) -> None:
        """Offer `size` once, whatever backbone is chosen next."""
        self.form.memory["offered_size"] = size

    def _number(self, setting: Setting, key: str) -> int:
        key = self.form.key(key)
        begin = initial(key, self.form.memory.get(key, setting.default))
        value = st.number_input(setting.title, step=1, format="%d", key=key, help=setting.help, **begin)
        self.form.memory[key] = value
        sentence = problem(setting, value)
        if sentence:
            self._refuse(setting.name, sentence)
        return int(value)

    def _refuse(self, field_name: str, sentence: str) -> None:
        self.form.problems[field_name] = sentence
        st.caption(f":red[:material/error: {md(sentence)}]")

    def recipe(
        self,
        dataset: Dataset,
        values: dict[str, Any],
        backbone: str | None,
        size: int,
        seed: int,
    ) -> Recipe | None:
        """The recipe that the form makes, or None with the reason on the page."""
        if self.form.problems:
            return None
        try:
            config = parse_config(self.method, values)
            return Recipe(
                version=VERSION,
                dataset=dataset.id,
                fingerprint=dataset.fingerprint,
                method=self.method,
                config=config.model_dump(mode="json"),
                backbone=backbone,
                image_size=size,
                seed=seed,
            )
        except UserError as error:
            st.error(md(str(error)), icon=":material/error:")
            return None


def start_button(recipe: Recipe | None, composer: Composer, name: str, words: str = "Start training") -> None:
    """The cost, what was already run, and Start; the same recipe never becomes two runs at once.

    Args:
        recipe: What to start; None while the form holds something impossible.
        composer: The form it came from.
        name: What to call the run.
        words: On the button.
    """
    finished = None
    if recipe is not None:
        if recipe.method in ESTIMATED:
            show_estimate(recipe)
        finished = store.run_store().find(recipe.digest(), states=frozenset({"done"}))
    if finished is not None and recipe is not None:
        _already(finished, recipe, composer)
        return
    pressed = st.button(
        words,
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=recipe is None,
        key="compose.start",
    )
    if pressed and recipe is not None:
        begin(recipe, name)


def choose_method(label: str, kinds: list[str], key: str) -> str:
    """Which method of a family, with its line; each remembers its own settings under `key`."""
    remembered = st.session_state.get(f"{key}.kept", kinds[0])
    kind = st.selectbox(
        label,
        kinds,
        format_func=lambda name: METHODS[name].title,
        key=key,
        **initial_index(key, remembered, kinds),
    )
    st.session_state[f"{key}.kept"] = kind
    st.caption(METHODS[kind].line)
    return str(kind)


def begin(recipe: Recipe, name: str) -> None:
    """Start the run and open it."""
    try:
        run, created = store.start(recipe, name)
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    if not created:
        st.toast("This recipe is already on its way: here it is.", icon=":material/info:")
    st.query_params["run"] = run
    st.rerun()


def _already(run: str, recipe: Recipe, composer: Composer) -> None:
    summary = store.run_store().get(run)
    st.info(
        f"You ran exactly this {ago(summary.finished)}: open it, or run it again with a new seed.",
        icon=":material/history:",
    )
    with st.container(horizontal=True):
        if st.button("Open it", type="primary", icon=":material/open_in_full:", key="compose.open"):
            st.query_params["run"] = run
            st.rerun()
        st.button(
            "New seed", icon=":material/casino:", key="compose.reseed", on_click=_reseed, args=(composer,)
        )


def _reseed(composer: Composer) -> None:
    put(composer.form.key("seed"), secrets.randbelow(10_000))

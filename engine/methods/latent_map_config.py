"""What a map can be told: which methods, how many points, and every method's own settings in one list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

from pydantic import create_model, model_validator
from pydantic.fields import FieldInfo

from engine.fields import Scalar, setting
from engine.methods.config import MethodConfig
from engine.projections import PROJECTIONS, parse_projection, projection_class, projection_entry
from engine.projections.projection import ProjectionConfig

MOST_POINTS = 60_000
USUAL = ("pca", "kernel_pca", "lle", "isomap", "tsne", "umap")


class MapSettings(MethodConfig):
    """What all panels of a map share; a switch and settings for each method are added below."""

    PRESETS: ClassVar[dict[str, dict[str, Scalar]]] = {
        "Default": {},
        "Quick look": {"points": 1000, **{name: name in ("pca", "umap") for name in PROJECTIONS}},
        "Everything": dict.fromkeys(PROJECTIONS, True),
    }

    points: int = setting(
        2000, "Images on the map; of more, so many are drawn from every class alike.", ge=5, le=MOST_POINTS
    )
    split: Literal["all", "train", "val", "test"] = setting(
        "all",
        "Which part of the data set is mapped.",
        labels={"all": "All images", "train": "Training", "val": "Validation", "test": "Test"},
    )
    dimensions: Literal[2, 3] = setting(2, "Axes of the map.", labels={"2": "2-D", "3": "3-D"})
    metric: Literal["euclidean", "cosine"] = setting(
        "euclidean",
        "What near means: the straight distance, or the angle between two features, whatever their length.",
        labels={"euclidean": "Euclidean", "cosine": "Cosine"},
        more=True,
    )
    neighbours: int = setting(
        10,
        "Nearest neighbours by which every map is judged.",
        more=True,
        ge=1,
        le=200,
        title="Neighbours that count",
    )

    noise: bool = setting(
        False,
        "Map Gaussian noise of the same size, not the features: it shows what maps make of nothing.",
        more=True,
        title="Noise instead",
    )
    redraw: int = setting(
        0,
        "Added to the seed where points are laid out, and only there: the same points on another map.",
        more=True,
        ge=0,
        le=1000,
        title="Added to the seed of the layout",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The methods wanted, in the registry's order."""
        return tuple(name for name in PROJECTIONS if getattr(self, name))

    @model_validator(mode="after")
    def _some_method(self) -> MapSettings:
        if not self.names:
            raise ValueError(f"A map needs a method: switch one on of {', '.join(PROJECTIONS)}.")
        return self

    def of(self, name: str) -> ProjectionConfig:
        """The own settings of one method."""
        fields = projection_class(name).Config.model_fields
        return parse_projection(name, {field: getattr(self, f"{name}_{field}") for field in fields})


def _all_settings() -> type[MapSettings]:
    """The class with a switch for every method, and a field `<method>_<setting>` for its every setting."""
    fields: dict[str, Any] = {}
    for name, entry in PROJECTIONS.items():
        fields[name] = (bool, setting(name in USUAL, entry.line, group=entry.title, title=entry.title))
        for field, info in projection_class(name).Config.model_fields.items():
            fields[f"{name}_{field}"] = (info.annotation, _grouped(field, info, entry.title))
    return create_model("MapConfig", __base__=MapSettings, __doc__="Settings of a latent map.", **fields)


def _grouped(field: str, info: FieldInfo, group: str) -> Any:
    """The same field, in the fold of its method."""
    extra: Mapping[str, Any] = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds = {
        key: getattr(item, key)
        for item in info.metadata
        for key in ("ge", "le", "gt", "lt")
        if hasattr(item, key)
    }
    title = info.title or field.replace("_", " ").capitalize()
    hints = {**extra, "more": False, "group": group, "title": title}
    return setting(info.default, info.description or "", **hints, **bounds)


MapConfig = _all_settings()


def only(names: Collection[str]) -> dict[str, Scalar]:
    """The switches that want these methods and no others.

    Raises:
        UserError: One of them is not known.
    """
    for name in names:
        projection_entry(name)
    return {name: name in names for name in PROJECTIONS}

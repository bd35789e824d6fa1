"""Shapes: a drawn set whose classes and nuisance factors are known exactly.

Each image shows one of ten shapes, given by its signed distance function (after the formulas collected by
Inigo Quilez, https://iquilezles.org/articles/distfunctions2d/), on a textured background. Nothing but the
seed decides: random numbers are raw Philox bits, and pixels come from sums, products and square roots alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from engine.data.texture import TEXTURES, background, smooth_noise

STYLES = ("drawn", "photo")
CHUNK = 250  # images drawn at a time; part of the definition, since each chunk has its own random stream
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
STAR_EDGE = (0.45 * 0.58778525, 0.45 * 0.80901699 - 1.0)  # from a tip to the corner between two tips
Plane = np.ndarray  # (m, S, S) float32


@dataclass(frozen=True)
class Drawing:
    """A chunk of drawn images.

    Attributes:
        images: (m, S, S, 3) uint8.
        labels: (m,) index into SHAPES.
        factors: (m,) each.
    """

    images: np.ndarray
    labels: np.ndarray
    factors: dict[str, np.ndarray]


def _arrow(x: Plane, y: Plane) -> Plane:
    shaft = np.maximum(np.abs(x + 0.4) - 0.55, np.abs(y) - 0.2)
    head = np.maximum(0.05 - x, ((x - 1) * 0.65 + np.abs(y) * 0.95) / 1.151)
    return np.minimum(shaft, head)


def _circle(x: Plane, y: Plane) -> Plane:
    return np.sqrt(x * x + y * y) - np.float32(0.85)


def _crescent(x: Plane, y: Plane) -> Plane:
    bite = np.sqrt((x - 0.45) ** 2 + y * y) - 0.7
    return np.maximum(np.sqrt(x * x + y * y) - 0.95, -bite)


def _cross(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(x - 0.95, y - 0.28), np.maximum(x - 0.28, y - 0.95))


def _heart(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x) * 0.62, 0.5 - y * 0.62
    lobe = np.sqrt((x - 0.25) ** 2 + (y - 0.75) ** 2) - 0.35355339
    foot = 0.5 * np.maximum(x + y, 0)
    edge = np.minimum(x * x + (y - 1) ** 2, (x - foot) ** 2 + (y - foot) ** 2)
    return np.where(x + y > 1, lobe, np.sqrt(edge) * np.sign(x - y)) / 0.62


def _hourglass(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(y - 0.85, (x - y * 0.85 - 0.04) / 1.31)


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(np.sqrt(x * x + y * y) - 0.7) - np.float32(0.2)


def _square(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.74)


def _star(x: Plane, y: Plane) -> Plane:
    """Five points: folded into one tenth, then the distance to one edge."""
    x, y = np.abs(x), -y
    for nx, ny in ((0.80901699, -0.58778525), (-0.80901699, -0.58778525)):
        over = 2 * np.maximum(nx * x + ny * y, 0)
        x, y = x - over * nx, y - over * ny
    x, y = np.abs(x), y - 1
    ex, ey = STAR_EDGE
    along = np.clip((x * ex + y * ey) / (ex * ex + ey * ey), 0, 1)
    distance = np.sqrt((x - ex * along) ** 2 + (y - ey * along) ** 2)
    return distance * np.sign(y * ex - x * ey)


def _triangle(x: Plane, y: Plane) -> Plane:
    return np.maximum(y - 0.5, np.abs(x) * 0.8660254 - y * 0.5 - 0.5)


SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "arrow": _arrow,
    "circle": _circle,
    "crescent": _crescent,
    "cross": _cross,
    "heart": _heart,
    "hourglass": _hourglass,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}


class Stream:
    """Random numbers as raw bits, the same on every machine."""

    def __init__(self, *key: int) -> None:
        self.bits = np.random.Philox(np.random.SeedSequence(list(key)))

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        raw = self.bits.random_raw(int(np.prod(shape))).reshape(shape)
        return low + (high - low) * ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def choice(self, n: int, *shape: int) -> np.ndarray:
        return np.minimum(self.uniform(0, n, *shape).astype(np.int64), n - 1)

    def bell(self, *shape: int) -> np.ndarray:
        """Nearly normal, variance one: the sum of four random bytes, exact in whole numbers."""
        count = int(np.prod(shape))
        raw = self.bits.random_raw((count * 4 + 7) // 8).astype("<u8").view(np.uint8)[: count * 4]
        total = raw.reshape(count, 4).sum(1, dtype=np.int16) - np.int16(510)
        return (total.astype(np.float32) * np.float32(1 / 147.8)).reshape(shape)


def draw(n: int, size: int, style: str = "drawn", seed: int = 0, stream: int = 0) -> Iterator[Drawing]:
    """Draw n images, CHUNK at a time; classes are equally frequent.

    Args:
        n: How many.
        size: Pixels a side.
        style: "drawn", or "photo": the same shapes lit, shadowed and blurred like a photograph.
        seed: Decides everything.
        stream: Another stream of one seed shares no image with this one; one for each split.
    """
    for start in range(0, n, CHUNK):
        m = min(CHUNK, n - start)
        random = Stream(seed, stream, start, STYLES.index(style))
        labels = (np.arange(start, start + m) % len(SHAPES)).astype(np.int64)
        factors = _factors(random, m)
        images = _render(labels, factors, size, style, random)
        kept = {key: value for key, value in factors.items() if not key.startswith("_")}
        kept["texture"] = np.array(TEXTURES)[factors["texture"]]
        yield Drawing(images, labels, kept)


def _factors(random: Stream, m: int) -> dict[str, np.ndarray]:
    """What may vary besides the class; names with an underscore are drawn but not kept."""
    middle = random.uniform(0.38, 0.62, m)
    contrast = random.uniform(0.26, 0.5, m) * (random.choice(2, m) * 2 - 1)
    return {
        "hue": random.uniform(0, 1, m),
        "background_hue": random.uniform(0, 1, m),
        "x": random.uniform(0.3, 0.7, m),
        "y": random.uniform(0.3, 0.7, m),
        "scale": random.uniform(0.3, 0.58, m),
        "rotation": random.uniform(0, 360, m),
        "texture": random.choice(len(TEXTURES), m),
        "light_angle": random.uniform(0, 360, m),
        "light": random.uniform(0, 0.45, m),
        "noise": random.uniform(0, 0.08, m),
        "contrast": contrast,
        "_saturation": random.uniform(0.3, 1, m),
        "_shape_luma": middle + contrast / 2,
        "_back_luma": middle - contrast / 2,
        "_phase": random.uniform(0, 1, m, 4),
    }


def _render(
    labels: np.ndarray, factors: dict[str, np.ndarray], size: int, style: str, random: Stream
) -> np.ndarray:
    """(m, S, S, 3) uint8 images of the factors."""
    m = len(labels)
    grid = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    light = _directions(factors["light_angle"])
    depth = _distance(labels, factors, grid)  # (m, S, S), in half-widths of the image, negative inside
    hue = factors["hue"]
    shape = colour(hue, factors["_shape_luma"], factors["_saturation"])[:, None, None]
    one = colour(factors["background_hue"], factors["_back_luma"] - 0.07, factors["_saturation"] * 0.7)
    two = colour(factors["background_hue"] + 0.15, factors["_back_luma"] + 0.07, factors["_saturation"] * 0.7)
    weave = background(factors["texture"], factors["_phase"], grid, random)[..., None]
    scene = one[:, None, None] * (1 - weave) + two[:, None, None] * weave
    cover = np.clip(0.5 - depth * np.float32(size / 2), 0, 1)[..., None]
    if style == "photo":
        scene, shape = _photo(scene, shape, depth, light, size, random)
    image = scene * (1 - cover) + shape * cover
    lean = light[0][:, None, None] * grid + light[1][:, None, None] * grid[:, None]  # (m, S, S)
    image = image * (1 + factors["light"].astype(np.float32)[:, None, None] * lean)[..., None]
    if style == "photo":
        image = _lens(image, grid, random)
    image += random.bell(m, size, size, 3) * factors["noise"].astype(np.float32)[:, None, None, None]
    return np.floor(np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _directions(degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    radians = np.radians(degrees)
    return np.cos(radians).astype(np.float32), np.sin(radians).astype(np.float32)


def _distance(labels: np.ndarray, factors: dict[str, np.ndarray], grid: np.ndarray) -> Plane:
    scale = factors["scale"].astype(np.float32)[:, None, None]
    cosine, sine = (part[:, None, None] for part in _directions(factors["rotation"]))
    x = (grid[None, None, :] - (factors["x"] * 2 - 1).astype(np.float32)[:, None, None]) / scale
    y = (grid[None, :, None] - (factors["y"] * 2 - 1).astype(np.float32)[:, None, None]) / scale
    u, v = x * cosine + y * sine, y * cosine - x * sine
    depth = np.empty_like(u)
    for code, distance in enumerate(SHAPES.values()):
        here = labels == code
        depth[here] = distance(u[here], v[here])
    return depth * scale


def colour(hue: np.ndarray, luma: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """(m, 3) RGB colours in [0, 1] of a given brightness: mixed with black or white, then with grey."""
    wheel = (hue[:, None] + np.array([0.0, 2 / 3, 1 / 3])) % 1
    pure = np.clip(np.abs(wheel * 6 - 3) - 1, 0, 1).astype(np.float32)
    bright = (pure[:, 0] * LUMA[0] + pure[:, 1] * LUMA[1] + pure[:, 2] * LUMA[2])[:, None]
    goal = luma.astype(np.float32)[:, None]
    darker = pure * goal / np.maximum(bright, 1e-3)
    lighter = pure + (1 - pure) * (goal - bright) / np.maximum(1 - bright, 1e-3)
    mixed = np.where(goal < bright, darker, lighter)
    strength = saturation.astype(np.float32)[:, None]
    return mixed * strength + goal * (1 - strength)


def _photo(
    scene: np.ndarray,
    shape: np.ndarray,
    depth: Plane,
    light: tuple[np.ndarray, np.ndarray],
    size: int,
    random: Stream,
) -> tuple[np.ndarray, np.ndarray]:
    """A cast shadow on the scene; on the shape a rounded edge lit from one side, and grain."""
    m = len(depth)
    clouds = smooth_noise(random, m, size, 5) * 0.7 + smooth_noise(random, m, size, 11) * 0.3
    scene = scene * (0.75 + 0.5 * clouds)[..., None]
    shift = max(1, size // 12)
    shadow = np.clip(0.5 - depth * 6, 0, 1)
    moved = np.empty_like(shadow)
    for i in range(m):  # away from the light, by whole pixels
        dx, dy = int(round(-light[0][i] * shift)), int(round(-light[1][i] * shift))
        moved[i] = np.roll(shadow[i], (dy, dx), (0, 1))
    scene = scene * (1 - 0.45 * moved)[..., None]
    slope_y, slope_x = np.gradient(depth, 2 / size, axis=(1, 2))
    edge = np.clip(1 + depth * 7, 0, 1)  # 1 on the outline, 0 deep inside
    facing = slope_x * light[0][:, None, None] + slope_y * light[1][:, None, None]
    grain = 0.88 + 0.24 * smooth_noise(random, m, size, 9)
    return scene, shape * (grain * (1 + 0.45 * facing * edge))[..., None]


def _lens(image: np.ndarray, grid: np.ndarray, random: Stream) -> np.ndarray:
    """A slight blur, a colour cast and darker corners, as a camera has them."""
    m = len(image)
    blur = random.uniform(0, 1, m).astype(np.float32)[:, None, None, None]
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) * 0.25
    soft = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) * 0.25
    cast = random.uniform(0.9, 1.1, m, 3).astype(np.float32)[:, None, None]
    corners = 1 - 0.18 * (grid * grid + (grid * grid)[:, None])
    return (image * (1 - blur) + soft * blur) * cast * corners[..., None]

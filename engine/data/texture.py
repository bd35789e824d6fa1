"""Background textures for the drawn set: planes between 0 and 1, made without a table or a sine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.data.shapes import Stream

TEXTURES = ("plain", "gradient", "stripes", "checks", "dots", "clouds")


def background(texture: np.ndarray, phase: np.ndarray, grid: np.ndarray, random: Stream) -> np.ndarray:
    """Mix of the two background colours at each pixel.

    Args:
        texture: (m,) index into TEXTURES.
        phase: (m, 4) in [0, 1): position, position, frequency, direction.
        grid: (S,) pixel centres in [-1, 1].
        random: For the clouds.

    Returns:
        (m, S, S) float32 in [0, 1].
    """
    m, size = len(texture), len(grid)
    first, second, rate, turn = (phase[:, i].astype(np.float32)[:, None, None] for i in range(4))
    radians = turn.astype(np.float64) * 2 * np.pi
    cosine, sine = np.cos(radians).astype(np.float32), np.sin(radians).astype(np.float32)
    u = grid[None, None, :] * cosine + grid[None, :, None] * sine
    v = grid[None, :, None] * cosine - grid[None, None, :] * sine
    step = 1.5 + 2.5 * rate  # waves per half image
    wave_u, wave_v = _wave(u * step + first), _wave(v * step + second)
    planes = [
        np.full((m, size, size), 0.5, np.float32),
        np.clip(0.5 + 0.5 * u, 0, 1),
        _edge(wave_u),
        np.abs(_edge(wave_u) - _edge(wave_v)),
        _edge(1.2 - np.sqrt((1 - wave_u) ** 2 + (1 - wave_v) ** 2)),
        smooth_noise(random, m, size, 6),
    ]
    woven = planes[0]
    for code in range(1, len(TEXTURES)):
        woven = np.where((texture == code)[:, None, None], planes[code], woven)
    return woven.astype(np.float32)


def smooth_noise(random: Stream, m: int, size: int, cells: int) -> np.ndarray:
    """(m, S, S) value noise: random heights on a lattice of cells, blended smoothly between them."""
    lattice = random.uniform(0, 1, m, cells + 1, cells + 1).astype(np.float32)
    place = (np.arange(size) + 0.5) / size * cells
    low = place.astype(np.int64)
    part = place - low
    blend = (part * part * (3 - 2 * part)).astype(np.float32)  # smoothstep
    rows = lattice[:, low] * (1 - blend)[:, None] + lattice[:, low + 1] * blend[:, None]
    return rows[:, :, low] * (1 - blend) + rows[:, :, low + 1] * blend


def _wave(x: np.ndarray) -> np.ndarray:
    """A triangle wave of period one between 0 and 1."""
    return np.abs((x - np.floor(x)) * 2 - 1)


def _edge(wave: np.ndarray) -> np.ndarray:
    """A wave with steeper sides, so that stripes have an edge."""
    return np.clip((wave - 0.5) * 4 + 0.5, 0, 1)

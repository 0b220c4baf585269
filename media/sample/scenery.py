"""Paints the places of the sample world: a still, textured view, larger than the frame.

Takes a theme, a size and a generator, gives pixels; things and motion come from elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from earshot.media.sample.brush import shade
from earshot.media.sample.kinds import RGB

# Where things in the air are, and the kinds that a place has no room for.
AROUND = {
    "yard": "in the yard",
    "room": "in the room",
    "street": "in the street",
    "park": "in the park",
}
MISFITS = {"room": {"car", "kite", "tree trunk"}, "street": {"tree trunk"}}

Image3 = npt.NDArray[np.float32]
Field = npt.NDArray[np.float32]


# Where in a place a caption may say that something happens.
PLACES: dict[str, tuple[str, ...]] = {
    "yard": ("near the fence", "in the yard", "on the grass"),
    "room": ("on the wooden floor", "in the living room", "by the wallpaper"),
    "street": ("by the brick wall", "on the pavement", "in the street"),
    "park": ("in the park", "beside the bushes", "on the lawn"),
}


def noise(shape: tuple[int, int], cell_px: float, rng: np.random.Generator) -> Field:
    """Return smooth noise in about [-1, 1] whose blobs are `cell_px` pixels wide."""
    height, width = shape
    coarse = (max(2, round(width / cell_px)), max(2, round(height / cell_px)))
    seeds = rng.uniform(-1, 1, (coarse[1], coarse[0])).astype(np.float32)
    image = Image.fromarray(seeds).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _flat(shape: tuple[int, int], colour: RGB) -> Image3:
    return np.broadcast_to(np.array(colour, dtype=np.float32), (*shape, 3)).copy()


def _sky(shape: tuple[int, int], rng: np.random.Generator) -> Image3:
    fade = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
    sky = _flat(shape, (122, 176, 226)) * (1 - fade) + _flat(shape, (214, 232, 240)) * fade
    cloud = np.clip(noise(shape, shape[0] / 3, rng) + 0.5 * noise(shape, shape[0] / 8, rng), 0, 1)
    return np.asarray(sky + cloud[..., None] * (255 - sky) * 0.8, dtype=np.float32)


def _grass(shape: tuple[int, int], rng: np.random.Generator) -> Image3:
    blades = 0.5 * noise(shape, 2.5, rng) + 0.5 * noise((shape[0], shape[1]), 9, rng)
    fade = np.linspace(0.86, 1.08, shape[0], dtype=np.float32)[:, None]
    factor = fade * (1 + 0.16 * blades)
    return np.asarray(_flat(shape, (126, 168, 88)) * factor[..., None], dtype=np.float32)


def _planks(
    shape: tuple[int, int], plank_px: float, colour: RGB, rng: np.random.Generator
) -> Image3:
    """Upright boards with dark joints and grain."""
    across = np.arange(shape[1]) / plank_px
    tone = 1 + 0.14 * rng.uniform(-1, 1, int(across[-1]) + 2)[across.astype(int)]
    joint = np.where((across % 1) < 0.1, 0.55, 1.0)
    grain = 1 + 0.07 * noise((max(2, shape[0] // 12), shape[1]), 2, rng)
    rows = np.minimum(np.arange(shape[0]) // 12, grain.shape[0] - 1)
    factor = (tone * joint)[None, :] * grain[rows]
    return np.asarray(_flat(shape, colour) * factor[..., None], dtype=np.float32)


def _bricks(shape: tuple[int, int], brick_px: float, rng: np.random.Generator) -> Image3:
    rows = np.arange(shape[0]) / (brick_px * 0.45)
    columns = np.arange(shape[1])[None, :] / brick_px + 0.5 * (rows.astype(int) % 2)[:, None]
    tones = rng.uniform(-1, 1, (int(rows[-1]) + 2, int(columns.max()) + 2))
    tone = 1 + 0.13 * tones[rows.astype(int)[:, None], columns.astype(int)]
    mortar = ((rows % 1) < 0.16)[:, None] | ((columns % 1) < 0.08)
    wall = _flat(shape, (178, 112, 88)) * (tone * (1 + 0.06 * noise(shape, 3, rng)))[..., None]
    wall[mortar] = (206, 196, 182)
    return np.asarray(wall, dtype=np.float32)


def _paving(shape: tuple[int, int], rng: np.random.Generator) -> Image3:
    depth = np.linspace(0.25, 1, shape[0])[:, None]
    columns = (np.arange(shape[1])[None, :] - shape[1] / 2) / (shape[1] * 0.2 * depth)
    lines = (np.abs(columns % 1 - 0.5) > 0.475) | ((np.log(depth) * 4 % 1) < 0.07)
    floor = _flat(shape, (172, 170, 166)) * (1 + 0.08 * noise(shape, 3, rng))[..., None]
    floor[lines] *= 0.78
    return floor


def _yard(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image3:
    view = np.concatenate(
        [_sky((horizon, shape[1]), rng), _grass((shape[0] - horizon, shape[1]), rng)]
    )
    top, plank = int(horizon * 0.42), shape[0] / 13
    fence = _planks((horizon + 4 - top, shape[1]), plank, (196, 168, 128), rng)
    across = (np.arange(shape[1]) / plank) % 1
    tip = np.abs(across - 0.55) * plank * 0.8
    solid = np.arange(fence.shape[0])[:, None] >= tip[None, :]
    solid &= (across > 0.14)[None, :]
    band = view[top : horizon + 4]
    band[solid] = fence[solid]
    for rail in (0.3, 0.75):
        at = top + int((horizon - top) * rail)
        view[at : at + max(3, shape[0] // 50)] = np.array((160, 132, 96), dtype=np.float32)
    return view


def _room(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image3:
    stripes = (np.arange(shape[1]) / (shape[0] / 11)) % 1 < 0.5
    wall = np.where(stripes[None, :, None], (214, 204, 184), (196, 208, 196)).astype(np.float32)
    wall = (
        np.repeat(wall, horizon, axis=0)
        * (1 + 0.04 * noise((horizon, shape[1]), 3, rng))[..., None]
    )
    wall[-max(4, shape[0] // 36) :] = (236, 230, 216)
    boards = _planks((shape[1], shape[0] - horizon), shape[0] / 17, (176, 130, 88), rng)
    floor = np.transpose(boards, (1, 0, 2))
    high, left = int(horizon * 0.16), int(shape[1] * rng.uniform(0.12, 0.55))
    pane = (int(horizon * 0.5), int(shape[1] * 0.2))
    wall[high - 5 : high + pane[0] + 5, left - 5 : left + pane[1] + 5] = (120, 88, 60)
    wall[high : high + pane[0], left : left + pane[1]] = _sky(pane, rng)
    wall[high : high + pane[0], left + pane[1] // 2 - 2 : left + pane[1] // 2 + 2] = (120, 88, 60)
    return np.concatenate([wall, floor])


def _street(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image3:
    wall = _bricks((horizon, shape[1]), shape[0] / 9, rng)
    wall[-max(4, shape[0] // 40) :] *= 0.7
    return np.concatenate([wall, _paving((shape[0] - horizon, shape[1]), rng)])


def _park(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image3:
    view = np.concatenate(
        [_sky((horizon, shape[1]), rng), _grass((shape[0] - horizon, shape[1]), rng)]
    )
    rows = np.arange(shape[0])[:, None]
    for colour, level, cell in (((112, 150, 132), 0.5, 3.0), ((74, 122, 70), 0.72, 9.0)):
        outline = noise((2, shape[1]), shape[1] / cell, rng)[0] * horizon * 0.16
        if cell > 5:
            outline = outline - np.abs(noise((2, shape[1]), shape[0] / 14, rng)[0]) * horizon * 0.14
        hill = (rows >= (horizon * level + outline)[None, :]) & (rows < horizon + 3)
        leaves = 1 + 0.22 * noise(shape, 5, rng) * (cell > 5)
        tone = np.array(shade(colour, 1.0), dtype=np.float32) * leaves[..., None]
        view[hill] = tone[hill]
    return view


_VIEWS = {"yard": _yard, "room": _room, "street": _street, "park": _park}


def view_of(theme: str, shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return a place as (height, width, 3) uint8."""
    view = _VIEWS[theme](shape, int(shape[0] * 0.6), rng)
    view = view * (1 + 0.03 * noise(shape, 2, rng) + 0.06 * noise(shape, 60, rng))[..., None]
    # washed out a little, so that things stand out against their place
    return np.asarray(np.clip(view * 0.86 + 30, 0, 255), dtype=np.uint8)

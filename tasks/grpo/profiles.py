"""What a model family sees of a video: which frames, in which size, at how many tokens.

Takes numbers, gives numbers; re-states the rule of the processors and imports none of them, so
that a box can be written in the pixels that the model will see.

Source: `smart_resize`, `smart_nframes` and `fetch_video` of qwen-vl-utils 0.0.14 (the reader of
verl and ms-swift), which rounds a frame to multiples of two patches within bounds of its area.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from earshot.schemas.training import ExportConfig, ProfileName
from earshot.schemas.tube import BoxSpaceName

Ints = npt.NDArray[np.int64]

RULE = "qwen-vl-utils-0.0.14"
FRAME_FACTOR = 2
"""Frames are merged in pairs: their number is even, and a pair costs the tokens of one image."""
MAX_RATIO = 200
_VIDEO_MAX_TOKENS = 768
_TOTAL_TOKENS = 0.9 * 128_000
_MIN_MARGIN = 1.05


@dataclass(frozen=True)
class ModelProfile:
    """A model family.

    Attributes:
        factor: sides of a seen frame are multiples of this: patch size times 2.
        box_space: how its grounding data has boxes: `resized_px` or `rel1000`.
        hears: whether it takes sound.
    """

    name: ProfileName
    factor: int
    box_space: BoxSpaceName
    hears: bool = False


PROFILES: Mapping[ProfileName, ModelProfile] = MappingProxyType(
    {
        "qwen2_5_vl": ModelProfile("qwen2_5_vl", 28, "resized_px"),
        "qwen3_vl": ModelProfile("qwen3_vl", 32, "rel1000"),
        "qwen2_5_omni": ModelProfile("qwen2_5_omni", 28, "resized_px", hears=True),
    }
)


@dataclass(frozen=True)
class Bounds:
    """Area of a frame in pixels; both are written into every row, or readers fail on some."""

    min_pixels: int
    max_pixels: int


@dataclass(frozen=True)
class Seen:
    """What the model sees of a video.

    Attributes:
        n_frames: of the file.
        count: how many of them are seen.
        size_px: (width, height) of each.
        tokens: visual tokens of all, an estimate: versions of the processors differ.
    """

    n_frames: int
    count: int
    size_px: tuple[int, int]
    tokens: int

    @cached_property
    def frame_indices(self) -> tuple[int, ...]:
        """The frames of the file that are seen, from 0."""
        return tuple(seen_frames(np.array([self.n_frames]), np.array([self.count])).tolist())

    def times_s(self, fps: float) -> tuple[float, ...]:
        """Return when the frames are, in seconds."""
        return tuple(index / fps for index in self.frame_indices)


def bounds(profile: ModelProfile, config: ExportConfig) -> Bounds:
    """Return the bounds that the reader is told."""
    area = profile.factor**2
    return Bounds(config.min_frame_tokens * area, config.frame_tokens * area)


def profile_text(profile: ModelProfile, config: ExportConfig) -> str:
    """Return how the tokens of a row were estimated."""
    kind = "images" if config.dialect == "trl" else "video"
    return f"{profile.name}/{kind}/{config.fps:g}fps/{config.max_frames}f/{RULE}"


def see(
    profile: ModelProfile,
    config: ExportConfig,
    *,
    n_frames: int,
    fps: float,
    width: int,
    height: int,
) -> Seen:
    """Return what the model sees of a file of `n_frames` at `fps`, stored `width` x `height`.

    Raises:
        ValueError: there are fewer than two frames, or a side is 200 times the other.
    """
    shown = frame_count(n_frames, fps, config.fps, config.min_frames, config.max_frames)
    limits = bounds(profile, config)
    top = _TOTAL_TOKENS * profile.factor**2 / shown * FRAME_FACTOR
    area = min(_VIDEO_MAX_TOKENS * profile.factor**2, top)
    largest = min(limits.max_pixels, max(area, int(limits.min_pixels * _MIN_MARGIN)))
    size = smart_resize(width, height, profile.factor, limits.min_pixels, largest)
    a_frame = (size[0] // profile.factor) * (size[1] // profile.factor)
    images = shown if config.dialect == "trl" else shown // FRAME_FACTOR
    return Seen(n_frames, shown, size, images * a_frame)


def seen_frames(n_frames: Ints, counts: Ints) -> Ints:
    """Return the frames seen of films of `n_frames`, `counts` of each: uniform, first to last."""
    begins = np.cumsum(counts) - counts
    number = np.arange(counts.sum()) - np.repeat(begins, counts)
    # As np.linspace(0, n_frames - 1, count) of each film.
    found: Ints = np.rint(number * np.repeat((n_frames - 1) / (counts - 1), counts)).astype(int)
    return found


def frame_count(
    n_frames: int, fps: float, wanted_fps: float, min_frames: int, max_frames: int
) -> int:
    """Return how many frames are shown: even, uniform over the file.

    Raises:
        ValueError: the file has fewer than two.
    """
    least = math.ceil(min_frames / FRAME_FACTOR) * FRAME_FACTOR
    most = math.floor(max_frames / FRAME_FACTOR) * FRAME_FACTOR
    wanted = min(max(n_frames / fps * wanted_fps, least), most, n_frames)
    count = math.floor(wanted / FRAME_FACTOR) * FRAME_FACTOR
    if count < FRAME_FACTOR:
        raise ValueError(f"{n_frames} frames in the file; expected at least {FRAME_FACTOR}")
    return count


@lru_cache(maxsize=1024)  # videos come in few sizes
def smart_resize(
    width: int, height: int, factor: int, min_pixels: float, max_pixels: float
) -> tuple[int, int]:
    """Return the (width, height) that a frame is resized to.

    Both are multiples of `factor`; their product lies within the bounds; the shape stays as well
    as that allows.

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    if max(width, height) / min(width, height) > MAX_RATIO:
        raise ValueError(f"{width} x {height} pixels; expected sides within {MAX_RATIO} to 1")
    wide = max(factor, round(width / factor) * factor)
    high = max(factor, round(height / factor) * factor)
    if wide * high > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
        high = max(factor, math.floor(height / shrink / factor) * factor)
    elif wide * high < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        wide = math.ceil(width * grow / factor) * factor
        high = math.ceil(height * grow / factor) * factor
    return wide, high

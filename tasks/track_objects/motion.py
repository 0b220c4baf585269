"""Motion energy of a clip: what moves against the background, pixel by pixel.

Takes upright frames of one size, gives for each frame how much every pixel changed beyond what the
camera's own movement and noise explain. Keeps small frames only; knows nothing of objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from earshot.media.frames import TimedFrame

FloatArray = npt.NDArray[np.float32]

# Frames are compared across this many steps: in one step at 10 fps slow things hardly move.
LAG = 2
# A misregistration of half a pixel changes a pixel by half its gradient; grey levels below NOISE
# are compression and sensor noise.
EDGE_PART = 0.5
NOISE = 3.5
# Above these a camera shift per step is a cut or a failure, not a pan: no compensation then.
MAX_SHIFT_PART = 0.15
# Frames are blurred by this: noise of single pixels pulls the shift to zero, and fine texture that
# moved by part of a pixel looks like motion.
BLUR_PX = 0.8
# Least-squares steps end after so many, or below this.
STEPS, STEP_PX = 4, 0.03
# Phase correlation has a peak for the camera and one for a large thing that moves.
PEAKS = 2


@dataclass(frozen=True, eq=False)
class Motion:
    """Frames and their motion energy.

    Attributes:
        times_s: (n,) frame times in seconds of the video.
        frames: (n, h, w, 3) uint8.
        energy: (n, h, w) uint8 in grey levels; at frame i from what lies around it.
    """

    times_s: npt.NDArray[np.float64]
    frames: npt.NDArray[np.uint8]
    energy: npt.NDArray[np.uint8]


def measure_motion(frames: Iterable[TimedFrame]) -> Motion:
    """Return the motion of one or more frames that come in the order of their times."""
    times_s, pictures = [], []
    energy: list[npt.NDArray[np.uint8]] = []
    recent: deque[tuple[FloatArray, npt.NDArray[np.float64]]] = deque(maxlen=LAG + 1)
    for time_s, frame in frames:
        grey = _denoised(frame.mean(axis=-1, dtype=np.float32))
        if recent:
            place = recent[-1][1] + camera_shift(recent[-1][0], grey)
        else:
            place = np.zeros(2)
        recent.append((grey, place))
        if len(recent) > LAG:
            energy.append(_change(recent[0][0], grey, place - recent[0][1]))
        times_s.append(time_s)
        pictures.append(frame)
    # The change between frames i - 1 and i + 1 belongs to frame i; both ends have no partner.
    still = np.zeros(pictures[0].shape[:2], dtype=np.uint8)
    before = min(LAG // 2, len(pictures))
    padded = [still] * before + energy + [still] * (len(pictures) - before - len(energy))
    return Motion(np.array(times_s), np.stack(pictures), np.stack(padded))


def camera_shift(before: FloatArray, after: FloatArray) -> npt.NDArray[np.float64]:
    """Return (down, right) pixels by which the picture as a whole moved, to parts of a pixel.

    Of standing still and the strongest shifts of phase correlation, each after least-squares
    steps, the one that leaves the smallest median change wins: a large thing that moves before a
    still camera has the strongest peak, but not most of the pixels.
    """
    half = before[::2, ::2], after[::2, ::2]
    still = np.zeros(2)
    candidates = [still, _refined(*half, still)]
    candidates += [_refined(*half, peak) for peak in _phase_shifts(*half)]
    coarse = 2.0 * min(candidates, key=lambda shift: _left(*half, shift))
    fine = _refined(before, after, coarse)
    return min((still, coarse, fine), key=lambda shift: _left(before, after, shift))


def _denoised(grey: FloatArray) -> FloatArray:
    smooth: FloatArray = ndimage.gaussian_filter(grey, BLUR_PX)
    return smooth


def _left(before: FloatArray, after: FloatArray, shift: npt.NDArray[np.float64]) -> float:
    """Return the median change that a shift leaves unexplained."""
    return float(np.median(np.abs(after - _shifted(before, shift))[::2, ::2]))


def _refined(
    before: FloatArray, after: FloatArray, shift: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the shift after least-squares steps on the pixels that it already fits best."""
    if min(before.shape) < 2:  # a line has no slope across
        return shift
    for _ in range(STEPS):
        moved = _shifted(before, shift)
        down, right = (np.gradient(moved, axis=axis) for axis in (0, 1))
        change = after - moved
        steady = np.abs(change) <= np.quantile(np.abs(change[::2, ::2]), 0.7)
        slopes = np.stack([down[steady], right[steady]])
        normal = slopes @ slopes.T
        spread = float(normal[0, 0] * normal[1, 1] - normal[0, 1] * normal[1, 0])
        # A picture without edges in two directions does not say how it moved.
        if spread <= 1e-6 * float(np.trace(normal)) ** 2:
            return shift
        step = np.clip(np.linalg.solve(normal, slopes @ change[steady]), -1.5, 1.5)
        shift = np.asarray(shift - step, dtype=np.float64)
        if np.abs(step).max() < STEP_PX:
            break
    return shift


def _phase_shifts(before: FloatArray, after: FloatArray) -> list[npt.NDArray[np.float64]]:
    """Return whole-pixel shifts (down, right) at the strongest peaks, best first."""
    window = np.outer(np.hanning(before.shape[0]), np.hanning(before.shape[1]))
    first, second = (np.fft.rfft2((g - g.mean()) * window) for g in (before, after))
    cross = second * np.conj(first)
    cross /= np.abs(cross) + 1e-3 * np.abs(cross).max() + 1e-9
    surface = ndimage.uniform_filter(np.fft.irfft2(cross, before.shape), 3, mode="wrap")
    size = np.array(before.shape)
    shifts = []
    for _ in range(PEAKS):
        peak = np.array(np.unravel_index(int(surface.argmax()), surface.shape))
        rows, columns = (
            np.arange(at - 2, at + 3) % side for at, side in zip(peak, size, strict=True)
        )
        surface[np.ix_(rows, columns)] = -np.inf
        shift = np.where(peak > size / 2, peak - size, peak).astype(np.float64)
        if np.all(np.abs(shift) <= MAX_SHIFT_PART * max(before.shape)):
            shifts.append(shift)
    return shifts


def _shifted(grey: FloatArray, shift: npt.NDArray[np.float64]) -> FloatArray:
    """Return the picture moved by parts of a pixel, bilinear, its edge repeated.

    Rows, then columns, by hand: ten times as fast as `ndimage.shift`, which is most of the time.
    """
    for axis in (0, 1):
        if abs(shift[axis]) >= 0.05:
            whole = int(np.floor(shift[axis]))
            part = np.float32(shift[axis] - whole)
            at = np.arange(grey.shape[axis]) - whole
            last = grey.shape[axis] - 1
            near = grey.take(np.clip(at, 0, last), axis=axis)
            grey = near + part * (grey.take(np.clip(at - 1, 0, last), axis=axis) - near)
    return grey


def _change(
    before: FloatArray, after: FloatArray, shift: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """Return what changed beyond shift, gradient and noise."""
    moved = _shifted(before, shift)
    slope = np.maximum(_slope(moved), _slope(after))
    change = ndimage.uniform_filter(np.abs(after - moved), 3)
    return np.clip(change - EDGE_PART * slope - NOISE, 0, 255).astype(np.uint8)


def _slope(grey: FloatArray) -> FloatArray:
    smooth = ndimage.uniform_filter(grey, 3)
    down = np.abs(np.diff(smooth, axis=0, prepend=smooth[:1]))
    right = np.abs(np.diff(smooth, axis=1, prepend=smooth[:, :1]))
    return np.asarray(down + right, dtype=np.float32)

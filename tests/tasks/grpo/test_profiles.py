"""What a model sees: sizes and frame counts as the processors' published rule gives them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.profiles import PROFILES, frame_count, see, smart_resize


@pytest.mark.parametrize(
    ("size", "factor", "tokens", "expected"),
    [
        ((1280, 720), 28, (128, 768), (1008, 560)),  # as R-AVST's own frames: research/seeds 1.3
        ((320, 240), 28, (128, 768), (392, 280)),
        ((640, 360), 28, (16, 256), (588, 336)),
        ((10, 10), 28, (1, 4), (28, 28)),
    ],
)
def test_sizes_of_the_rule(size, factor, tokens, expected):
    """Worked by hand from smart_resize: shrunk, enlarged, rounded, tiny."""
    low, high = (count * factor**2 for count in tokens)
    assert smart_resize(*size, factor, low, high) == expected


@given(
    st.integers(16, 4000), st.integers(16, 4000), st.sampled_from([28, 32]), st.integers(4, 128),
    st.integers(0, 640),
)  # fmt: skip
def test_sizes_are_multiples_within_the_bounds(width, height, factor, low, more):
    """And a frame that fits is left alone, so that a second resize changes nothing."""
    if max(width, height) / min(width, height) > 20:
        return
    least, most = low * factor**2, (4 * low + more) * factor**2
    wide, high = smart_resize(width, height, factor, least, most)
    assert wide % factor == high % factor == 0
    assert least <= wide * high <= most
    assert smart_resize(wide, high, factor, least, most) == (wide, high)


def test_a_strip_is_refused():
    """The processors refuse it too."""
    with pytest.raises(ValueError, match="within 200 to 1"):
        smart_resize(20_100, 100, 28, 784, 784_000)


@pytest.mark.parametrize(
    ("n_frames", "fps", "expected"),
    [(500, 25, 40), (1500, 25, 64), (30, 30, 4), (3, 30, 2), (101, 25, 8)],
)
def test_frame_counts_of_the_rule(n_frames, fps, expected):
    """Even, at least 4, at most 64, never more than there are."""
    assert frame_count(n_frames, fps, 2.0, 4, 64) == expected


def test_tokens_and_frames():
    """Two frames of a video cost one image; images cost each; first and last frame are shown."""
    film = {"n_frames": 500, "fps": 25.0, "width": 640, "height": 360}
    as_video = ExportConfig(dialect="verl", profile="qwen2_5_vl", max_frame_tokens=128)
    as_images = as_video.model_copy(update={"dialect": "trl"})
    profile = PROFILES["qwen2_5_vl"]
    video, images = see(profile, as_video, **film), see(profile, as_images, **film)
    assert images.tokens == 2 * video.tokens
    width, height = video.size_px
    assert video.tokens == 20 * (width // 28) * (height // 28)
    assert (video.frame_indices[0], video.frame_indices[-1]) == (0, 499)
    with pytest.raises(ValueError, match="at least 2"):
        see(profile, as_video, **{**film, "n_frames": 1})

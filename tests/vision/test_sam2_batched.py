"""SAM 2 with all objects in one call, against transformers' own loop over objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from earshot.tasks.track_objects.grounded_sam2.propagator import (
    Sam2Propagator,
    as_pixels,
    boxes_of,
)
from earshot.tasks.track_objects.grounded_sam2.sam2_batched import BatchedSam2Video
from earshot.tasks.track_objects.grounded_sam2.segmenter import Memory
from tests.vision.conftest import Folders

FRAMES = 24
# Prompted on different frames, so that they remember different numbers of frames.
PROMPTS = {0: (0, (0.1, 0.1, 0.4, 0.5)), 1: (0, (0.5, 0.5, 0.9, 0.9)), 2: (3, (0.3, 0.2, 0.8, 0.6))}


@pytest.fixture(scope="module")
def model(tiny: Folders) -> BatchedSam2Video:
    """The batched model."""
    return BatchedSam2Video.from_pretrained(tiny.segmenter).eval()


@pytest.fixture(scope="module")
def frames() -> dict[int, np.ndarray]:
    """Pictures with something that moves."""
    rng = np.random.default_rng(1)
    scene = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return {at: np.roll(scene, (at, 2 * at), (0, 1)) for at in range(FRAMES)}


def count_calls(model: BatchedSam2Video) -> Iterator[list[int]]:
    """Count the calls of the memory attention by their batch size."""
    sizes: list[int] = []
    handle = model.memory_attention.register_forward_pre_hook(
        lambda _, args, kwargs: sizes.append(kwargs["memory"].shape[1]), with_kwargs=True
    )
    yield sizes
    handle.remove()


def originals(tiny: Folders, pixels: torch.Tensor) -> dict[tuple[int, int], np.ndarray]:
    """Mask logits by (object, frame) of transformers' own model, one session an object."""
    plain = Sam2VideoModel.from_pretrained(tiny.segmenter).eval()
    found = {}
    for track, (first, box) in PROMPTS.items():
        session = Sam2VideoInferenceSession(video=pixels, dtype=torch.float32)
        place = session.obj_id_to_idx(track)
        corners = (torch.tensor(box) * plain.image_size).reshape(1, 1, 2, 2)
        labels = torch.tensor([[[2, 3]]], dtype=torch.int32)
        session.add_point_inputs(place, first, {"point_coords": corners, "point_labels": labels})
        session.obj_with_new_inputs = [track]
        for frame in range(first, FRAMES):
            out = plain(session, frame_idx=frame)
            found[track, frame] = out.pred_masks[0, 0].numpy()
    return found


def test_all_objects_in_one_call_give_the_masks_of_one_by_one(
    tiny: Folders, model: BatchedSam2Video, frames: dict[int, np.ndarray]
) -> None:
    """Mask logits equal those of transformers' own loop, also where memories differ in length."""
    pixels = as_pixels(list(frames.values()), model.image_size, model)
    expected = originals(tiny, pixels)
    memories: dict[int, Memory] = {}
    seen: dict[tuple[int, int], np.ndarray] = {}
    for frame, features in enumerate(model.encode(pixels)):
        if memories:
            out = model.step(features, list(memories.values()), frame)
            for track, logits, now in zip(memories, out.logits, out.remembered, strict=True):
                memories[track].recent.append(now)
                seen[track, frame] = logits.numpy()
        new = [track for track, (first, _) in PROMPTS.items() if first == frame]
        if new:
            out = model.prompt(features, torch.tensor([PROMPTS[track][1] for track in new]), frame)
            for track, logits, now in zip(new, out.logits, out.remembered, strict=True):
                memories[track] = Memory([now], deque(maxlen=model.max_pointers - 1))
                seen[track, frame] = logits.numpy()
    assert seen.keys() == expected.keys()
    spread = float(np.std([value.mean() for value in expected.values()]))
    worst = max(float(np.abs(seen[key] - expected[key]).max()) for key in expected)
    assert worst < 0.02 * spread, (worst, spread)


@pytest.mark.parametrize("count", [1, 3, 30])
def test_one_call_of_the_memory_attention_a_frame(
    model: BatchedSam2Video, frames: dict[int, np.ndarray], count: int
) -> None:
    """However many objects there are, the memory attention runs once a frame, with all of them."""
    propagator = Sam2Propagator(model, frames)
    low = np.linspace(0.0, 0.5, count)
    propagator.prompt(0, range(count), np.stack([low, low, low + 0.4, low + 0.3], axis=1))
    calls = count_calls(model)
    sizes = next(calls)
    for frame in range(1, 5):
        propagator.step(frame, range(count), False)
    next(calls, None)
    assert sizes == [count] * 4


def test_edges_lie_where_the_logits_cross_zero() -> None:
    """Boxes of low-resolution logits are those of the enlarged masks to half of its pixels."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    inside = torch.minimum(5.3 - (x - 12.4).abs(), 8.1 - (y - 17.2).abs())
    touching = torch.minimum(6.0 - (x + 0.5).abs(), 40.0 - y)
    empty = torch.full((32, 32), -3.0)
    boxes = boxes_of(torch.stack([inside, touching, empty]))
    expected = torch.tensor([12.9 - 5.3, 17.7 - 8.1, 12.9 + 5.3, 17.7 + 8.1]) / 32
    assert boxes[0].tolist() == pytest.approx(expected.tolist(), abs=1e-3)
    assert boxes[1].tolist() == pytest.approx([0.0, 0.0, 6.0 / 32, 1.0], abs=1e-3)
    assert boxes[2].isnan().all()

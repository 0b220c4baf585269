"""Finds what phrases name on frames, with Grounding DINO, many frames a call.

Takes uint8 frames with what to look for on each, gives boxes with a score for each of the names.
Which name a box has is read from the tokens of its phrase, not from decoded text: decoding at a
threshold gives pieces and unions of phrases ("dog car", "[SEP]") that are nobody's name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earshot.media.display import Frame
from earshot.tasks.track_objects.association import Detections

# Prompts whose text features are kept.
CACHED_TEXTS = 64


@dataclass(frozen=True)
class Sought:
    """A thing to look for: `phrase` is asked, and `name` within it decides."""

    name: str
    phrase: str


@dataclass(frozen=True)
class Prompt:
    """A text and where in it, in characters, the tokens stand that decide on each thing.

    Attributes:
        text: phrases in lower case, each ended by a full stop.
        things: index of each thing that is asked for.
        spans: (start, stop) of what decides on it.
    """

    text: str
    things: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


def prompt_of(sought: Sequence[Sought], things: Sequence[int]) -> Prompt:
    """Return the prompt for some of the things sought.

    A full stop inside a phrase would end it, so it is taken out. Where the phrase has the name in
    it, the name decides: "a", "small" and "brown" fit other things too.
    """
    text, spans = "", []
    for thing in things:
        phrase = " ".join(sought[thing].phrase.lower().replace(".", " ").split())
        name = " ".join(sought[thing].name.lower().replace(".", " ").split())
        at = f" {phrase} ".rfind(f" {name} ") if name else -1
        start = len(text) + max(at, 0)
        spans.append((start, start + len(name) if at >= 0 else start + len(phrase)))
        text += f"{phrase} . "
    return Prompt(text.strip(), tuple(things), tuple(spans))


class CachedText(nn.Module):
    """The text encoder of a detector; the same text is encoded once, whatever the frames."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self.encoded = 0

    def forward(
        self, input_ids: Tensor, mask: Tensor, types: Tensor, positions: Tensor, **kwargs: Any
    ) -> Any:
        """Return what the encoder returns, its last hidden state put together from known rows."""
        rows = []
        for at in range(len(input_ids)):
            key = input_ids[at].cpu().numpy().tobytes()
            if key not in self._known:
                one = slice(at, at + 1)
                out = self.encoder(input_ids[one], mask[one], types[one], positions[one], **kwargs)
                self._known[key] = out.last_hidden_state
                self.encoded += 1
            self._known.move_to_end(key)
            rows.append(self._known[key])
        while len(self._known) > CACHED_TEXTS:
            self._known.popitem(last=False)
        return _Encoded(torch.cat(rows))


@dataclass(frozen=True, eq=False)
class _Encoded:
    last_hidden_state: Tensor


class GroundingDetector:
    """Grounding DINO or MM Grounding DINO.

    Args:
        model: the model, in evaluation mode; its text encoder is wrapped.
        tokenizer: a fast tokenizer, which knows where tokens stand in the text.
        processor: has the size, mean and deviation that frames are brought to.
        batch: frames a call.
    """

    def __init__(self, model: Any, tokenizer: Any, processor: Any, batch: int) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._short_px = int(processor.size["shortest_edge"])
        self._long_px = int(processor.size["longest_edge"])
        self._mean, self._std = processor.image_mean, processor.image_std
        self._batch = batch
        if not isinstance(model.model.text_backbone, CachedText):
            model.model.text_backbone = CachedText(model.model.text_backbone)

    @property
    def long_side_px(self) -> int:
        """The longest side of the frames that it looks at."""
        return self._long_px

    def prompts(self, sought: Sequence[Sought]) -> list[Prompt]:
        """Return the prompts for all things: as few as the model's text length allows."""
        limit = int(self._model.config.max_text_len)
        found: list[Prompt] = []
        group: list[int] = []
        for thing in range(len(sought)):
            longer = prompt_of(sought, [*group, thing])
            if group and len(self._tokenizer(longer.text)["input_ids"]) > limit:
                found.append(prompt_of(sought, group))
                group = []
            group.append(thing)
        return [*found, prompt_of(sought, group)] if group else found

    def calls(self, sought: Sequence[Sought], frames: int) -> int:
        """Return how many frames the model looks at for things on some frames."""
        return len(self.prompts(sought)) * frames

    def detect(
        self, frames: Sequence[Frame], sought: Sequence[Sequence[Sought]]
    ) -> list[Detections]:
        """Return for each frame all boxes of the model, with scores for what is sought on it."""
        found: list[list[Detections]] = [[] for _ in frames]
        jobs = [(at, prompt) for at, things in enumerate(sought) for prompt in self.prompts(things)]
        jobs.sort(key=lambda job: (frames[job[0]].shape, job[0]))
        begin = 0
        while begin < len(jobs):
            shape = frames[jobs[begin][0]].shape
            batch = [j for j in jobs[begin : begin + self._batch] if frames[j[0]].shape == shape]
            begin += len(batch)
            results = self._run([frames[at] for at, _ in batch], [prompt for _, prompt in batch])
            for (at, prompt), (boxes, scores) in zip(batch, results, strict=True):
                wide = np.zeros((len(boxes), len(sought[at])))
                wide[:, list(prompt.things)] = scores
                found[at].append(Detections(boxes, wide))
        return [_joined(parts, len(things)) for parts, things in zip(found, sought, strict=True)]

    @torch.inference_mode()
    def _run(
        self, frames: Sequence[Frame], prompts: Sequence[Prompt]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        texts = self._tokenizer(
            [prompt.text for prompt in prompts],
            padding=True,
            truncation=True,
            max_length=int(self._model.config.max_text_len),
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = texts.pop("offset_mapping")
        device = self._model.device
        out = self._model(
            pixel_values=self._pixels(frames),
            **{key: value.to(device) for key, value in texts.items()},
        )
        fits = out.logits.float().sigmoid().cpu().numpy().astype(np.float64)
        boxes = out.pred_boxes.float().cpu().numpy().astype(np.float64)
        corners = np.concatenate(
            [boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], axis=-1
        )
        results = []
        for at, prompt in enumerate(prompts):
            columns = [tokens_of(offsets[at].numpy(), *span) for span in prompt.spans]
            scores = [fits[at][:, c].max(axis=1, initial=0.0) for c in columns]
            results.append((np.clip(corners[at], 0.0, 1.0), np.stack(scores, axis=1)))
        return results

    def _pixels(self, frames: Sequence[Frame]) -> Tensor:
        """Return frames of one shape as normalised (b, 3, H, W) of the model's size."""
        height, width = frames[0].shape[:2]
        scale = min(self._short_px / min(height, width), self._long_px / max(height, width))
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        stacked = torch.from_numpy(np.stack(frames)).to(self._model.device)
        pixels = stacked.permute(0, 3, 1, 2).float() / 255
        pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        mean = torch.tensor(self._mean, device=pixels.device)[:, None, None]
        std = torch.tensor(self._std, device=pixels.device)[:, None, None]
        return ((pixels - mean) / std).to(self._model.dtype)


def tokens_of(offsets: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return which tokens (n, 2) of (start, stop) characters lie in a span; special ones none."""
    return np.flatnonzero(
        (offsets[:, 0] < stop) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0])
    )


def _joined(parts: Sequence[Detections], names: int) -> Detections:
    if not parts:
        return Detections(np.empty((0, 4)), np.empty((0, names)))
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )

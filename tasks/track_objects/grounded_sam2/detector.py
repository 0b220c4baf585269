"""Finds what phrases name on frames, with Grounding DINO, many frames a call.

Takes uint8 frames with what to look for on each, gives boxes with a score for each of the names.
Which name a box has is read from the tokens of its phrase, not from decoded text: decoding at a
threshold gives pieces and unions of phrases ("dog car", "[SEP]") that are nobody's name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earshot.media.display import Frame
from earshot.tasks.track_objects.association import Detections
from earshot.tasks.track_objects.grounded_sam2.batches import Batch
from earshot.tasks.track_objects.grounded_sam2.texts import Prompt, Sought, prompts_of, tokens_of

# Prompts whose text features are kept.
CACHED_TEXTS = 64


@dataclass(frozen=True)
class View:
    """How a detector looks at frames: the size in pixels, and what is subtracted and divided by."""

    short_px: int
    long_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class GroundingDetector(ABC):
    """A detector of the Grounding DINO family; sub-classes say how the model is called.

    Args:
        tokenizer: a fast tokenizer, which knows where tokens stand in the text.
        view: how it looks at frames.
        max_tokens: of a text.
        batch: frames a call.
        device: where the model is.
        dtype: type of the pixels that it takes.
    """

    def __init__(
        self,
        tokenizer: Any,
        view: View,
        max_tokens: int,
        batch: Batch,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._tokenizer, self._view, self._max_tokens = tokenizer, view, max_tokens
        self._batch, self._device, self._dtype = batch, device, dtype

    @abstractmethod
    def _forward(self, pixels: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return logits (b, q, tokens) of boxes and boxes (b, q, 4), centre and size in parts."""

    @property
    def long_side_px(self) -> int:
        """The longest side of the frames that it looks at."""
        return self._view.long_px

    def prompts(self, sought: Sequence[Sought]) -> list[Prompt]:
        """Return the prompts for all things: as few as the model's text length allows."""
        return prompts_of(
            sought, self._max_tokens, lambda text: len(self._tokenizer(text)["input_ids"])
        )

    def detect(
        self, frames: Sequence[Frame], sought: Sequence[Sequence[Sought]]
    ) -> list[Detections]:
        """Return for each frame all boxes of the model, with scores for what is sought on it."""
        found: list[list[Detections]] = [[] for _ in frames]
        jobs = [(at, prompt) for at, things in enumerate(sought) for prompt in self.prompts(things)]
        jobs.sort(key=lambda job: (frames[job[0]].shape, job[0]))
        for _, group in groupby(jobs, key=lambda job: frames[job[0]].shape):
            alike = list(group)
            results = self._batch.map(
                lambda part: self._run([frames[at] for at, _ in part], [text for _, text in part]),
                alike,
            )
            for (at, prompt), (boxes, scores) in zip(alike, results, strict=True):
                wide = np.zeros((len(boxes), len(sought[at])))
                wide[:, list(prompt.things)] = scores
                found[at].append(Detections(boxes, wide))
        return [_joined(parts, len(things)) for parts, things in zip(found, sought, strict=True)]

    @torch.inference_mode()
    def _run(
        self, frames: Sequence[Frame], prompts: Sequence[Prompt]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        texts = [prompt.text for prompt in prompts]
        logits, places = self._forward(self._pixels(frames), texts)
        fits = logits.float().sigmoid().cpu().numpy().astype(np.float64)
        boxes = places.float().cpu().numpy().astype(np.float64)
        corners = np.concatenate(
            [boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], axis=-1
        )
        results = []
        for at, prompt in enumerate(prompts):
            offsets = self._tokenizer(
                prompt.text,
                truncation=True,
                max_length=self._max_tokens,
                return_offsets_mapping=True,
            )["offset_mapping"]
            columns = [tokens_of(np.array(offsets), *span) for span in prompt.spans]
            scores = [fits[at][:, c].max(axis=1, initial=0.0) for c in columns]
            results.append((np.clip(corners[at], 0.0, 1.0), np.stack(scores, axis=1)))
        return results

    def _pixels(self, frames: Sequence[Frame]) -> Tensor:
        """Return frames of one shape as normalised (b, 3, H, W) of the model's size."""
        height, width = frames[0].shape[:2]
        view = self._view
        scale = min(view.short_px / min(height, width), view.long_px / max(height, width))
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        stacked = torch.from_numpy(np.stack(frames)).to(self._device)
        pixels = stacked.permute(0, 3, 1, 2).float() / 255
        pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        mean = torch.tensor(view.mean, device=pixels.device)[:, None, None]
        std = torch.tensor(view.std, device=pixels.device)[:, None, None]
        return ((pixels - mean) / std).to(self._dtype)


class TransformersDetector(GroundingDetector):
    """Grounding DINO or MM Grounding DINO of transformers.

    Args:
        model: the model, in evaluation mode; its text encoder is wrapped.
        tokenizer: a fast tokenizer.
        view: how it looks at frames.
        batch: frames a call.
    """

    def __init__(self, model: Any, tokenizer: Any, view: View, batch: Batch) -> None:
        limit = int(model.config.max_text_len)
        super().__init__(tokenizer, view, limit, batch, model.device, model.dtype)
        self._model = model
        if not isinstance(model.model.text_backbone, CachedText):
            model.model.text_backbone = CachedText(model.model.text_backbone)

    def _forward(self, pixels: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        )
        inputs = {key: value.to(self._device) for key, value in tokens.items()}
        out = self._model(pixel_values=pixels, **inputs)
        return out.logits, out.pred_boxes


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
        return Encoded(torch.cat(rows))


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a text encoder gives: (b, tokens, C)."""

    last_hidden_state: Tensor


def _joined(parts: Sequence[Detections], names: int) -> Detections:
    if not parts:
        return Detections(np.empty((0, 4)), np.empty((0, names)))
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )

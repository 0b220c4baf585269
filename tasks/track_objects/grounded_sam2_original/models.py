"""groundingdino-py's detector and sam2's video model, called as the tracker calls any such model.

Takes and gives what `GroundingDetector` and `Segmenter` say. sam2's video predictor is passed by:
it keeps all frames and goes through objects one by one; its model takes several at once, if they
remember the same frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from earshot.tasks.track_objects.grounded_sam2.batches import Batch
from earshot.tasks.track_objects.grounded_sam2.detector import GroundingDetector, View
from earshot.tasks.track_objects.grounded_sam2.models import Place
from earshot.tasks.track_objects.grounded_sam2.segmenter import (
    Features,
    Memory,
    Remembered,
    Segmented,
)

# As `groundingdino.util.inference.load_image` looks at pictures.
VIEW = View(800, 1333, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# More frames than any window: it only bounds the pointers that are asked for.
FRAMES = 1 << 30


class OriginalDetector(GroundingDetector):
    """Grounding DINO of groundingdino-py, under autocast where half precision is wanted."""

    def __init__(self, model: Any, batch: Batch, place: Place) -> None:
        device = torch.device(place.device)
        limit = int(model.max_text_len)
        super().__init__(model.tokenizer, VIEW, limit, batch, device, torch.float32)
        self._model, self._place = model, place

    def _forward(self, pixels: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        with _autocast(self._place):
            out = self._model(pixels, captions=texts)
        return out["pred_logits"], out["pred_boxes"]


class OriginalSegmenter:
    """SAM 2 of the package sam2: its `SAM2Base`, which every published checkpoint is of."""

    dtype = torch.float32

    def __init__(self, model: Any, place: Place) -> None:
        self._model, self._place = model, place
        self.device = torch.device(place.device)
        self._sizes: list[tuple[int, int]] = []
        self._memory_position: list[Tensor] = []

    @property
    def image_size(self) -> int:
        """Side of the square that frames are brought to, in pixels."""
        return int(self._model.image_size)

    @property
    def max_pointers(self) -> int:
        """Object pointers that an object remembers."""
        return int(self._model.max_obj_ptrs_in_encoder)

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> list[Features]:
        """Return the features of normalised frames (b, 3, S, S)."""
        with _autocast(self._place):
            out = self._model.forward_image(pixels)
        _, levels, positions, self._sizes = self._model._prepare_backbone_features(out)
        return [
            Features(
                tuple(level[:, at : at + 1] for level in levels), positions[-1][:, at : at + 1]
            )
            for at in range(len(pixels))
        ]

    @torch.inference_mode()
    def prompt(self, features: Features, boxes: Tensor, frame: int) -> Segmented:
        """Segment what is in boxes (n, 4), xyxy in parts of the frame."""
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=self.device)
        corners = (boxes * self.image_size).reshape(-1, 2, 2)
        points = {"point_coords": corners, "point_labels": labels.expand(len(boxes), 2)}
        return self._run(features, len(boxes), frame, points, _nothing(), backward=False)

    @torch.inference_mode()
    def step(
        self, features: Features, memories: Sequence[Memory], frame: int, backward: bool = False
    ) -> Segmented:
        """Segment the objects that the memories are of; one call for all of the same age."""
        groups: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for row, memory in enumerate(memories):
            frames = tuple(r.frame for r in memory.prompts), tuple(r.frame for r in memory.recent)
            groups.setdefault(frames, []).append(row)
        parts = [
            self._run(
                features,
                len(rows),
                frame,
                None,
                self._outputs([memories[row] for row in rows]),
                backward=backward,
            )
            for rows in groups.values()
        ]
        order = [row for rows in groups.values() for row in rows]
        places = torch.tensor(order, device=self.device).argsort()
        remembered = [now for part in parts for now in part.remembered]
        return Segmented(
            torch.cat([part.logits for part in parts])[places],
            torch.cat([part.presence for part in parts])[places],
            tuple(remembered[place] for place in places.tolist()),
        )

    def _outputs(self, memories: Sequence[Memory]) -> dict[str, dict[int, Any]]:
        """Return memories of the same frames as the model keeps them."""
        kinds = {
            "cond_frame_outputs": [memory.prompts for memory in memories],
            "non_cond_frame_outputs": [list(memory.recent) for memory in memories],
        }
        return {
            kind: {
                several[0].frame: {
                    "maskmem_features": torch.stack([now.features for now in several]),
                    "maskmem_pos_enc": [
                        level.expand(len(several), -1, -1, -1) for level in self._memory_position
                    ],
                    "obj_ptr": torch.stack([now.pointer for now in several]),
                }
                for several in zip(*rows, strict=True)
            }
            for kind, rows in kinds.items()
        }

    def _run(
        self,
        features: Features,
        count: int,
        frame: int,
        points: dict[str, Tensor] | None,
        outputs: dict[str, dict[int, Any]],
        *,
        backward: bool,
    ) -> Segmented:
        with _autocast(self._place):
            out = self._model.track_step(
                frame_idx=frame,
                is_init_cond_frame=points is not None,
                current_vision_feats=[level.expand(-1, count, -1) for level in features.levels],
                current_vision_pos_embeds=[features.position.expand(-1, count, -1)],
                feat_sizes=self._sizes,
                point_inputs=points,
                mask_inputs=None,
                output_dict=outputs,
                num_frames=FRAMES,
                track_in_reverse=backward,
            )
        self._memory_position = [level[:1] for level in out["maskmem_pos_enc"]]
        memory, pointers = out["maskmem_features"], out["obj_ptr"]
        remembered = tuple(Remembered(frame, memory[row], pointers[row]) for row in range(count))
        return Segmented(out["pred_masks"][:, 0], out["object_score_logits"][:, 0], remembered)


def _nothing() -> dict[str, dict[int, Any]]:
    return {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}


def _autocast(place: Place) -> AbstractContextManager[Any]:
    context: AbstractContextManager[Any] = torch.autocast(
        place.device, torch.bfloat16, enabled=place.is_half
    )
    return context

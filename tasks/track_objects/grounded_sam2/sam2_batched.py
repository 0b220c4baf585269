"""SAM 2 video that moves all objects on in one call, with a memory of bounded size each.

Takes features of a frame and what each object remembers, gives low-resolution mask logits and the
new memories. transformers' own `forward` runs the memory attention once an object, at batch 1, and
keeps the outputs of all frames; the weights and every layer are its own.

Objects remember different numbers of frames, so the batch is padded, and the cross attention is
told which keys are padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import (
    NO_OBJ_SCORE,
    Sam2VideoRoPEAttention,
    apply_rotary_pos_emb_2d,
    get_1d_sine_pe,
)

from earshot.tasks.track_objects.grounded_sam2.segmenter import (
    Features,
    Memory,
    Remembered,
    Segmented,
)

# With `compile_for_device` object counts are padded to one of these, or to a multiple of the last:
# each new count would be compiled anew.
BUCKETS = (1, 2, 4, 8, 16, 32)


class MaskedCrossAttention(Sam2VideoRoPEAttention):
    """The memory's cross attention, with padded keys left out; `key_mask` is (n, keys) bool."""

    key_mask: Tensor | None = None

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        num_k_exclude_rope: int = 0,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Return the attended (n, 1, queries, C) and no weights."""
        count, points = query.shape[:2]
        shape = (count * points, -1, self.num_attention_heads, self.head_dim)
        query = self.q_proj(query).view(*shape).transpose(1, 2)
        key = self.k_proj(key).view(*shape).transpose(1, 2)
        value = self.v_proj(value).view(*shape).transpose(1, 2)
        query, key = apply_rotary_pos_emb_2d(
            query,
            key,
            *position_embeddings,
            repeat_freqs_k=self.rope_k_repeat,
            num_k_exclude_rope=num_k_exclude_rope,
        )
        mask = None if self.key_mask is None else self.key_mask[:, None, None, :]
        out = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=self.scaling
        )
        out = out.transpose(1, 2).reshape(
            count, points, -1, self.num_attention_heads * self.head_dim
        )
        return self.o_proj(out), None


class BatchedSam2Video(Sam2VideoModel):
    """Sam2VideoModel with `encode`, `prompt` and `step`; loads the same checkpoints."""

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__(config)
        self._cross: list[MaskedCrossAttention] = []
        for layer in self.memory_attention.layers:
            width = layer.cross_attn_image.kv_in_dim
            layer.cross_attn_image = MaskedCrossAttention(config, width, rope_k_repeat=True)
        self._memory_position: Tensor | None = None
        self._is_compiled = False

    def compile_for_device(self) -> None:
        """Compile what runs on every frame; the first frames then take minutes."""
        self.vision_encoder.compile()
        self.memory_attention.compile()
        self.mask_decoder.compile()
        self._is_compiled = True

    @property
    def max_pointers(self) -> int:
        """Object pointers that an object remembers."""
        return int(self.config.max_object_pointers_in_encoder)

    @torch.inference_mode()
    def encode(self, pixels: Tensor) -> list[Features]:
        """Return the features of normalised frames (b, 3, S, S)."""
        out = self.get_image_features(pixels, return_dict=True)
        return [
            Features(
                tuple(level[:, at : at + 1] for level in out.fpn_hidden_states),
                out.fpn_position_encoding[-1][:, at % out.fpn_position_encoding[-1].shape[1]][
                    :, None
                ],
            )
            for at in range(len(pixels))
        ]

    @torch.inference_mode()
    def prompt(self, features: Features, boxes: Tensor, frame: int) -> Segmented:
        """Segment what is in boxes (n, 4), xyxy in parts of the frame."""
        corners = (boxes * self.image_size).reshape(-1, 1, 2, 2).to(self.dtype)
        labels = torch.tensor([2, 3], dtype=torch.int32, device=boxes.device)
        labels = labels.expand(len(boxes), 1, 2)
        top = features.levels[-1] + self.no_memory_embedding
        fused = self._as_map(top.expand(-1, len(boxes), -1), -1)
        return self._segment(features, fused, corners, labels, frame, len(boxes))

    @torch.inference_mode()
    def step(
        self, features: Features, memories: Sequence[Memory], frame: int, backward: bool = False
    ) -> Segmented:
        """Segment the objects that the memories are of; one call of the memory attention."""
        asked = len(memories)
        if self._is_compiled:
            memories = [*memories, *[memories[-1]] * (bucket_of(asked) - asked)]
        count = len(memories)
        memory, position, mask, pointers = self._keys(memories, frame, backward)
        for layer in self.memory_attention.layers:
            layer.cross_attn_image.key_mask = mask
        attended = self.memory_attention(
            current_vision_features=features.levels[-1].expand(-1, count, -1),
            current_vision_position_embeddings=features.position.expand(-1, count, -1),
            memory=memory.transpose(0, 1),
            memory_posision_embeddings=position.transpose(0, 1),
            num_object_pointer_tokens=pointers,
        )
        fused = attended[0].transpose(1, 2)
        fused = fused.reshape(count, -1, *self.backbone_feature_sizes[-1])
        nothing = torch.zeros(count, 1, 1, 2, dtype=fused.dtype, device=fused.device)
        labels = -torch.ones(count, 1, 1, dtype=torch.int32, device=fused.device)
        return self._segment(features, fused, nothing, labels, frame, asked)

    def _keys(
        self, memories: Sequence[Memory], frame: int, backward: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, int]:
        """Return keys (n, K, C), their positions, which are real, and how many last are pointers.

        Where all are real there is no mask: without one the device has its fastest attention.

        A prompted frame has the temporal place of the farthest frame, as in the original.
        """
        slots, offsets, pointers, deltas = [], [], [], []
        for memory in memories:
            near = [r for r in memory.recent if 0 < abs(frame - r.frame) < self.num_maskmem]
            slots.append([*(r.features for r in memory.prompts), *(r.features for r in near)])
            offsets.append([*(0 for _ in memory.prompts), *(abs(frame - r.frame) for r in near)])
            told = [r for r in memory.recent if 0 < abs(frame - r.frame) < self.max_pointers]
            past = [r for r in memory.prompts if backward == (r.frame > frame)]
            pointers.append([r.pointer for r in (*past, *told)])
            deltas.append([float(abs(frame - r.frame)) for r in (*past, *told)])
        features, has_slot = _padded(slots)
        tokens, has_pointer = _padded(pointers)
        count, _, area, width = features.shape
        device, dtype = features.device, self.dtype
        places = torch.tensor(_filled(offsets, 0), device=device) - 1
        temporal = self.memory_temporal_positional_encoding[places].reshape(count, -1, 1, width)
        assert self._memory_position is not None
        spatial = self._memory_position + temporal
        splits = tokens.shape[-1] // width
        tokens = tokens.reshape(count, -1, width)
        since = torch.tensor(_filled(deltas, 0.0), device=device) / (self.max_pointers - 1)
        if self.config.enable_temporal_pos_encoding_for_object_pointers:
            sine = get_1d_sine_pe(since, dim=self.hidden_dim).to(dtype)
            when = self.temporal_positional_encoding_projection_layer(sine)
        else:
            when = torch.zeros(*since.shape, width, device=device, dtype=dtype)
        when = when.repeat_interleave(splits, dim=1)
        mask = None
        if _differ(slots) or _differ(pointers):
            parts = [has_slot.repeat_interleave(area, 1), has_pointer.repeat_interleave(splits, 1)]
            mask = torch.cat(parts, dim=1)
        keys = torch.cat([features.flatten(1, 2).to(dtype), tokens.to(dtype)], dim=1)
        positions = torch.cat([spatial.flatten(1, 2).to(dtype), when], dim=1)
        return keys, positions, mask, tokens.shape[1]

    def _segment(
        self,
        features: Features,
        fused: Tensor,
        points: Tensor,
        labels: Tensor,
        frame: int,
        asked: int,
    ) -> Segmented:
        """Run decoder and memory encoder; the first `asked` objects count, others are padding."""
        count, prompted = len(fused), points.shape[2] if points.shape[2] > 1 else 0
        fine = [self._as_map(level, at) for at, level in enumerate(features.levels[:-1])]
        fine = [level.expand(count, -1, -1, -1) for level in fine]
        sparse, dense = self.prompt_encoder(
            input_points=points, input_labels=labels, input_boxes=None, input_masks=None
        )
        several = self._use_several(prompted)
        masks, quality, tokens, presence = self.mask_decoder(
            image_embeddings=fused,
            image_positional_embeddings=self.get_image_wide_positional_embeddings().repeat(
                count, 1, 1, 1
            ),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=fine,
        )
        rows = torch.arange(count, device=fused.device)
        best = quality[:, 0].argmax(dim=-1) if several else torch.zeros_like(rows)
        is_there = presence[:, 0] > 0
        logits = torch.where(is_there[:, :, None], masks[rows, 0, best], NO_OBJ_SCORE)
        token = tokens[rows, 0, best if tokens.shape[2] > 1 else 0]
        seen = is_there.to(token.dtype)
        pointers = seen * self.object_pointer_proj(token) + (1 - seen) * self.no_object_pointer
        size = (self.image_size, self.image_size)
        large = functional.interpolate(logits[:, None].float(), size=size, mode="bilinear")
        memory, position = self._encode_new_memory(
            current_vision_feats=features.levels[-1].expand(-1, count, -1),
            pred_masks_high_res=large.to(logits.dtype),
            object_score_logits=presence,
            is_mask_from_pts=prompted > 0,
        )
        self._memory_position = position[:, 0]
        remembered = tuple(Remembered(frame, memory[:, row], pointers[row]) for row in range(asked))
        return Segmented(logits[:asked], presence[:asked, 0, 0], remembered)

    def _use_several(self, points: int) -> bool:
        """Say whether the decoder is asked for several masks of which the best is taken."""
        config = self.config
        return bool(
            config.multimask_output_in_sam
            and (points or config.multimask_output_for_tracking)
            and config.multimask_min_pt_num <= points <= config.multimask_max_pt_num
        )

    def _as_map(self, level: Tensor, at: int) -> Tensor:
        """Turn (HW, n, C) into (n, C, H, W)."""
        height, width = self.backbone_feature_sizes[at]
        return level.permute(1, 2, 0).reshape(level.shape[1], -1, height, width)


def bucket_of(count: int) -> int:
    """Return the smallest of the buckets, or multiple of the last, that holds a count."""
    fitting = [size for size in BUCKETS if size >= count]
    return fitting[0] if fitting else -(-count // BUCKETS[-1]) * BUCKETS[-1]


def _differ(rows: Sequence[Sequence[Tensor]]) -> bool:
    return len({len(row) for row in rows}) > 1


def _padded(rows: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    """Stack lists of equal tensors to (n, longest, ...), and say (n, longest) which are real."""
    longest = max(len(row) for row in rows)
    nothing = torch.zeros_like(rows[0][0])
    flat = [each for row in rows for each in (*row, *[nothing] * (longest - len(row)))]
    real = [[at < len(row) for at in range(longest)] for row in rows]
    stacked = torch.stack(flat).reshape(len(rows), longest, *nothing.shape)
    return stacked, torch.tensor(real, device=nothing.device)


def _filled(rows: Sequence[Sequence[float]], value: float) -> list[list[float]]:
    longest = max(len(row) for row in rows)
    return [[*row, *[value] * (longest - len(row))] for row in rows]

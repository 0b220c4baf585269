"""Writes a Grounding DINO and a SAM 2 with random weights, of real size or tiny, as folders.

Real sizes are those of IDEA-Research/grounding-dino-base and facebook/sam2.1-hiera-large, by their
configurations; the vocabulary is made up. The object score is forced, so that masks are not empty.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    Sam2VideoConfig,
    Sam2VideoModel,
    SwinConfig,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

from tests.vision import tiny

SWIN_B = {
    "image_size": 384, "window_size": 12, "embed_dim": 128, "depths": [2, 2, 18, 2],
    "num_heads": [4, 8, 16, 32], "out_features": ["stage2", "stage3", "stage4"],
}  # fmt: skip
HIERA_L = {
    "model_type": "sam2_hiera_det_model", "hidden_size": 144, "num_attention_heads": 2,
    "blocks_per_stage": [2, 6, 36, 4], "embed_dim_per_stage": [144, 288, 576, 1152],
    "num_attention_heads_per_stage": [2, 4, 8, 16], "window_size_per_stage": [8, 4, 16, 8],
    "global_attention_blocks": [23, 33, 43],
    "window_positional_embedding_background_size": [7, 7],
}  # fmt: skip


def save_models(folder: Path, *, is_tiny: bool) -> tuple[Path, Path]:
    """Write both models; return the folders of detector and segmenter."""
    detector, segmenter = folder / "detector", folder / "segmenter"
    if is_tiny:
        return tiny.save_detector(detector), tiny.save_segmenter(segmenter)
    torch.manual_seed(0)
    detector.mkdir(parents=True)
    words = tiny.write_vocabulary(detector / "vocab.txt")
    tokenizer = BertTokenizerFast(str(detector / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(detector)
    GroundingDinoImageProcessorPil().save_pretrained(detector)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(**SWIN_B), text_config=BertConfig(vocab_size=len(words))
    )
    GroundingDinoForObjectDetection(config).save_pretrained(detector)
    vision = {"backbone_config": HIERA_L, "backbone_channel_list": [1152, 576, 288, 144]}
    model = Sam2VideoModel(Sam2VideoConfig(vision_config=vision))
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias += 8.0
    model.save_pretrained(segmenter)
    return detector, segmenter

"""Tiny models with random weights, saved as a user's folders are: seconds on a CPU.

They find and follow nothing in particular; what is tested on them is everything but accuracy.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Sam2VideoConfig,
    Sam2VideoModel,
    SwinConfig,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
    GroundingDinoImageProcessorPil,
)

WORDS = [
    *("a", "the", "red", "blue", "small", "dog", "cat", "man", "guitar", "bell", "train"),
    *("bird", "fire", "truck", "drum", "water"),
]
# Real sizes of positions at which the tiny models still have room.
SIZE = 128


def write_vocabulary(file: Path) -> list[str]:
    """Write and return the tokens of a tiny BERT."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *WORDS, ".", "?", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    file.write_text("\n".join(dict.fromkeys(words)))
    return words


def save_detector(folder: Path, seed: int = 0, kind: str = "grounding-dino") -> Path:
    """Write a detector with its tokenizer and image processor."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    words = write_vocabulary(vocabulary)
    tokenizer = BertTokenizerFast(str(vocabulary), do_lower_case=True)
    tokenizer.save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    GroundingDinoImageProcessorPil(size=size).save_pretrained(folder)
    common = {
        "backbone_config": SwinConfig(
            image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2],
            window_size=4, out_features=["stage2", "stage3", "stage4"],
        ),
        "text_config": BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=64,
        ),
        "num_queries": 12, "encoder_layers": 1, "encoder_ffn_dim": 16, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 16,
        "d_model": 32, "max_text_len": 32, "num_feature_levels": 4,
    }  # fmt: skip
    torch.manual_seed(seed)
    if kind == "grounding-dino":
        model = GroundingDinoForObjectDetection(GroundingDinoConfig(**common))
    else:
        model = MMGroundingDinoForObjectDetection(MMGroundingDinoConfig(**common))
    with torch.no_grad():
        # Scores then lie between 0.1 and 0.9, not at 0 and 1.
        model.model.decoder.layer_norm.weight.mul_(0.2)
    model.save_pretrained(folder)
    return folder


def save_segmenter(folder: Path, seed: int = 0) -> Path:
    """Write a SAM 2 video model whose objects are always there: its masks are not empty."""
    sizes = [[SIZE // 4] * 2, [SIZE // 8] * 2, [SIZE // 16] * 2]
    config = Sam2VideoConfig(
        image_size=SIZE,
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "image_size": [SIZE, SIZE],
                "hidden_size": 8, "num_attention_heads": 1, "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1] * 4,
                "window_size_per_stage": [8, 4, 14, 7], "global_attention_blocks": [3],
            },
            "backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": sizes,
            "fpn_hidden_size": 128,
        },
        prompt_encoder_config={"hidden_size": 128, "image_size": SIZE},
        mask_decoder_config={
            "hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
        memory_attention_hidden_size=128, memory_attention_num_layers=2,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=sizes[-1], memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64, mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=32,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Sam2VideoModel(config).eval()
    with torch.no_grad():
        for parameter in (
            model.no_memory_embedding,
            model.memory_temporal_positional_encoding,
            model.no_object_pointer,
            model.occlusion_spatial_embedding_parameter,
        ):
            parameter.normal_(std=0.5)
        for parameter in model.parameters():
            # The library's own 0.02 would leave every picture and every object alike.
            if parameter.dim() > 1 and parameter.shape[0] > 1:
                parameter.normal_(std=1.2 / parameter[0].numel() ** 0.5)
        model.mask_decoder.pred_obj_score_head.proj_out.bias += 8.0
    model.save_pretrained(folder)
    return folder

"""Small models of groundingdino-py and sam2 with random weights, saved as their authors do.

A checkpoint and its configuration lie in one folder; the text encoder beside the detector. The
backbone of Grounding DINO is fixed by name, so its checkpoint has 130 MB.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import OmegaConf
from transformers import BertConfig, BertTokenizerFast

from tests.vision.tiny import SIZE, write_vocabulary

DETECTOR = {
    "modelname": "groundingdino", "backbone": "swin_T_224_1k", "position_embedding": "sine",
    "pe_temperatureH": 20, "pe_temperatureW": 20, "return_interm_indices": [1, 2, 3],
    "backbone_freeze_keywords": None, "enc_layers": 1, "dec_layers": 1, "pre_norm": False,
    "dim_feedforward": 32, "hidden_dim": 256, "dropout": 0.0, "nheads": 2, "num_queries": 12,
    "query_dim": 4, "num_patterns": 0, "num_feature_levels": 4, "enc_n_points": 2,
    "dec_n_points": 2, "two_stage_type": "standard", "two_stage_bbox_embed_share": False,
    "two_stage_class_embed_share": False, "transformer_activation": "relu",
    "dec_pred_bbox_embed_share": True, "dn_box_noise_scale": 1.0, "dn_label_noise_ratio": 0.5,
    "dn_label_coef": 1.0, "dn_bbox_coef": 1.0, "embed_init_tgt": True, "dn_labelbook_size": 20,
    "max_text_len": 256, "text_encoder_type": "bert-base-uncased", "use_text_enhancer": True,
    "use_fusion_layer": True, "use_checkpoint": True, "use_transformer_ckpt": True,
    "use_text_cross_attention": True, "text_dropout": 0.0, "fusion_dropout": 0.0,
    "fusion_droppath": 0.1, "sub_sentence_present": True,
}  # fmt: skip


def save_detector(folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint, its configuration as Python, and the text encoder's folder."""
    from groundingdino.models import build_model
    from groundingdino.util.slconfig import SLConfig

    from earshot.tasks.track_objects.grounded_sam2_original.bert import AdaptedBert

    texts = folder / "bert-base-uncased"
    texts.mkdir(parents=True)
    words = write_vocabulary(texts / "vocab.txt")
    BertTokenizerFast(str(texts / "vocab.txt"), do_lower_case=True).save_pretrained(texts)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=64,
    )  # fmt: skip
    config.save_pretrained(texts)
    lines = [f"{name} = {value!r}" for name, value in DETECTOR.items()]
    (folder / "tiny.cfg.py").write_text("\n".join(lines))
    import groundingdino.models.GroundingDINO.groundingdino as module
    import groundingdino.util.get_tokenlizer as encoder
    from transformers import BertModel

    module.BertModelWarper = AdaptedBert
    encoder.get_pretrained_language_model = lambda _: BertModel(config)
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        model = build_model(SLConfig({**DETECTOR, "text_encoder_type": str(texts)}))
    with torch.no_grad():
        # Boxes that differ from one another, and scores between 0.1 and 0.9.
        model.bbox_embed[0].layers[-1].weight.normal_(std=0.05)
        model.transformer.decoder.norm.weight.mul_(0.1)
    # As published: from a model that was trained on several devices.
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"model": state}, folder / "tiny.pth")
    return folder


def save_segmenter(folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint and its configuration, cut down from the package's smallest."""
    import sam2
    from hydra.utils import instantiate

    folder.mkdir(parents=True, exist_ok=True)
    published = Path(sam2.__path__[0]) / "configs" / "sam2.1" / "sam2.1_hiera_t.yaml"
    config = OmegaConf.load(published)
    cells = [SIZE // 16] * 2
    smaller = {
        "image_size": SIZE,
        "image_encoder": {
            "trunk": {
                "embed_dim": 8, "stages": [1, 1, 2, 1], "global_att_blocks": [3],
                "window_spec": [8, 4, 14, 7],
            },
            "neck": {
                "position_encoding": {"num_pos_feats": 128}, "d_model": 128,
                "backbone_channel_list": [64, 32, 16, 8],
            },
        },
        "memory_attention": {
            "d_model": 128, "num_layers": 2,
            "layer": {
                "dim_feedforward": 32, "d_model": 128,
                "self_attention": {"embedding_dim": 128, "feat_sizes": cells},
                "cross_attention": {"embedding_dim": 128, "feat_sizes": cells},
            },
        },
        "memory_encoder": {
            "in_dim": 128, "mask_downsampler": {"embed_dim": 128},
            "fuser": {"layer": {"dim": 128}},
        },
    }  # fmt: skip
    config = OmegaConf.merge(config, {"model": smaller})
    OmegaConf.save(config, folder / "tiny.yaml")
    torch.manual_seed(seed)
    model = instantiate(config.model, _recursive_=True).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.shape[0] > 1:
                parameter.normal_(std=1.2 / parameter[0].numel() ** 0.5)
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += 8.0
    torch.save({"model": model.state_dict()}, folder / "tiny.pt")
    return folder


def look_closely() -> None:
    """Let the detector look at small pictures: at its own size a frame takes seconds on a CPU."""
    from earshot.tasks.track_objects.grounded_sam2_original import models

    models.VIEW = replace(models.VIEW, short_px=64, long_px=96)

"""Loads the models of groundingdino-py and sam2, once a process, without their global state.

A plain module of its own, so that a worker that runs many flows keeps its models. Hydra's global
configuration, which `import sam2` sets, is not used, and nothing but sam2's own classes is made.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from earshot.errors import ConfigError, MissingExtraError
from earshot.tasks.track_objects.grounded_sam2.batches import Batches
from earshot.tasks.track_objects.grounded_sam2.models import Models, Place, fitting
from earshot.tasks.track_objects.grounded_sam2_original.bert import AdaptedBert
from earshot.tasks.track_objects.grounded_sam2_original.checkpoints import (
    Checkpoint,
    settings_of,
)
from earshot.tasks.track_objects.grounded_sam2_original.models import (
    OriginalDetector,
    OriginalSegmenter,
)

# Of a checkpoint, what is there for training alone, or was saved by older versions of transformers.
SPARE = ("label_enc.weight", "bert.embeddings.position_ids")
# What `build_sam2_video_predictor` sets beside the file.
SAM2_OVERRIDES = {
    "binarize_mask_from_pts_for_mem_enc": True,
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
}


@lru_cache(maxsize=1)
def load(detector: Checkpoint, segmenter: Checkpoint, texts: Path, place: Place) -> Models:
    """Return the models of two checkpoints.

    Args:
        detector: of Grounding DINO.
        segmenter: of SAM 2.
        texts: folder with tokenizer and configuration of the text encoder.
        place: where they run.

    Raises:
        DeviceError: too little memory on the device.
        ConfigError: a checkpoint does not fit its configuration.
        MissingExtraError: torchvision does not fit torch.
    """
    batches = Batches()
    with fitting(place.device):
        finder = _build_detector(detector, texts).to(place.device).eval()
        follower = _build_segmenter(segmenter).to(place.device).eval()
    if place.is_compiled:
        follower.image_encoder.compile()
    detect = OriginalDetector(finder, batches.detected, place)
    return Models(detect, OriginalSegmenter(follower, place), batches)


def _build_detector(checkpoint: Checkpoint, texts: Path) -> Any:
    from transformers import AutoTokenizer, BertConfig, BertModel

    module = _import("groundingdino.models.GroundingDINO.groundingdino")
    encoder: Any = import_module("groundingdino.util.get_tokenlizer")
    module.BertModelWarper = AdaptedBert
    encoder.get_tokenlizer = partial(AutoTokenizer.from_pretrained, local_files_only=True)
    encoder.get_pretrained_language_model = lambda folder: BertModel(
        BertConfig.from_pretrained(folder)
    )
    settings = settings_of(checkpoint.config)
    # Both trade time for memory in training.
    settings |= {"use_checkpoint": False, "use_transformer_ckpt": False}
    settings["text_encoder_type"] = str(texts)
    args = import_module("groundingdino.util.slconfig").SLConfig(settings)
    model = module.build_groundingdino(args)
    weights = import_module("groundingdino.util.misc").clean_state_dict(_read(checkpoint))
    _fill(model, {k: v for k, v in weights.items() if k not in SPARE}, checkpoint, "detector")
    return model


def _build_segmenter(checkpoint: Checkpoint) -> Any:
    _import("sam2")
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    settings = OmegaConf.load(checkpoint.config)
    wanted = OmegaConf.merge(settings.model, SAM2_OVERRIDES)
    strange = [name for name in _targets(OmegaConf.to_container(wanted)) if name[:5] != "sam2."]
    if strange:
        raise ConfigError(
            f"track.segmenter: {checkpoint.config} asks for {strange[0]}; expected classes of the "
            "package sam2 alone"
        )
    model = instantiate(wanted, _recursive_=True)
    _fill(model, _read(checkpoint), checkpoint, "segmenter")
    return model


def _import(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            # Of their own code, and of what it calls by old names.
            warnings.simplefilter("ignore")
            return import_module(name)
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError(
            f"{name.split('.')[0]} can't be imported ({error}); where the message speaks of "
            "torchvision, install the torchvision of this torch: pip install torch torchvision"
        ) from error


def _read(checkpoint: Checkpoint) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(checkpoint.weights, map_location="cpu", weights_only=True)
    weights: dict[str, Any] = state.get("model", state)
    return weights


def _fill(model: Any, weights: dict[str, Any], checkpoint: Checkpoint, field: str) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        why = str(error).strip().splitlines()[1].strip()
        raise ConfigError(
            f"track.{field}: {checkpoint.weights} does not fit {checkpoint.config} ({why}); "
            "expected the configuration that it was trained with"
        ) from error


def _targets(settings: Any) -> Iterator[str]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            if key == "_target_":
                yield str(value)
            yield from _targets(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _targets(value)

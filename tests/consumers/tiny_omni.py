"""The processor of Qwen2.5-Omni around a tiny tokenizer, made offline; there is no model to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import (
    Qwen2_5OmniProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    WhisperFeatureExtractor,
)

from tiny_qwen import CHAT, SIZE, make_tokenizer

TOKENS = {
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
_SOUND = "{% elif part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}"


def save(folder: Path, texts: Sequence[str]) -> Path:
    """Write the processor to a folder and return it."""
    chat = CHAT.replace("{% else %}{{ part['text']", f"{_SOUND}{{{{ part['text']")
    for name, kind in (("image", "IMAGE"), ("video", "VIDEO")):
        chat = chat.replace(
            f"<|vision_start|><|{name}_pad|><|vision_end|>",
            f"<|vision_bos|><|{kind}|><|vision_eos|>",
        )
    processor = Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessor(size=SIZE),
        video_processor=Qwen2VLVideoProcessor(size=SIZE),
        feature_extractor=WhisperFeatureExtractor(feature_size=128),
        tokenizer=make_tokenizer(texts, TOKENS),
        chat_template=chat,
    )
    processor.save_pretrained(folder)
    return folder

"""Launch recipes beside the data: AVST-Zero's training as a shell script of verl or ms-swift.

Takes an export's configuration and the longest prompt, gives text. `make test-consumers` holds the
keys against the installed trainers. Source of the setting: https://github.com/zhlllau/R-AVST
(`run_grpo.sh`, `grpo_omni.sh`) and the defaults of the trl 0.15.1 that it pins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

import jinja2
import pyarrow as pa
import pyarrow.compute as pc

from earshot.prompts.tokens import count_tokens
from earshot.schemas.training import ExportConfig, ProfileName
from earshot.tasks.grpo.profiles import PROFILES

VERL = "launch_verl.sh"
MS_SWIFT = "launch_ms_swift.sh"
_AUDIO_TOKENS_A_SECOND = 25
_CHAT_TOKENS = 64
_MARGIN = 1.25
_ROUND = 256


@dataclass(frozen=True)
class Setting:
    """What differs between AVST-Zero and AVST-Zero-Omni; both have G = 6 and lr 1e-6.

    Attributes:
        beta: weight of the divergence from the reference model.
        schedule: of the learning rate, down to 0 at the end.
        prompts: an update, as its script starts it.
        text_tokens, completion_tokens: of a prompt and of a completion, at most.
        frames: a second, and at how many tokens; empty: its script leaves it to others.
    """

    model: str
    beta: float
    schedule: str
    weight_decay: float
    max_grad_norm: float
    prompts: str
    text_tokens: int
    completion_tokens: int
    frames: str


_ZERO = ("4", 512, 1024, "one in 4 s of 128 to 768")
SETTINGS: Mapping[ProfileName, Setting] = MappingProxyType(
    {
        "qwen2_5_vl": Setting("Qwen/Qwen2.5-VL-7B-Instruct", 0.04, "linear", 0.0, 1.0, *_ZERO),
        "qwen3_vl": Setting("Qwen/Qwen3-VL-8B-Instruct", 0.04, "linear", 0.0, 1.0, *_ZERO),
        "qwen2_5_omni": Setting(
            "Qwen/Qwen2.5-Omni-7B", 0.001, "cosine", 0.01, 5.0, "8 a process", 2048, 2048, ""
        ),
    }
)


def prompt_tokens(rows: pa.Table, *, hears: bool = False) -> int:
    """Return at least how many tokens the longest prompt of `TrainingRow`s has.

    Rather too many, for trainers refuse longer ones: the longest text, the largest film and the
    longest sound are added up, whichever rows they are of.
    """
    letters = pc.add(pc.utf8_length(rows["system_prompt"]), pc.utf8_length(rows["question"]))
    at = pc.index(letters, pc.max(letters)).as_py()
    text = sum(count_tokens(rows[name][at].as_py()) for name in ("system_prompt", "question"))
    length_s = pc.max(rows["duration_s"]).as_py()
    sound = int(length_s * _AUDIO_TOKENS_A_SECOND) + 1 if hears else 0
    return int(_MARGIN * (text + _CHAT_TOKENS)) + int(pc.max(rows["vision_tokens"]).as_py()) + sound


def verl(config: ExportConfig, longest: int) -> str:
    """Return the script for verl; `longest` is the largest `prompt_tokens`."""
    return _render(VERL, config, longest)


def ms_swift(config: ExportConfig, longest: int) -> str:
    """Return the script for ms-swift; `longest` is the largest `prompt_tokens`."""
    return _render(MS_SWIFT, config, longest)


def _render(name: str, config: ExportConfig, longest: int) -> str:
    text = resources.files("earshot.tasks.grpo.dialects").joinpath(f"{name}.j2").read_text("utf-8")
    profile = PROFILES[config.profile]
    made: str = jinja2.Template(
        text, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    ).render(
        config=config,
        setting=SETTINGS[config.profile],
        patch=profile.factor // 2,
        longest=-(-longest // _ROUND) * _ROUND,
    )
    return made

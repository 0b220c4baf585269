"""ms-swift's JSON Lines, and the environment variables in which it takes the budget of frames.

https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Customization/Custom-dataset.md

{"messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "<video>\\nWhen
...?"}], "videos": ["/media/v1.mp4"], "task": "temporal", "truth_json": "{...}", ...}
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from earshot.schemas.training import ExportConfig, TrainingRow
from earshot.tasks.grpo.dialects import recipes
from earshot.tasks.grpo.dialects.made import Batch, messages, reply, write_script
from earshot.tasks.grpo.profiles import PROFILES, bounds

_COLUMNS = (
    "sample_id", "video_id", "task", "truth_json", "box_space", "model_width", "model_height",
    "native_fps", "frame_indices",
)  # fmt: skip
ENVIRONMENT = "media.env"


def write(batches: Iterable[Batch], out: Path, config: ExportConfig) -> list[str]:
    """Write `<split>.jsonl`, `media.env` and, for GRPO, the launch recipe; return their names."""
    name = f"{config.split}.jsonl"
    longest = 0
    with (out / name).open("w", encoding="utf-8") as file:
        for batch in batches:
            for row in batch.rows:
                file.write(json.dumps(_row(row, batch, config), ensure_ascii=False) + "\n")
            hears = PROFILES[config.profile].hears
            longest = max(longest, recipes.prompt_tokens(batch.table, hears=hears))
    (out / ENVIRONMENT).write_text(environment(config), encoding="utf-8")
    names = [name, ENVIRONMENT]
    if config.objective == "grpo":
        names.append(write_script(out / recipes.MS_SWIFT, recipes.ms_swift(config, longest)))
    return names


def environment(config: ExportConfig) -> str:
    """Return the budget as lines of a shell: ms-swift has it for a run, not for a row."""
    profile = PROFILES[config.profile]
    limits = bounds(profile, config)
    values = {
        "FPS": f"{config.fps:g}",
        "FPS_MIN_FRAMES": config.min_frames,
        "FPS_MAX_FRAMES": config.max_frames,
        # By model and version of its reader it is the one or the other pair.
        "VIDEO_MIN_PIXELS": limits.min_pixels,
        "VIDEO_MAX_PIXELS": limits.max_pixels,
        "VIDEO_MIN_TOKEN_NUM": config.min_frame_tokens,
        "VIDEO_MAX_TOKEN_NUM": config.frame_tokens,
    }
    told = "# The truth's boxes hold for frames of these sizes: source this before `swift rlhf`.\n"
    return told + "".join(f"export {name}={value}\n" for name, value in values.items())


def _row(row: TrainingRow, batch: Batch, config: ExportConfig) -> dict[str, Any]:
    audios = [batch.sounds[row.video_id]] if row.video_id in batch.sounds else []
    said = messages(row, "<video><audio>" if audios else "<video>")
    made: dict[str, Any] = {
        "messages": [*said, reply(row)] if config.objective == "sft" else said,
        "videos": [row.video_path],
    }
    if PROFILES[config.profile].hears:
        made["audios"] = audios
    return {**made, **{name: getattr(row, name) for name in _COLUMNS}}

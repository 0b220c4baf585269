"""ms-swift's JSON Lines, and the environment variables in which it takes the budget of frames.

https://github.com/modelscope/ms-swift/blob/main/docs/source_en/Customization/Custom-dataset.md

{"messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "<video>\\nWhen
...?"}], "videos": ["/media/v1.mp4"], "task": "temporal", "truth_json": "{...}", ...}
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from earshot.schemas.base import STRINGS
from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.dialects import recipes
from earshot.tasks.grpo.dialects.made import Batch, asked_lists, write_script
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
    with duckdb.connect(config={"threads": 1}) as db, (out / name).open("wb") as file:
        for batch in batches:
            file.write(_json_lines(db, _table(batch, config)))
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


def _table(batch: Batch, config: ExportConfig) -> pa.Table:
    rows = batch.table
    sounds = [batch.sounds.get(video_id) for video_id in rows["video_id"].to_pylist()]
    tags = pa.array(["<video>\n" if sound is None else "<video><audio>\n" for sound in sounds])
    films = pa.array([[path] for path in rows["video_path"].to_pylist()], STRINGS)
    columns = {
        "messages": asked_lists(rows, tags, with_answer=config.objective == "sft"),
        "videos": films,
    }
    if PROFILES[config.profile].hears:
        heard = [[] if sound is None else [sound] for sound in sounds]
        columns["audios"] = pa.array(heard, STRINGS)
    return pa.table({**columns, **{name: rows[name] for name in _COLUMNS}})


def _json_lines(db: duckdb.DuckDBPyConnection, table: pa.Table) -> bytes:
    """Return a JSON object a row, with the columns as keys in their order."""
    fields = ", ".join(f"'{name}': {name}" for name in table.column_names)
    lines = db.from_arrow(table).project(f"to_json({{{fields}}})").to_arrow_table()
    return b"".join(line.as_buffer().to_pybytes() + b"\n" for line in lines.column(0))

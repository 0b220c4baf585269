"""verl's Parquet: `RLHFDataset` for GRPO, `MultiTurnSFTDataset` for supervised rows.

https://github.com/volcengine/verl/blob/main/verl/utils/dataset/rl_dataset.py (0.9.1), a row:

{"data_source": "earshot/temporal", "prompt": [{"role": "system", "content": "..."}, {"role":
"user", "content": "<video>\\nWhen ...?"}], "videos": [{"video": "/media/v1.mp4", "fps": 2.0,
"min_frames": 40, "max_frames": 40, "min_pixels": 12544, "max_pixels": 200704}], "ability": ...,
"reward_model": {"style": "rule", "ground_truth": "{...}"}, "extra_info": {"index": 0, ...}}
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.schemas.base import STRINGS, list_of, req
from earshot.schemas.training import ExportConfig, TrainingRow
from earshot.tasks.grpo.dialects.made import MESSAGES, Batch, messages, reply
from earshot.tasks.grpo.profiles import PROFILES, Bounds, bounds

ABILITY = "audio_visual_spatio_temporal"
_INT = pa.int64()
# Every key on every row: a reader tests for the key, and Arrow fills in what one row lacks.
_VIDEO = pa.struct(
    [
        req("video", pa.string()),
        req("fps", pa.float64()),
        *(req(name, _INT) for name in ("min_frames", "max_frames", "min_pixels", "max_pixels")),
    ]
)
_EXTRA = pa.struct(
    [
        req("index", _INT),
        req("split", pa.string()),
        req("sample_id", pa.string()),
        req("video_id", pa.string()),
        req("task", pa.string()),
        req("box_space", pa.string()),
        req("model_width", _INT),
        req("model_height", _INT),
        req("native_fps", pa.float64()),
        req("frame_indices", list_of(_INT)),
    ]
)
_REWARD = pa.struct([req("style", pa.string()), req("ground_truth", pa.string())])


def schema(config: ExportConfig) -> pa.Schema:
    """Return the columns; `audios` where the model hears, since a reader takes none for a fault."""
    media = [req("videos", list_of(_VIDEO))]
    if PROFILES[config.profile].hears:
        media.append(req("audios", STRINGS))
    if config.objective == "sft":
        return pa.schema([req("messages", MESSAGES), *media, req("extra_info", _EXTRA)])
    return pa.schema(
        [
            req("data_source", pa.string()),
            req("prompt", MESSAGES),
            *media,
            req("ability", pa.string()),
            req("reward_model", _REWARD),
            req("extra_info", _EXTRA),
        ]
    )


def write(batches: Iterable[Batch], out: Path, config: ExportConfig) -> list[str]:
    """Write `<split>.parquet`; return its name."""
    name = f"{config.split}.parquet"
    columns, limits = schema(config), bounds(PROFILES[config.profile], config)
    with pq.ParquetWriter(out / name, columns, compression="zstd") as file:
        for batch in batches:
            rows = [
                _row(row, batch.first + at, batch, config, limits)
                for at, row in enumerate(batch.rows)
            ]
            file.write_table(pa.Table.from_pylist(rows, schema=columns))
    return [name]


def _row(
    row: TrainingRow, index: int, batch: Batch, config: ExportConfig, limits: Bounds
) -> dict[str, Any]:
    shown = len(row.frame_indices)
    video = {
        "video": row.video_path,
        "fps": config.fps,
        # Both bounds are the number itself: the reader's own count hangs on its idea of the fps.
        "min_frames": shown,
        "max_frames": shown,
        "min_pixels": limits.min_pixels,
        "max_pixels": limits.max_pixels,
    }
    audios = [batch.sounds[row.video_id]] if row.video_id in batch.sounds else []
    said = messages(row, "<video><audio>" if audios else "<video>")
    made: dict[str, Any] = {
        "videos": [video],
        "extra_info": {
            "index": index,
            **{name: getattr(row, name) for name in _EXTRA.names if name != "index"},
        },
    }
    if PROFILES[config.profile].hears:
        made["audios"] = audios
    if config.objective == "sft":
        return {**made, "messages": [*said, reply(row)]}
    return {
        **made,
        "data_source": f"earshot/{row.task}",
        "prompt": said,
        "ability": ABILITY,
        "reward_model": {"style": "rule", "ground_truth": row.truth_json},
    }

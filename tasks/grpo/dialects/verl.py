"""verl's Parquet: `RLHFDataset` for GRPO, `MultiTurnSFTDataset` for supervised rows.

https://github.com/volcengine/verl/blob/main/verl/utils/dataset/rl_dataset.py (0.9.1), a row:

{"data_source": "earshot/temporal", "prompt": [{"role": "system", "content": "..."}, {"role":
"user", "content": "<video>\\nWhen ...?"}], "images": [], "audios": [], "videos": [{"video":
"/media/v1.mp4", "fps": 2.0, "min_frames": 40, "max_frames": 40, "min_pixels": 12544, "max_pixels":
200704}], "ability": ..., "reward_model": {"style": "rule", "ground_truth": "{...}"}, "extra_info":
{"index": 0, ...}}
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from earshot.schemas.base import STRINGS, list_of, req
from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.dialects import recipes
from earshot.tasks.grpo.dialects.made import (
    MESSAGES,
    Batch,
    asked_lists,
    struct_column,
    write_script,
)
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
    """Return the columns: all kinds of media on every row, an empty list where there is none."""
    media = [req("images", STRINGS), req("videos", list_of(_VIDEO)), req("audios", STRINGS)]
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
    """Write `<split>.parquet` and, for GRPO, the launch recipe; return their names."""
    name = f"{config.split}.parquet"
    longest = 0
    columns, limits = schema(config), bounds(PROFILES[config.profile], config)
    with pq.ParquetWriter(out / name, columns, compression="zstd") as file:
        for batch in batches:
            file.write_table(_table(batch, config, limits, columns))
            longest = max(longest, recipes.prompt_tokens(batch.table))
    if config.objective == "sft":
        return [name]
    return [name, write_script(out / recipes.VERL, recipes.verl(config, longest))]


def _table(batch: Batch, config: ExportConfig, limits: Bounds, schema: pa.Schema) -> pa.Table:
    rows, count = batch.table, batch.table.num_rows
    is_sft = config.objective == "sft"
    none = pa.array([[]] * count, STRINGS)
    shown = pc.list_value_length(rows["frame_indices"])
    video = {
        "video": rows["video_path"],
        "fps": pa.array(np.full(count, config.fps)),
        # Both bounds are the number itself: the reader's own count hangs on its idea of the fps.
        "min_frames": shown,
        "max_frames": shown,
        "min_pixels": pa.array(np.full(count, limits.min_pixels)),
        "max_pixels": pa.array(np.full(count, limits.max_pixels)),
    }
    index = pa.array(np.arange(batch.first, batch.first + count))
    extra = {"index": index, **{name: rows[name] for name in _EXTRA.names if name != "index"}}
    reward = {"style": pa.array(["rule"] * count), "ground_truth": rows["truth_json"]}
    columns = {
        "messages" if is_sft else "prompt": asked_lists(rows, "<video>\n", with_answer=is_sft),
        "videos": pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1), pa.int32()),
            struct_column(_VIDEO, video),
            list_of(_VIDEO),
        ),
        "images": none,
        "audios": none,
        "data_source": pc.binary_join_element_wise("earshot/", rows["task"], ""),
        "ability": pa.array([ABILITY] * count),
        "reward_model": struct_column(_REWARD, reward),
        "extra_info": struct_column(_EXTRA, extra),
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)

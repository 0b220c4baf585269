"""TRL's Parquet: the frames of a video as images, their times in the text; it has no video path.

https://huggingface.co/docs/trl/grpo_trainer (1.16), a row: `prompt` (messages), `images` (embedded
JPEG, a `datasets.Image` feature), and columns for the rewards. A `{"type": "video"}` part is shown
to `generate` and left out of the log-probabilities without a word, so none is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from earshot.schemas.base import list_of, req
from earshot.schemas.training import ExportConfig
from earshot.tasks.grpo.dialects.made import MESSAGES, Batch, asked_lists, message_lists

# As `datasets` stores its feature, to the field: another type is no image, whatever is told.
_IMAGES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
_PLAIN = [
    req("sample_id", pa.string()),
    req("video_id", pa.string()),
    req("task", pa.string()),
    req("truth_json", pa.string()),
    req("box_space", pa.string()),
    req("model_width", pa.int32()),
    req("model_height", pa.int32()),
    req("native_fps", pa.float64()),
    req("frame_indices", list_of(pa.int32())),
]


def schema(config: ExportConfig) -> pa.Schema:
    """Return the columns, with the features of `datasets` in the metadata: bytes are images."""
    said = [req("prompt", MESSAGES)]
    if config.objective == "sft":
        said.append(req("completion", MESSAGES))
    columns = [*said, pa.field("images", _IMAGES), *_PLAIN]
    features = {column.name: _feature(column.type) for column in columns}
    features["images"] = {"feature": {"_type": "Image"}, "_type": "List"}
    told = json.dumps({"info": {"features": features}})
    return pa.schema(columns, metadata={"huggingface": told})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """Return the `datasets` feature of an Arrow type."""
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        fields = (kind.field(at) for at in range(kind.num_fields))
        return {field.name: _feature(field.type) for field in fields}
    names = {pa.float64(): "float64"}
    return {"dtype": names.get(kind, str(kind)), "_type": "Value"}


def write(batches: Iterable[Batch], out: Path, config: ExportConfig) -> list[str]:
    """Write `<split>.parquet`; return its name."""
    name = f"{config.split}.parquet"
    columns = schema(config)
    with pq.ParquetWriter(out / name, columns, compression="zstd") as file:
        for batch in batches:
            file.write_table(_table(batch, columns))
    return [name]


def _table(batch: Batch, schema: pa.Schema) -> pa.Table:
    rows = batch.table
    shown = zip(rows["video_id"].to_pylist(), rows["frame_indices"].to_pylist(), strict=True)
    columns = {
        # The trainer itself puts a placeholder a picture in front of the question.
        "prompt": asked_lists(rows, ""),
        "completion": message_lists(("assistant", rows["answer"])),
        "images": pa.array([_images(batch, *one) for one in shown], _IMAGES),
        **{field.name: rows[field.name] for field in _PLAIN},
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _images(batch: Batch, video_id: str, frame_indices: list[int]) -> list[dict[str, Any]]:
    return [
        {"bytes": path.read_bytes(), "path": f"{video_id}-{number}.jpg"}
        for number, path in zip(frame_indices, batch.frames[video_id], strict=True)
    ]

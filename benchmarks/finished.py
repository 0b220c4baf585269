"""Writes the workspace that a build of many videos with stand-in stages leaves, in a few minutes.

Takes a number of videos; the states, their keys, the files of each part and the order of commits
are as a build's, the other tables are empty and nothing is forced to the disk. For what reads
states alone: `plan` and `status`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.stand_in import STAND_INS, write_manifest
from earshot.schemas.arrow import table_schema
from earshot.schemas.base import digest_of, req, sha256_hex
from earshot.schemas.config import Config
from earshot.schemas.ledger import LedgerRow
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.state import StageState
from earshot.schemas.tube import TubeMasks
from earshot.store.keys import VIEW_HEX, Key, KeyMaker, View
from earshot.store.parts import commit_tables
from earshot.store.snapshot import Snapshot
from earshot.store.stage import Stage, StageInput
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import new_session

RUN_ID = "20260101T000000-000000"


def write_finished(folder: Path, videos: int) -> None:
    """Write `folder`/input.jsonl and a workspace `folder`/w in which each stage is done with all.

    The parts are as large as a build's batches; `earshot gc` leaves far larger ones.
    """
    write_manifest(folder / "input.jsonl", videos)
    workspace = Workspace.open(folder / "w", create=True)
    session = new_session(workspace, str(folder / "input.jsonl"), Config(), stages=STAND_INS)
    snapshot, names = session.snapshot, sorted(session.manifest.entries)
    makers = {name: KeyMaker(stage) for name, stage in snapshot.stages.items()}
    real_fsync, os.fsync = os.fsync, lambda _: None
    try:
        for name, stage in snapshot.stages.items():
            per_part = getattr(session.build.config.run, stage.batch)
            for number, at in enumerate(range(0, videos, per_part), start=1):
                tables = _tables(snapshot, stage, makers[name], names[at : at + per_part])
                commit_tables(workspace, name, f"{number:08d}-{sha256_hex(b'x')[:8]}", tables)
    finally:
        os.fsync = real_fsync


def _tables(
    snapshot: Snapshot, stage: Stage[Any], maker: KeyMaker, block: Sequence[str]
) -> dict[str, pa.Table]:
    columns = [
        np.frombuffer(bytes.fromhex("".join(_digests(snapshot, view, block))), np.uint8)
        for view in maker.views
    ]
    inputs, made = maker.many(
        [column.reshape(len(block), -1) for column in columns],
        [_outside(stage, video_id) for video_id in block],
    )
    keys = [maker.whole(inputs[at : at + 32], made[at : at + 32]) for at in range(0, len(made), 32)]
    tables = {
        StageState.TABLE: _filled(StageState, _state(snapshot, stage, keys, block), len(block)),
        "ledger": _filled(LedgerRow, _ledger(snapshot, stage, keys, block), len(block)),
    }
    for kind in stage.writes:
        if kind is TubeMasks:  # kept where they are asked for alone
            continue
        extra = [req("stage_key", pa.string())]
        if "video_id" not in kind.model_fields:
            extra.append(req("video_id", pa.string()))
        tables[kind.TABLE] = table_schema(kind, extra).empty_table()
    return tables


def _state(
    snapshot: Snapshot, stage: Stage[Any], keys: Sequence[Key], block: Sequence[str]
) -> dict[str, Any]:
    views = snapshot.views[stage.name]
    columns = [_digests(snapshot, view, block) for view in views]
    return {
        **_both(snapshot, stage, keys, block),
        "stage_version": keys[0].stage_version,
        "config_digest": keys[0].config_digest,
        "prompt_digest": keys[0].prompt_digest,
        "model_digest": keys[0].model_digest,
        "input_digest": [key.input_digest for key in keys],
        "n_items": 3,
        "item_counts": "done=3",
        "seconds": 0.001,
        "run_id": RUN_ID,
        "views": " ".join(view.name for view in views),
        "view_digests": ["".join(each) for each in zip(*columns, strict=True)] if columns else "",
    }


def _ledger(
    snapshot: Snapshot, stage: Stage[Any], keys: Sequence[Key], block: Sequence[str]
) -> dict[str, Any]:
    both = _both(snapshot, stage, keys, block)
    return {**both, "item_kind": "video", "item_id": list(block), "seconds": 0.001}


def _both(
    snapshot: Snapshot, stage: Stage[Any], keys: Sequence[Key], block: Sequence[str]
) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "video_id": list(block),
        "key": [key.key for key in keys],
        "status": "done",
        "attempts": 1,
        "build_id": snapshot.build.build_id,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "digest": "0" * 64,
    }


def _filled(kind: type[Any], values: dict[str, Any], rows: int) -> pa.Table:
    """Return a table of a record's columns; one value stands for all rows, no value for null."""
    schema = table_schema(kind)
    arrays = []
    for field in schema:
        value = values.get(field.name)
        arrays.append(pa.array(value if isinstance(value, list) else [value] * rows, field.type))
    return pa.table(arrays, schema=schema)


def _digests(snapshot: Snapshot, view: View, block: Sequence[str]) -> list[str]:
    """Return made-up digests of rows, real ones of the manifest's."""
    if view.kind is ManifestEntry:
        return [view.digest([snapshot.entries[video_id]]) for video_id in block]
    return [sha256_hex(f"{view.name}/{video_id}".encode())[:VIEW_HEX] for video_id in block]


def _outside(stage: Stage[Any], video_id: str) -> str:
    if type(stage).outside is Stage.outside:
        return ""
    return digest_of(stage.outside(StageInput(video_id, {})))

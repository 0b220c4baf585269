"""Neutral training rows of a release's questions, or why a question is none.

Takes a release and its footage; gives rows in the release's order, a chunk at a time, and a dropped
row for every other question: in = rows + dropped. Videos are opened one after the other, threads
make the rows about them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from earshot.errors import InputError, ItemError
from earshot.schemas.ledger import REASONS
from earshot.schemas.training import DroppedRow, ExportConfig
from earshot.tasks.grpo.ahead import ahead
from earshot.tasks.grpo.difficulty import Known
from earshot.tasks.grpo.footage import Footage
from earshot.tasks.grpo.halves import OWN, VIDEO, common_half
from earshot.tasks.grpo.maker import Maker
from earshot.tasks.grpo.ordinary import ordinary_rows
from earshot.tasks.releases.in_order import ByVideo, read_batches
from earshot.tasks.releases.release import Release

CHUNK_ROWS = 8_192
"""Questions that are in memory at a time."""
_COLUMNS = (
    "question_id", "video_id", "split", "task", "branch", "question", "options", "truth_json",
)  # fmt: skip

Opened = Mapping[str, Maker | ItemError]
# Questions, which of the videos each is about, these videos, and where rollouts are known of it.
_Asked = tuple[pa.Table, pa.Array, Opened, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Chunk:
    """Some of an export's rows, and what was dropped between them.

    Attributes:
        rows: own halves (`OWN`), each with its row of `common`.
        common: what a video gives to its rows (`COMMON`).
    """

    rows: pa.Table
    common: pa.RecordBatch
    dropped: list[DroppedRow]


class RowMaker:
    """Makes the rows of the questions of a split.

    Args:
        release: to export.
        footage: its videos.
        config: how.
        out: folder of the export; sound goes to `out/audio`.
        scratch: folder for frames that are embedded later.
        known: what stored rollouts say.

    Attributes:
        frames: video_id -> JPEG files of its seen frames, where the dialect shows images.
        sounds: video_id -> name of its WAV file in the export, where the dialect carries sound.
        measured: questions that have stored rollouts.
    """

    def __init__(
        self,
        release: Release,
        footage: Footage,
        config: ExportConfig,
        out: Path,
        scratch: Path,
        known: Known,
    ) -> None:
        self.frames: dict[str, list[Path]] = {}
        self.sounds: dict[str, str] = {}
        self.measured = 0
        self._release, self._footage, self._config, self._known = release, footage, config, known
        self._out, self._scratch = out, scratch
        self._splits = ByVideo(release, "splits", ("split",))
        self._last: dict[str, Maker | ItemError] = {}
        self._lost: dict[str, ItemError] = {}
        self._written = 0

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows.

        Raises:
            InputError: a video is at fault and `on_fault` is stop.
            ReleaseError: the release has no such split.
        """
        for asked, opened, chunk in ahead(self._asked(), self._chunk):
            whole = self._with_media(chunk, opened)
            if len(whole.dropped) + whole.rows.num_rows != asked.num_rows:
                raise RuntimeError(f"{asked.num_rows} questions went in, others came out")
            yield whole

    def _asked(self) -> Iterator[_Asked]:
        """Yield questions with their videos opened."""
        for asked in read_batches(self._release, self._config.split, _COLUMNS, CHUNK_ROWS):
            coded = asked["video_id"].combine_chunks().dictionary_encode()
            at = self._known.positions(asked["question_id"])
            self.measured += int((at >= 0).sum())
            yield asked, coded.indices, self._open(coded.dictionary.to_pylist()), at

    def _chunk(self, given: _Asked) -> tuple[pa.Table, Opened, Chunk]:
        """Return the rows of questions; changes nothing of this object, for threads call it."""
        asked, of_row, opened, at = given
        makers = [maker for maker in opened.values() if isinstance(maker, Maker)]
        place = {maker: number for number, maker in enumerate(makers)}
        numbers, fast = ordinary_rows(asked, list(opened.values()), of_row, self._known, at)
        dropped: list[DroppedRow] = []
        made: list[dict[str, Any]] = []
        kept: list[int] = []
        others = np.setdiff1d(np.arange(asked.num_rows), numbers)
        for number, question in zip(others, asked.take(others).to_pylist(), strict=True):
            maker = opened[question["video_id"]]
            if isinstance(maker, ItemError):
                dropped.append(_dropped(question, maker))
                continue
            try:
                hard = self._known.find(question["question_id"])
                row = maker.row(question, hard).model_dump()
                made.append({**row, VIDEO: place[maker]})
                kept.append(int(number))
            except ItemError as fault:
                dropped.append(_dropped(question, fault))
        slow = pa.Table.from_pylist(made, schema=OWN)
        rows = slow if not len(numbers) else fast
        if len(numbers) and made:
            order = np.argsort(np.concatenate([numbers, kept]), kind="stable")
            rows = pa.concat_tables([fast, slow]).combine_chunks().take(order)
        return asked, opened, Chunk(rows, common_half(makers), dropped)

    def _open(self, ids: list[str]) -> Opened:
        """Return each video opened, or why it is not; the last ones may be asked for again."""
        self._footage.load(ids)
        splits = self._splits.find(ids)
        found: dict[str, Maker | ItemError] = {}
        for video_id in ids:
            if video_id in self._last:
                found[video_id] = self._last[video_id]
                continue
            # Whatever split a question of its says.
            if splits.get(video_id, {}).get("split") == "test":
                found[video_id] = ItemError("evaluation_only", f"{video_id} is in the test split")
                continue
            try:
                clip = self._footage.open(video_id)
                found[video_id] = Maker(self._release, clip, self._config)
            except ItemError as fault:
                _stop(fault, video_id, self._config)
                found[video_id] = fault
        self._last = dict(list(found.items())[-1:])
        return found

    def _with_media(self, chunk: Chunk, opened: Opened) -> Chunk:
        """Write the media of the rows; where that fails the rows of the video are dropped."""
        rows, dropped = chunk.rows, chunk.dropped
        for video_id, maker in opened.items():
            if isinstance(maker, ItemError) or not (maker.has_sound or maker.has_images):
                continue
            is_its = pc.equal(rows["video_id"], video_id)
            if not pc.any(is_its).as_py() or video_id in self.frames or video_id in self.sounds:
                continue
            try:
                if video_id not in self._lost:
                    self._write_media(video_id, maker)
            except ItemError as fault:
                _stop(fault, video_id, self._config)
                self._lost[video_id] = fault
            if video_id in self._lost:
                lost = rows.filter(is_its).select(["sample_id", "video_id", "task"])
                lost = lost.rename_columns(["question_id", "video_id", "task"])
                dropped += [_dropped(row, self._lost[video_id]) for row in lost.to_pylist()]
                rows = rows.filter(pc.invert(is_its))
        return Chunk(rows, chunk.common, dropped)

    def _write_media(self, video_id: str, maker: Maker) -> None:
        number = f"{self._written:06d}"
        self._written += 1
        if maker.has_images:
            self.frames[video_id] = self._footage.write_frames(
                maker.clip, maker.seen, self._scratch / number
            )
        else:
            name = f"audio/{number}.wav"
            self._footage.write_sound(maker.clip, self._out / name)
            self.sounds[video_id] = name


def _stop(fault: ItemError, video_id: str, config: ExportConfig) -> None:
    if config.on_fault == "stop" and REASONS[fault.code].status == "quarantined":
        raise InputError(
            f"{video_id}: {fault} ({fault.code}). {REASONS[fault.code].remedy} Or leave out such "
            "videos with --on-fault drop"
        ) from fault


def _dropped(question: dict[str, Any], fault: ItemError) -> DroppedRow:
    return DroppedRow(
        sample_id=question["question_id"],
        video_id=question["video_id"],
        task=question["task"],
        status=REASONS[fault.code].status,
        reason_code=fault.code,
        message=str(fault),
    )

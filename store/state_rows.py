"""The rows of a stage's states in memory: one NumPy record each, some 200 bytes.

A hundred thousand videos have a million states: as Python objects they took a kilobyte each, and
as many seconds to make as `plan` and `status` may take. Takes Arrow tables, gives arrays; opens no
file.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from earshot.store.parts import Part

NOTHING = -1
TEXTS = (
    "stage_version",
    "config_digest",
    "prompt_digest",
    "model_digest",
    "status",
    "reason_code",
    "item_counts",
    "run_id",
    "views",
)
"""Fields with few different values: a row has their numbers among `Texts`."""
_DIGESTS = ("key", "input_digest", "view_digests")
_NUMBERS = {"n_items": "<i4", "attempts": "<i4", "seconds": "<f8"}
_SPARE = 1.25


class VideoNumbers:
    """Numbers for video ids, the manifest's first and in order: by them sorted is by id sorted."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._ids = sorted(entries)
        self._numbers = {video_id: at for at, video_id in enumerate(self._ids)}
        self.entries = len(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, videos: Collection[str]) -> NDArray[np.int64]:
        """Return the number of each id; one that was never seen gets the next."""
        numbers = self._numbers
        try:
            return np.fromiter(map(numbers.__getitem__, videos), np.int64, len(videos))
        except KeyError:
            for video_id in videos:
                if video_id not in numbers:
                    numbers[video_id] = len(self._ids)
                    self._ids.append(video_id)
            return self.of(videos)

    def ids(self, numbers: NDArray[Any]) -> list[str]:
        """Return the id of each number."""
        return [self._ids[at] for at in numbers.tolist()]


class Texts:
    """Numbers for texts, from 0 for None."""

    def __init__(self) -> None:
        self.values: list[str | None] = [None]
        self._numbers: dict[str | None, int] = {None: 0}

    def number(self, text: str | None) -> int:
        """Return the number of a text; one that was never seen gets the next."""
        if text not in self._numbers:
            self._numbers[text] = len(self.values)
            self.values.append(text)
        return self._numbers[text]


class StateRows:
    """Rows in the order in which they were seen; `before` links those of a video by commits.

    Attributes:
        array: the rows.
    """

    def __init__(self) -> None:
        self._kept = np.empty(0, _dtype(0))
        self._last = np.empty(0, np.intp)
        self._size = 0

    @property
    def array(self) -> NDArray[np.void]:
        """The rows, [n]."""
        return self._kept[: self._size]

    def last(self, videos: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the row that was committed last of each video."""
        self._widen(int(videos.max(initial=-1)) + 1)
        return self._last[videos]

    def extend(
        self, rows: NDArray[np.void], parts: NDArray[np.int32], numbered: Sequence[Part]
    ) -> None:
        """Append rows, given the part of each as its number in `numbered`."""
        rows["part"] = parts
        videos = rows["video"].astype(np.int64)
        self._widen(int(videos.max(initial=-1)) + 1)
        first, self._size = self._size, self._size + len(rows)
        if first:
            self._make_room(rows.dtype)
            _copy(rows, self._kept[first : self._size])
        else:
            self._kept = rows
        before = self._last[videos]
        new = np.arange(first, self._size)
        alone = np.bincount(videos).max(initial=0) <= 1
        if alone and not self._is_late(before, parts, numbered):
            self.array["before"][first:] = before
            self._last[videos] = new
        else:
            for row, video in zip(new.tolist(), videos.tolist(), strict=True):
                self._link(row, video, numbered)

    def _is_late(
        self, before: NDArray[np.intp], parts: NDArray[np.int32], numbered: Sequence[Part]
    ) -> bool:
        """Tell whether a video has a later row already."""
        there = before != NOTHING
        pairs = np.stack([self.array["part"][before[there]], parts[there]], axis=1)
        return any(numbered[a] > numbered[b] for a, b in np.unique(pairs, axis=0).tolist())

    def _link(self, row: int, video: int, numbered: Sequence[Part]) -> None:
        # A part that another process numbered lower may be seen later.
        part, behind = numbered[self.array["part"][row]], self.array["before"]
        after, at = NOTHING, int(self._last[video])
        while at != NOTHING and numbered[self.array["part"][at]] > part:
            after, at = at, int(behind[at])
        behind[row] = at
        if after == NOTHING:
            self._last[video] = row
        else:
            behind[after] = row

    def _widen(self, videos: int) -> None:
        if videos > len(self._last):
            grown = np.full(int(videos * _SPARE), NOTHING, np.intp)
            grown[: len(self._last)] = self._last
            self._last = grown

    def _make_room(self, dtype: np.dtype[np.void]) -> None:
        width = max(dtype["view_digests"].shape[0], self._kept.dtype["view_digests"].shape[0])
        if self._size <= len(self._kept) and width == self._kept.dtype["view_digests"].shape[0]:
            return
        grown = np.zeros(max(int(self._size * _SPARE), 64), _dtype(width))
        _copy(self._kept, grown[: len(self._kept)])
        self._kept = grown


def rows_of(table: pa.Table, videos: VideoNumbers, texts: Texts) -> NDArray[np.void]:
    """Return the rows of a table of states, digests as hex digits or as bytes; of no part yet."""
    views = _bytes(table.column("view_digests"))
    rows = np.empty(table.num_rows, _dtype(views.shape[1]))
    rows["video"] = videos.of(table.column("video_id").to_pylist())
    rows["before"] = NOTHING
    rows["view_digests"] = views
    for name in ("key", "input_digest"):
        rows[name] = np.ascontiguousarray(_bytes(table.column(name))).view("<u8").reshape(-1, 4)
    for name in _NUMBERS:
        rows[name] = table.column(name).to_numpy()
    for name in TEXTS:
        rows[name] = _numbered(table.column(name), texts)
    return rows


def table_of(rows: NDArray[np.void], videos: VideoNumbers, texts: Texts) -> pa.Table:
    """Return rows as a table that `rows_of` reads, digests as bytes."""
    columns: dict[str, Any] = {"video_id": pa.array(videos.ids(rows["video"]), pa.string())}
    for name in _DIGESTS:
        # The records are cut to one width: zeros stand behind shorter ones.
        whole = np.ascontiguousarray(rows[name]).view(np.uint8).reshape(len(rows), -1)
        columns[name] = _binary(whole)
    for name in _NUMBERS:
        columns[name] = pa.array(np.ascontiguousarray(rows[name]))
    dictionary = pa.array(texts.values[1:], pa.string())
    for name in TEXTS:
        at = np.ascontiguousarray(rows[name]) - 1
        places = pa.array(at, pa.int32(), mask=at < 0)
        columns[name] = pa.DictionaryArray.from_arrays(places, dictionary)
    return pa.table(columns)


def hex_of(digests: NDArray[Any]) -> list[str]:
    """Return each row of an array of bytes or words as hex digits."""
    whole = np.ascontiguousarray(digests)
    if not len(whole):
        return []
    width = 2 * whole[0].nbytes
    if not width:
        return [""] * len(whole)
    text = whole.tobytes().hex()
    return [text[at : at + width] for at in range(0, len(text), width)]


def _dtype(view_bytes: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("video", "<i4"),
            ("before", "<i4"),
            ("part", "<i4"),
            ("key", "<u8", (4,)),
            ("input_digest", "<u8", (4,)),
            *((name, "<i4") for name in TEXTS),
            *_NUMBERS.items(),
            ("view_digests", "u1", (view_bytes,)),
        ]
    )


def _copy(rows: NDArray[np.void], into: NDArray[np.void]) -> None:
    """Copy rows into others, which may have room for more digests of views."""
    if rows.dtype == into.dtype:
        into[:] = rows
        return
    for name in rows.dtype.names or ():
        if name == "view_digests":
            width = rows[name].shape[1]
            into[name][:, :width] = rows[name]
            into[name][:, width:] = 0
        else:
            into[name] = rows[name]


def _numbered(column: pa.ChunkedArray, texts: Texts) -> NDArray[np.int32]:
    whole = column.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    numbers = [texts.number(text) for text in whole.dictionary.to_pylist()]
    places = pc.fill_null(whole.indices, len(numbers)).to_numpy(zero_copy_only=False)
    found: NDArray[np.int32] = np.array([*numbers, texts.number(None)], np.int32)[places]
    return found


def _bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """Return the digests of a column as bytes, [n, longest], zeros behind shorter ones."""
    array = column.combine_chunks()
    if not len(array):
        return np.empty((0, 0), np.uint8)
    _, ends, data = array.buffers()
    bounds = np.frombuffer(ends, np.int32)[array.offset : array.offset + len(array) + 1]
    first, end = int(bounds[0]), int(bounds[-1])
    raw: Any = b"" if data is None else memoryview(data)[first:end]
    bounds = bounds - first
    if pa.types.is_string(array.type):
        raw, bounds = unhexlify(raw), bounds // 2
    told = np.frombuffer(raw, np.uint8)
    lengths = np.diff(bounds)
    found = np.zeros((len(array), int(lengths.max())), np.uint8)
    for length in np.unique(lengths).tolist():
        at = np.flatnonzero(lengths == length)
        if len(at) == len(array):
            return told.reshape(len(array), length)
        found[at, :length] = told[bounds[:-1][at][:, None] + np.arange(length)]
    return found


def _binary(whole: NDArray[np.uint8]) -> pa.Array:
    bounds = np.arange(len(whole) + 1, dtype=np.int32) * whole.shape[1]
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(whole)]
    return pa.Array.from_buffers(pa.binary(), len(whole), buffers)

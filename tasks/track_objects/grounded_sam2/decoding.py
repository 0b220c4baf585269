"""Decodes the packs of a tracker in order, one ahead of what is being followed.

Takes pieces and what opens the frames of each window, gives the frames of each pack; a thread of
its own reads from the decoder, so that it never waits for the models nor they for it. Holds one
pack beside the one that was given out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Self

from earshot.media.display import Frame
from earshot.media.frames import TimedFrame
from earshot.tasks.track_objects.pieces import Piece

Frames = dict[int, Frame]


class Decoding:
    """An iterator of (pieces, the new frames of each) by pack; a context manager.

    Leaving it closes the frame source that is open. Iterating raises what a frame source raises,
    once the packs before it were given out.

    Args:
        packs: what is decoded, windows in order.
        sources: by window, what opens its frames, all of them in order.
    """

    def __init__(
        self, packs: Sequence[list[Piece]], sources: Sequence[Callable[[], Iterator[TimedFrame]]]
    ) -> None:
        self._packs = packs
        self._sources = sources
        self._open: tuple[int, Iterator[TimedFrame]] | None = None
        self._thread = ThreadPoolExecutor(1, "earshot-decoding")
        self._is_over = Event()

    def __enter__(self) -> Self:
        """Return the iterator; nothing is decoded yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop after the frame at hand, and close its source."""
        self._is_over.set()
        self._thread.shutdown(wait=True)
        self._close()

    def __iter__(self) -> Iterator[tuple[list[Piece], list[Frames]]]:
        """Yield the packs."""
        ahead = [self._thread.submit(self._decode, pieces) for pieces in self._packs[:1]]
        for at, pieces in enumerate(self._packs):
            frames = ahead.pop().result()
            following = self._packs[at + 1 : at + 2]
            ahead = [self._thread.submit(self._decode, pieces) for pieces in following]
            yield pieces, frames
            del frames

    def _decode(self, pieces: Sequence[Piece]) -> list[Frames]:
        return [self._read(piece) for piece in pieces]

    def _read(self, piece: Piece) -> Frames:
        """Read the frames of a piece that no piece before it had."""
        if self._open is None or self._open[0] != piece.window:
            self._close()
            self._open = piece.window, self._sources[piece.window]()
        source, frames = self._open[1], dict[int, Frame]()
        for at in range(piece.first, piece.stop):
            if self._is_over.is_set():
                break
            _, frames[at] = next(source)
        return frames

    def _close(self) -> None:
        """Let the source end, so that the next window may have one."""
        if self._open is not None:
            close = getattr(self._open[1], "close", None)
            if close is not None:
                close()
            self._open = None

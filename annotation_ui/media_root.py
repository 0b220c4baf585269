"""Puts clips into the media root, which has whole ones alone, and takes away what is half written.

Takes videos and plans, gives hard copies under names that follow from their content: a clip that
lies there is not cut again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from earshot.annotation_ui.desk import CLIPS, Desk
from earshot.errors import ItemError
from earshot.media.child import Worker
from earshot.media.fetch import local_file
from earshot.media.review_clip import CANT_WRITE, ClipPlan, cut_clip
from earshot.schemas.ids import h8
from earshot.schemas.video import Video
from earshot.store.snapshot import Snapshot
from earshot.store.workspace import disk_fault

Open = Callable[[Video], AbstractContextManager[Path]]
# No clip is longer without a byte written.
_CUTTING_S = 3600.0


def media_of(snapshot: Snapshot) -> Open:
    """Return what gives the local file of a video."""

    def give(video: Video) -> AbstractContextManager[Path]:
        place = video.uri, snapshot.build.input_base, snapshot.workspace.cache
        fetch = snapshot.build.config.fetch
        return local_file(*place, sha256=video.sha256, fetch=fetch)

    return give


def clear_leftovers(desk: Desk) -> None:
    """Remove what a killed push left in the media root: clips that were being written."""
    # A media root of a server that others use too may have the clips that they are cutting now.
    before = time.time() - (_CUTTING_S if desk.config.url else 0.0)
    for file in (desk.media_root / CLIPS).glob(".*"):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < before:
                file.unlink()


def put_clip(
    clip: str, video: Video, plan: ClipPlan, desk: Desk, give: Open, worker: Worker
) -> None:
    """Put a clip into the media root, unless it lies there.

    Raises:
        ItemError: if the video can't be had or cut.
        WorkspaceError: when the disk fails.
    """
    out = desk.media_root / clip
    if not out.exists():
        try:
            with give(video) as source:
                worker.call(cut_clip, source, out, plan)
        except ItemError as error:
            if error.value and error.value.startswith(CANT_WRITE):
                number = int(error.value.removeprefix(CANT_WRITE))
                raise disk_fault(out, OSError(number, os.strerror(number))) from error
            raise


def clip_of(video: Video, plan: ClipPlan) -> str:
    """Return where in the media root a clip of a video lies."""
    digest = h8(
        [video.sha256, plan.offset_s, str(plan.fps), plan.n_frames, plan.width, plan.height]
    )
    return f"{CLIPS}/{video.video_id}-{digest}.mp4"

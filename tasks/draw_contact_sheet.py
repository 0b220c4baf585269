"""Draws a contact sheet of a workspace: for each video a frame with its tubes, and when they sound.

Reads the current rows and the media; writes one picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.errors import InputError
from earshot.media.audio import Envelope, read_envelope
from earshot.media.contact_sheet import contact_sheet, panels_for
from earshot.media.fetch import local_file
from earshot.media.frames import LocalSource, SourceInfo
from earshot.schemas.arrow import from_table
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import Session, open_session


def draw_contact_sheet(
    workspace: Path,
    out: Path,
    limit: int = 12,
    videos: Sequence[str] | None = None,
    moments: int = 1,
) -> tuple[str, ...]:
    """Draw the first `limit` probed videos, or those that are named; return the ids drawn.

    Args:
        workspace: of which the latest build is drawn.
        out: the picture, .png or .jpg; with nothing to draw none is written.
        limit: how many videos at most.
        videos: ids; None: all.
        moments: frames a video; with more than one each video has rows of its own.

    Raises:
        InputError: if a named video is not in the build, or can't be shown: no stage probed it.
        ItemError: if a video can't be opened any more.
    """
    session = open_session(Workspace.open(workspace))
    snapshot = session.snapshot
    probed = {video.video_id: video for video in from_table(Video, snapshot.table(Video))}
    missing = sorted(set(videos or ()) - probed.keys())
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not among the {len(probed)} videos that this workspace could "
            f"open; `earshot status -w {workspace}` lists what became of each"
        )
    chosen = [probed[key] for key in (probed if videos is None else dict.fromkeys(videos))][:limit]
    ids = [video.video_id for video in chosen]

    def frame_at(video: Video, time_s: float) -> npt.NDArray[np.uint8]:
        return _frame_at(session, video, time_s)

    def envelope_of(video: Video) -> Envelope | None:
        if not video.has_audio:
            return None
        with _file_of(session, video) as path:
            return read_envelope(path, session.build.config.probe.silence_dbfs)

    panels = panels_for(
        chosen,
        from_table(Tube, snapshot.table(Tube, ids)),
        from_table(Object, snapshot.table(Object, ids)),
        from_table(EventObject, snapshot.table(EventObject, ids)),
        frame_at,
        from_table(Event, snapshot.table(Event, ids)),
        envelope_of,
        moments=moments,
        notes={video_id: _why_bare(session, video_id) for video_id in ids},
    )
    if panels:
        contact_sheet(panels, out, columns=3 if moments == 1 else min(moments, 4))
    return tuple(ids)


def _why_bare(session: Session, video_id: str) -> str:
    """Return why a video may have no tube: the first stage that left it out, and its reason."""
    for stage in session.snapshot.stages:
        found = session.snapshot.latest(stage, video_id)
        if found is None:
            return f"no tube: not yet at {stage}"
        if found.state.status != "done":
            return f"{session.snapshot.status(found)}: {found.state.reason_code}"
        if stage == "track":
            break
        if found.state.reason_code == "empty":
            return f"no tube: {stage} found nothing"
    return "no tube"


def _frame_at(session: Session, video: Video, time_s: float) -> npt.NDArray[np.uint8]:
    info = SourceInfo(
        duration_s=video.duration_s, fps=video.fps, width=video.width, height=video.height
    )
    with _file_of(session, video) as path:
        ((_, frame),) = LocalSource(path, info).frames([time_s])
    return frame


def _file_of(session: Session, video: Video) -> AbstractContextManager[Path]:
    place = video.uri, session.manifest.base, session.workspace.cache
    return local_file(*place, sha256=video.sha256, fetch=session.build.config.fetch)

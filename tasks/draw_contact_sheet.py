"""Draws a contact sheet of a workspace: for each video a frame with its tubes, and when they sound.

Reads the current rows and the media; writes one picture.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.media.audio import Envelope, read_envelope
from earshot.media.contact_sheet import contact_sheet, panels_for
from earshot.media.fetch import local_file
from earshot.media.frames import PyavSource, SourceInfo
from earshot.schemas.arrow import from_table
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.workspace import Workspace
from earshot.tasks.pipeline import Session, open_session


def draw_contact_sheet(workspace: Path, out: Path, limit: int = 12) -> bool:
    """Draw the first `limit` videos that have tubes; return False where there is none.

    Raises:
        ItemError: if a video can't be opened any more.
    """
    session = open_session(Workspace.open(workspace))
    snapshot = session.snapshot

    def frame_at(video: Video, time_s: float) -> npt.NDArray[np.uint8]:
        return _frame_at(session, video, time_s)

    def envelope_of(video: Video) -> Envelope | None:
        if not video.has_audio:
            return None
        with _file_of(session, video) as path:
            return read_envelope(path, session.build.config.probe.silence_dbfs)

    tubes = from_table(Tube, snapshot.table(Tube))
    with_tubes = {tube.video_id for tube in tubes}
    videos = [v for v in from_table(Video, snapshot.table(Video)) if v.video_id in with_tubes]
    panels = panels_for(
        videos[:limit],
        tubes,
        from_table(Object, snapshot.table(Object)),
        from_table(EventObject, snapshot.table(EventObject)),
        frame_at,
        from_table(Event, snapshot.table(Event)),
        envelope_of,
    )
    if panels:
        contact_sheet(panels, out)
    return bool(panels)


def _frame_at(session: Session, video: Video, time_s: float) -> npt.NDArray[np.uint8]:
    info = SourceInfo(
        duration_s=video.duration_s, fps=video.fps, width=video.width, height=video.height
    )
    with _file_of(session, video) as path:
        ((_, frame),) = PyavSource(path, info).frames([time_s])
    return frame


def _file_of(session: Session, video: Video) -> AbstractContextManager[Path]:
    place = video.uri, session.manifest.base, session.workspace.cache
    return local_file(*place, sha256=video.sha256, fetch=session.build.config.fetch)

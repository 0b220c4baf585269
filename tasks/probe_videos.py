"""Stage `probe`: fetches each video of the manifest, decodes it once and says what it is.

Takes a manifest entry, gives a `Video`; a file that hangs or kills its decoder is quarantined and
the rest of the batch goes on. Never trusts a header where decoding tells better.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from earshot.errors import ItemError
from earshot.media.child import Worker
from earshot.media.fetch import content_sha256, identity, local_path
from earshot.media.probe import probe
from earshot.schemas.base import Record
from earshot.schemas.config import ProbeConfig
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.stage import Done, Outcome, Quarantined, Reads, Stage, StageInput


class ProbeVideos(Stage[ProbeConfig]):
    """Opens and measures videos; one killable child serves the batch (CONTRACTS 9)."""

    name: ClassVar[str] = "probe"
    version: ClassVar[str] = "2"
    section: ClassVar[str] = "probe"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(ManifestEntry, ("uri", "licence", "source", "split_group")),
    )
    writes: ClassVar[tuple[type[Record], ...]] = (Video,)

    def outside(self, given: StageInput) -> dict[str, Any]:
        """Return what changes when the media does, or `missing`; nothing is downloaded."""
        uri, cache = given.one(ManifestEntry).uri, self.context.cache
        try:
            media = identity(uri, self.context.input_base, cache, self.config.max_bytes)
        except ItemError:
            media = "missing"
        return {"media": media}

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done` with one `Video`, or `Quarantined`, for each video."""
        with Worker(self.context.limit_s) as worker:
            for given in batch:
                try:
                    video = self._measure(given, worker)
                    yield Done(given.video_id, rows=(video,))
                except ItemError as fault:
                    yield Quarantined(
                        given.video_id,
                        reason_code=fault.code,
                        message=str(fault),
                        value=fault.value,
                        traceback="".join(traceback.format_exception(fault)),
                    )

    def _measure(self, given: StageInput, worker: Worker) -> Video:
        entry = given.one(ManifestEntry)
        cache, max_bytes = self.context.cache, self.config.max_bytes
        path = local_path(entry.uri, self.context.input_base, cache, max_bytes)
        sha256 = content_sha256(path, cache)
        probed = worker.call(probe, path, self.config.silence_dbfs)
        return Video(
            video_id=given.video_id,
            uri=entry.uri,
            sha256=sha256,
            bytes=path.stat().st_size,
            duration_s=probed.duration_s,
            fps=probed.fps,
            n_frames=probed.n_frames,
            width=probed.width,
            height=probed.height,
            rotation_deg=probed.rotation_deg,
            is_vfr=probed.is_vfr,
            video_codec=probed.video_codec,
            audio_codec=probed.audio_codec,
            has_audio=probed.has_audio,
            is_silent=probed.is_silent,
            licence=entry.licence,
            source=entry.source,
            split_group=entry.split_group,
        )

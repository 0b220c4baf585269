"""Stage `probe`: fetches each video of the manifest, decodes it once and says what it is.

Takes a manifest entry, gives a `Video`; a file that hangs or kills its decoder is quarantined and
the rest of the batch goes on. Never trusts a header where decoding tells better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from earshot.errors import ItemError
from earshot.media.child import Worker
from earshot.media.fetch import content_sha256, identity, local_file
from earshot.media.probe import probe
from earshot.schemas.base import Record
from earshot.schemas.config import ProbeConfig
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.stage import Done, Outcome, Quarantined, Reads, Stage, StageInput


class ProbeVideos(Stage[ProbeConfig]):
    """Opens and measures videos; one killable child serves the batch (CONTRACTS 9)."""

    name: ClassVar[str] = "probe"
    version: ClassVar[str] = "4"
    section: ClassVar[str] = "probe"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(ManifestEntry, ("uri", "sha256", "licence", "source", "split_group")),
    )
    writes: ClassVar[tuple[type[Record], ...]] = (Video,)
    outside_waits: ClassVar[bool] = True

    def outside(self, given: StageInput) -> dict[str, Any]:
        """Return what changes when the media does, or `missing`; nothing is downloaded."""
        uri, context = given.one(ManifestEntry).uri, self.context
        place = uri, context.input_base, context.cache
        try:
            media = identity(*place, self.config.max_bytes, context.fetch)
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
                    yield Quarantined.by(fault, given.video_id)

    def _measure(self, given: StageInput, worker: Worker) -> Video:
        entry, context = given.one(ManifestEntry), self.context
        with local_file(
            entry.uri,
            context.input_base,
            context.cache,
            self.config.max_bytes,
            sha256=entry.sha256,
            fetch=context.fetch,
        ) as path:
            probed = worker.call(probe, path, self.config.silence_dbfs)
            sha256, size = content_sha256(path, context.cache), path.stat().st_size
        return Video(
            video_id=given.video_id,
            uri=entry.uri,
            sha256=sha256,
            bytes=size,
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
            frame_fingerprint=probed.frame_fingerprint,
        )

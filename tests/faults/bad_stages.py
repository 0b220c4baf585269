"""A stage that misbehaves as its videos' uris say, importable in a child process."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from earshot.schemas.config import Config, ProbeConfig
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.builds import keep_build, make_build
from earshot.store.manifests import Manifest
from earshot.store.snapshot import Snapshot
from earshot.store.stage import Done, Filtered, Outcome, Reads, Stage, StageContext, StageInput
from earshot.store.workspace import Workspace
from tests.store.toy import toy_video

HANG_S = 600.0


class BadProbe(Stage[ProbeConfig]):
    """Makes a video row out of each uri, or does what the uri says."""

    name = "probe"
    version = "1"
    section = "probe"
    reads = (Reads(ManifestEntry, ("uri",)),)
    writes = (Video,)

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        for given in batch:
            yield from self._one(given.video_id, given.one(ManifestEntry).uri)

    def _one(self, video_id: str, uri: str) -> Iterator[Outcome]:
        mended = (self.context.cache / "mended").exists()
        what = "" if mended else uri.partition(":")[0]
        if what == "raise":
            raise RuntimeError(f"cannot do {uri}")
        if what == "hang":
            time.sleep(HANG_S)
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "memory":
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000, hard))
            bytearray(8_000_000_000)
        if what == "disk":
            raise OSError(errno.ENOSPC, "No space left on device", str(self.context.cache / "x"))
        if what == "forbidden":
            raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/film.mp4")
        if what == "none":
            return
        if what == "other":
            yield Done("nobody", rows=())
            return
        if what == "twice":
            yield Done(video_id, rows=(toy_video(video_id, uri), toy_video(video_id, uri)))
            return
        if what == "foreign":
            yield Done(video_id, rows=(toy_video("nobody", uri),))
            return
        if what == "reason":
            yield Filtered(video_id, reason_code="because", message="I say so")
            return
        yield Done(video_id, rows=(toy_video(video_id, uri),))


def bad_snapshot(root: Path, uris: Sequence[str], config: Config | None = None) -> Snapshot:
    """A build of one video for each uri over the one stage; the video's id is what the uri says."""
    workspace = Workspace.open(root, create=True)
    chosen = config or Config()
    entries = {
        uri.replace(":", "-"): ManifestEntry(video_id=uri.replace(":", "-"), uri=uri)
        for uri in uris
    }
    manifest = Manifest("bad.jsonl", "/toy", entries, ())
    build = make_build(workspace, manifest, chosen, (BadProbe,), "0")
    keep_build(workspace, build, manifest)
    stage = BadProbe(chosen.probe, StageContext("/toy", workspace.cache))
    return Snapshot(workspace, build, manifest.entries, [stage])

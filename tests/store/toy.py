"""Toy stages over the real records: a small pipeline that store tests can break on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from earshot.schemas.caption import Caption
from earshot.schemas.config import CaptionsConfig, Config, FilterConfig, ProbeConfig
from earshot.schemas.manifest import ManifestEntry, RawCaption
from earshot.schemas.video import Video
from earshot.store.builds import keep_build, make_build
from earshot.store.manifests import Manifest
from earshot.store.plan import Selection, todo
from earshot.store.runlog import RunLog
from earshot.store.runner import Receipt, run_batch
from earshot.store.snapshot import Snapshot
from earshot.store.stage import (
    Done,
    Filtered,
    Item,
    Outcome,
    Quarantined,
    Reads,
    Stage,
    StageContext,
    StageInput,
)
from earshot.store.workspace import Workspace


class ToyProbe(Stage[ProbeConfig]):
    """Makes a video row out of the uri; uris say what to do: `bad:`, `raise:`, `none:`."""

    name = "probe"
    version = "1"
    section = "probe"
    reads = (Reads(ManifestEntry, ("uri",), beside=("licence",)),)
    writes = (Video,)
    ran: ClassVar[list[str]] = []

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        for given in batch:
            uri = given.one(ManifestEntry).uri
            self.ran.append(given.video_id)
            if uri.startswith("raise:"):
                raise RuntimeError(f"cannot do {uri}")
            if uri.startswith("none:"):
                continue
            if uri.startswith("bad:"):
                yield Quarantined(given.video_id, reason_code="unreadable", message=uri, value=uri)
                continue
            yield Done(given.video_id, rows=(toy_video(given.video_id, uri),))


class ToyCaptions(Stage[CaptionsConfig]):
    """Copies the manifest's captions."""

    name = "captions"
    version = "1"
    section = "captions"
    reads = (Reads(ManifestEntry, ("captions",)), Reads(Video, ("duration_s",)))
    writes = (Caption,)
    item_kind = "caption"

    def items(self, given: StageInput) -> tuple[str, ...]:
        raw = given.one(ManifestEntry).captions
        return tuple(f"{given.video_id}/c{at}" for at in range(len(raw)))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        for given in batch:
            rows = tuple(
                Caption(
                    caption_id=f"{given.video_id}/c{at}",
                    video_id=given.video_id,
                    start_s=raw.start_s,
                    end_s=raw.end_s,
                    text=raw.text,
                    caption_source="given",
                )
                for at, raw in enumerate(given.one(ManifestEntry).captions)
            )
            yield Done(given.video_id, rows=rows, items=tuple(Item(r.caption_id) for r in rows))


class ToyFilter(Stage[FilterConfig]):
    """Filters videos that have a caption with the word "short"."""

    name = "filter"
    version = "1"
    section = "filter"
    reads = (Reads(Caption, ("text",)),)
    writes = ()

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        for given in batch:
            if any("short" in caption.text for caption in given.all(Caption)):
                yield Filtered(given.video_id, reason_code="too_short", message="says short")
            else:
                yield Done(given.video_id)


TOY_STAGES = (ToyProbe, ToyCaptions, ToyFilter)


def toy_video(video_id: str, uri: str) -> Video:
    """A valid video row."""
    return Video(
        video_id=video_id,
        uri=uri,
        sha256="0" * 64,
        bytes=1,
        duration_s=10.0,
        fps=25.0,
        n_frames=250,
        width=320,
        height=240,
        rotation_deg=0,
        is_vfr=False,
        video_codec="h264",
        audio_codec=None,
        has_audio=False,
        is_silent=None,
    )


def toy_entry(video_id: str, uri: str = "x.mp4", text: str = "A dog barks.") -> ManifestEntry:
    """A valid manifest entry."""
    return ManifestEntry(
        video_id=video_id, uri=uri, captions=(RawCaption(start_s=0, end_s=4, text=text),)
    )


def toy_snapshot(
    root: Path, entries: Sequence[ManifestEntry], config: Config | None = None
) -> Snapshot:
    """Open (or make) a workspace and a build over toy stages."""
    workspace = Workspace.open(root, create=True)
    chosen = config or Config()
    manifest = Manifest("toy.jsonl", "/toy", {entry.video_id: entry for entry in entries}, ())
    build = make_build(workspace, manifest, chosen, TOY_STAGES, "0")
    keep_build(workspace, build, manifest)
    context = StageContext("/toy", workspace.cache)
    stages = [stage(getattr(chosen, stage.section), context) for stage in TOY_STAGES]
    return Snapshot(workspace, build, manifest.entries, stages)


def run_all(
    snapshot: Snapshot, selection: Selection | None = None, run_id: str = "run"
) -> list[Receipt]:
    """Run every stage over what it has to do, each in one batch."""
    log = RunLog(snapshot.workspace, run_id)
    receipts = []
    for name, stage in snapshot.stages.items():
        snapshot.refresh()
        work = todo(snapshot, name, selection or Selection(run_id=run_id))
        if work:
            receipts.append(run_batch(snapshot, stage, work, run_id, log))
    snapshot.refresh()
    return receipts

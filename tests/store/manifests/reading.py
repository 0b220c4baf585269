"""Writes input files, and runs the stage that checks times over what was read from them."""

from __future__ import annotations

from pathlib import Path

from earshot.schemas.caption import Caption
from earshot.schemas.config import CaptionsConfig
from earshot.schemas.event import GivenEvent
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.manifests import Manifest, read_manifest
from earshot.store.stage import Item, StageContext, StageInput
from earshot.tasks.read_captions import ReadCaptions
from tests.store.toy import toy_video


def read_text(folder: Path, name: str, text: str, kind: str | None = None) -> Manifest:
    """Write a file and read it as a manifest."""
    path = folder / name
    path.write_text(text, "utf-8", newline="")
    return read_manifest(str(path), kind)


def check(
    entry: ManifestEntry, duration_s: float, tolerance_s: float = 0.5
) -> tuple[list[Item], list[Caption], list[GivenEvent]]:
    """Return what the stage `captions` says of each row of an entry, and the records it makes."""
    stage = ReadCaptions(CaptionsConfig(tolerance_s=tolerance_s), StageContext("", Path()))
    video = toy_video(entry.video_id, entry.uri).model_copy(update={"duration_s": duration_s})
    given = StageInput(entry.video_id, {ManifestEntry: [entry], Video: [video]})
    (outcome,) = stage.run([given])
    assert tuple(item.item_id for item in outcome.items) == stage.items(given)
    captions = [row for row in outcome.records if isinstance(row, Caption)]
    return list(outcome.items), captions, [r for r in outcome.records if isinstance(r, GivenEvent)]

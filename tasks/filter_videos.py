"""Stage `filter`: leaves out videos that break the rules of R-AVST section 3 (CONTRACTS 3).

Takes length, sound, captions and given events, gives done or filtered with the measured value;
writes no table. Where the manifest gives events, their segments count, and their labels are
limited; else the captions' own times count, and the limit on labels does not apply: nobody knows
yet what happens in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from earshot.geometry import intervals
from earshot.names import norm
from earshot.schemas.base import Record
from earshot.schemas.caption import Caption
from earshot.schemas.config import FilterConfig
from earshot.schemas.event import GivenEvent
from earshot.schemas.video import Video
from earshot.store.stage import Done, Filtered, Outcome, Reads, Stage, StageInput

# Times come from division of tenths: a share that equals the limit on paper must pass.
TOLERANCE = 1e-9


class FilterVideos(Stage[FilterConfig]):
    """Applies the rules in the order duration, sound, share of events, number of labels."""

    name: ClassVar[str] = "filter"
    version: ClassVar[str] = "1"
    section: ClassVar[str] = "filter"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(Video, ("duration_s", "has_audio", "is_silent")),
        Reads(Caption, ("start_s", "end_s")),
        Reads(GivenEvent, ("label", "description", "segments")),
    )
    writes: ClassVar[tuple[type[Record], ...]] = ()

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done` without rows or `Filtered` for each video."""
        for given in batch:
            broken = broken_rule(
                given.one(Video), given.all(Caption), given.all(GivenEvent), self.config
            )
            if broken is None:
                yield Done(given.video_id)
            else:
                code, message, value = broken
                yield Filtered(given.video_id, reason_code=code, message=message, value=value)


def broken_rule(
    video: Video, captions: Sequence[Caption], events: Sequence[GivenEvent], rules: FilterConfig
) -> tuple[str, str, str] | None:
    """Return (reason code, message, value) of the first rule that the video breaks, or None."""
    length_s = video.duration_s
    if length_s < rules.min_duration_s - TOLERANCE:
        return "too_short", f"{length_s} s; expected >= {rules.min_duration_s} s", f"{length_s}"
    if length_s > rules.max_duration_s + TOLERANCE:
        return "too_long", f"{length_s} s; expected <= {rules.max_duration_s} s", f"{length_s}"
    if rules.require_sound and (not video.has_audio or video.is_silent):
        track = "a silent track" if video.has_audio else "no track"
        return "no_sound", f"{track}; expected an audible one", track
    share = event_share(length_s, captions, events)
    if share < rules.min_event_share - TOLERANCE:
        message = f"events cover {share:.4f} of it; expected >= {rules.min_event_share}"
        return "few_event_seconds", message, f"{share:.4f}"
    count = len(event_labels(events))
    if count > rules.max_events:
        return "many_events", f"{count} labels; expected <= {rules.max_events}", f"{count}"
    return None


def event_share(
    duration_s: float, captions: Sequence[Caption], events: Sequence[GivenEvent]
) -> float:
    """Return the union of all event segments (captions' times without events) over duration."""
    spans = [segment.pair for event in events for segment in event.segments]
    if not events:
        spans = [caption.interval.pair for caption in captions]
    return intervals.length_s(spans) / duration_s


def event_labels(events: Sequence[GivenEvent]) -> frozenset[str]:
    """Return the distinct labels, normalised; a description stands in where there is none."""
    return frozenset(norm(event.label or event.description) for event in events)

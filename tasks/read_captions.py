"""Stage `captions`: checks the captions and events of the manifest and makes records of them.

Takes a manifest entry and the video's length, gives captions and given events; a bad row is
quarantined alone, with what is wrong in it. Never mends a time, but cuts an end that lies beyond
the video's by no more than the tolerance, and says so.

Rows are numbered as the manifest lists them, captions first, then events: row i is the item
`{video_id}/c{i}`, and the caption that an event's own words become has its event's number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from earshot.errors import ItemError
from earshot.geometry import intervals
from earshot.names import norm
from earshot.schemas.base import Record, to_intervals
from earshot.schemas.caption import Caption, CaptionSource
from earshot.schemas.config import CaptionsConfig
from earshot.schemas.event import GivenEvent
from earshot.schemas.generated_caption import GeneratedCaption
from earshot.schemas.ids import caption_id, event_id, given_event_id
from earshot.schemas.ledger import ItemKind
from earshot.schemas.manifest import ManifestEntry, RawEvent, RawInterval
from earshot.schemas.video import Video
from earshot.store.stage import (
    Done,
    Item,
    Outcome,
    Quarantined,
    Reads,
    Stage,
    StageContext,
    StageInput,
)

# A caption speaks of an event if they share at least this part of the shorter of the two.
SHARED_PART = 0.5
# Published durations carry the noise of float arithmetic: 148.82999999999998.
_NOISE_S = 1e-6
# Longer than any video: milliseconds, or mm:ss run together.
_DAY_S = 86_400.0


class ReadCaptions(Stage[CaptionsConfig]):
    """Makes `Caption` and `GivenEvent` rows of what the manifest says (CONTRACTS 3)."""

    name: ClassVar[str] = "captions"
    version: ClassVar[str] = "2"
    section: ClassVar[str] = "captions"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(ManifestEntry, ("captions", "events")),
        Reads(Video, ("duration_s",)),
    )
    writes: ClassVar[tuple[type[Record], ...]] = (Caption, GivenEvent)
    item_kind: ClassVar[ItemKind | None] = "caption"

    def __init__(self, config: CaptionsConfig, context: StageContext) -> None:
        super().__init__(config, context)
        self._generates = config.generate != "no"
        if self._generates:  # else no stage writes that table
            self.reads = (*type(self).reads, Reads(GeneratedCaption, ("digest",)))  # type: ignore[misc]

    def keyed_config(self) -> dict[str, Any]:
        """How captions are generated is in the key of the stage that does it."""
        return {"tolerance_s": self.config.tolerance_s}

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Return the ids of all rows: captions, then events, then generated captions."""
        entry = given.one(ManifestEntry)
        count = len(entry.captions) + len(entry.events) + len(self._generated(given))
        return tuple(caption_id(given.video_id, position) for position in range(count))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done`, or `Quarantined` as `no_text` where no row is left, for each video."""
        for given in batch:
            entry, duration_s = given.one(ManifestEntry), given.one(Video).duration_s
            reader = _Reader(given.video_id, duration_s, self.config.tolerance_s)
            reader.read(entry, self._generated(given))
            if reader.captions:
                rows = (*reader.captions, *reader.events)
                yield Done(given.video_id, items=tuple(reader.items), rows=rows)
            else:
                yield Quarantined(
                    given.video_id,
                    items=tuple(reader.items),
                    reason_code="no_text",
                    message=f"{len(reader.items)} rows of captions and events, none of them good; "
                    "expected at least one. Give the video captions or events.",
                    value=str(len(reader.items)),
                )

    def _generated(self, given: StageInput) -> list[GeneratedCaption]:
        written = given.all(GeneratedCaption) if self._generates else []
        return sorted(written, key=lambda each: int(each.caption_id.rpartition("/g")[2]))


class _Reader:
    """Reads one video's rows; every row leaves one item, a good one its records too."""

    def __init__(self, video_id: str, duration_s: float, tolerance_s: float) -> None:
        self.captions: list[Caption] = []
        self.events: list[GivenEvent] = []
        self.items: list[Item] = []
        self._video_id = video_id
        self._duration_s = duration_s
        self._tolerance_s = tolerance_s
        self._cut: list[str] = []

    def read(self, entry: ManifestEntry, generated: Sequence[GeneratedCaption] = ()) -> None:
        """Read all rows of an entry, and what a model wrote about its video."""
        behind = len(entry.captions) + len(entry.events)
        for position, written in enumerate(generated, start=behind):
            with self._row(position) as item_id:
                times_s = (written.start_s, written.end_s)
                self._add_caption(item_id, times_s, written.text, "generated")
        for position, raw in enumerate(entry.captions):
            with self._row(position) as item_id:
                _check_read(item_id, "caption", raw.unread)
                start_s, end_s = self._times(raw)
                self._add_caption(item_id, (start_s, end_s), raw.text, "given")
        given, checked = tuple(self.captions), list[_Checked]()
        for position, event in enumerate(entry.events, start=len(entry.captions)):
            with self._row(position) as item_id:
                _check_read(item_id, "event", event.unread)
                _check_given_id(event, checked)
                checked.append(self._check_event(item_id, event, given))
        self.events = _numbered(self._video_id, checked)

    @contextmanager
    def _row(self, position: int) -> Iterator[str]:
        """Give the row's id and note what became of it."""
        item_id = caption_id(self._video_id, position)
        self._cut = []
        try:
            yield item_id
            self.items.append(self._good(item_id))
        except ItemError as fault:
            self.items.append(Item(item_id, "quarantined", fault.code, str(fault), fault.value))

    def _good(self, item_id: str) -> Item:
        """Return a good row's item, which says where an end was cut."""
        if not self._cut:
            return Item(item_id)
        value = ", ".join(self._cut)
        message = f"{value} s ends after the video's {self._duration_s} s and was cut to it."
        return Item(item_id, "done", "cut_end", message, value)

    def _add_caption(
        self, item_id: str, times_s: tuple[float, float], text: str, source: CaptionSource
    ) -> None:
        if not text.strip():
            raise ItemError("empty_text", f"{item_id} has no text; write one or leave it out.", "")
        self.captions.append(
            Caption(
                caption_id=item_id,
                video_id=self._video_id,
                start_s=times_s[0],
                end_s=times_s[1],
                text=text.strip(),
                caption_source=source,
            )
        )

    def _check_event(self, item_id: str, raw: RawEvent, given: tuple[Caption, ...]) -> _Checked:
        """Return the event with good times, and add the caption that its own words make."""
        if not raw.segments:
            raise ItemError("no_segments", f"{item_id}: the event has no segments; give one.", "[]")
        segments = intervals.normalise([self._times(segment) for segment in raw.segments])
        label, words = (raw.label or "").strip(), (raw.description or "").strip()
        about = [c for c in given if _speaks_of(c, segments)]
        caption_ids = [caption.caption_id for caption in about]
        if not (label or words or about):
            raise ItemError(
                "no_label",
                f"{item_id}: the event has neither label nor description nor a caption of its "
                "time; give it one.",
                "",
            )
        if words or not about:
            hull_s = (segments[0][0], segments[-1][1])
            self._add_caption(item_id, hull_s, words or label, "given" if words else "label")
            caption_ids.append(item_id)
        told = " ".join(caption.text for caption in about)
        return _Checked(raw.event_id, label, words or label or told, segments, tuple(caption_ids))

    def _times(self, raw: RawInterval) -> tuple[float, float]:
        """Return (start_s, end_s) inside the video, or raise what is wrong with them."""
        start_s, end_s = raw.start_s, raw.end_s
        if start_s is None or end_s is None:
            value = raw.times_as_written or f"[{start_s}, {end_s}]"
            raise ItemError(
                "mistyped_time",
                f"{value}: expected two numbers of seconds; write 72.5 for 1:12.5.",
                value,
            )
        value, limit_s = f"[{start_s}, {end_s}]", self._duration_s + self._tolerance_s
        if problem := _impossible(start_s, end_s):
            message = f"{value} s: expected seconds from the video's start; mend the time."
            raise ItemError(problem, message, value)
        if start_s > end_s:
            raise ItemError(
                "reversed_time", f"{value} s: expected start < end; swap or mend the times.", value
            )
        if start_s == end_s:
            raise ItemError("zero_length", f"{value} s has no length; mend the times.", value)
        if start_s >= self._duration_s or end_s > limit_s:
            raise ItemError(
                "out_of_range",
                f"{value} s lies outside the video of {self._duration_s} s (tolerance "
                f"{self._tolerance_s} s); mend the times.",
                value,
            )
        if end_s > self._duration_s + _NOISE_S:
            self._cut.append(value)
        return start_s + 0.0, min(end_s, self._duration_s)


@dataclass(frozen=True)
class _Checked:
    """An event whose times are good; `label` is empty where there is none."""

    given_id: str | None
    label: str
    description: str
    segments: intervals.Normalised
    caption_ids: tuple[str, ...]

    @property
    def alike(self) -> tuple[tuple[str, ...], str]:
        """What events share that only their ordinal tells apart (CONTRACTS 1)."""
        return self.caption_ids, norm(self.label or self.description)


def _impossible(start_s: float, end_s: float) -> str | None:
    """Return the reason code of times that no video can have, or None."""
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        return "not_finite"
    if min(start_s, end_s) < 0:
        return "negative_time"
    return "absurd_time" if max(start_s, end_s) > _DAY_S else None


def _check_read(item_id: str, kind: str, unread: str | None) -> None:
    if unread is not None:
        raise ItemError(
            "bad_entry", f"{item_id} can't be read as a {kind}: {unread}; mend the row.", unread
        )


def _check_given_id(raw: RawEvent, before: Sequence[_Checked]) -> None:
    if raw.event_id is not None and raw.event_id in {event.given_id for event in before}:
        raise ItemError(
            "bad_entry",
            f"event_id {raw.event_id!r} stands twice in this video; rename one of them.",
            raw.event_id,
        )


def _speaks_of(caption: Caption, segments: intervals.Normalised) -> bool:
    shared_s = intervals.length_s(intervals.clip(segments, caption.start_s, caption.end_s))
    shorter_s = min(caption.end_s - caption.start_s, intervals.length_s(segments))
    return shared_s >= SHARED_PART * shorter_s


def _numbered(video_id: str, events: Sequence[_Checked]) -> list[GivenEvent]:
    """Return the records; equal events without a given id are told apart by their start."""
    ordinals: Counter[tuple[tuple[str, ...], str]] = Counter()
    records = []
    for event in sorted(events, key=lambda e: e.segments):
        if event.given_id is not None:
            own_id = given_event_id(video_id, event.given_id)
        else:
            head = event.label or event.description
            own_id = event_id(video_id, event.caption_ids, head, ordinals[event.alike])
            ordinals[event.alike] += 1
        records.append(
            GivenEvent(
                event_id=own_id,
                video_id=video_id,
                label=event.label or None,
                description=event.description,
                segments=to_intervals(event.segments),
                time_source="given",
                caption_ids=event.caption_ids,
            )
        )
    return records

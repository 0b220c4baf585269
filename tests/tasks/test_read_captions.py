"""Stage `captions`: what the manifest says becomes records, or is told to be wrong."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_of
from hypothesis import settings
from hypothesis import strategies as st

from earshot.schemas.caption import Caption
from earshot.schemas.config import CaptionsConfig
from earshot.schemas.event import GivenEvent
from earshot.schemas.ids import event_id, given_event_id
from earshot.schemas.ledger import REASONS
from earshot.schemas.manifest import ManifestEntry
from earshot.schemas.video import Video
from earshot.store.stage import Done, Outcome, Quarantined, StageContext, StageInput
from earshot.tasks.read_captions import ReadCaptions

DURATION_S = 20.0


def entry(**fields: Any) -> ManifestEntry:
    """A manifest entry with captions and events as plain values."""
    return ManifestEntry.model_validate({"video_id": "v", "uri": "v.mp4", **fields})


def video(duration_s: float = DURATION_S) -> Video:
    """A measured video of a length."""
    return Video(
        video_id="v", uri="v.mp4", sha256="0", bytes=1, duration_s=duration_s, fps=10, n_frames=1,
        width=4, height=4, rotation_deg=0, is_vfr=False, video_codec="h264", audio_codec=None,
        has_audio=False, is_silent=None,
    )  # fmt: skip


def read(row: ManifestEntry, duration_s: float = DURATION_S) -> Outcome:
    """What the stage makes of an entry; items are always those that the stage announced."""
    stage = ReadCaptions(CaptionsConfig(), StageContext(".", Path("cache")))
    given = StageInput("v", {ManifestEntry: [row], Video: [video(duration_s)]})
    (outcome,) = stage.run([given])
    assert tuple(item.item_id for item in outcome.items) == stage.items(given)
    return outcome


def captions(outcome: Outcome) -> list[Caption]:
    """The caption rows."""
    return [row for row in outcome.records if isinstance(row, Caption)]


def events(outcome: Outcome) -> list[GivenEvent]:
    """The event rows."""
    return [row for row in outcome.records if isinstance(row, GivenEvent)]


def spoken(start_s: float, end_s: float, text: str = "A dog barks.") -> dict[str, Any]:
    """A caption as the manifest writes it."""
    return {"start_s": start_s, "end_s": end_s, "text": text}


def happening(*segments: tuple[float, float], **fields: Any) -> dict[str, Any]:
    """An event as the manifest writes it."""
    return {"segments": [{"start_s": s, "end_s": e} for s, e in segments], **fields}


def test_captions_keep_words_and_place() -> None:
    """Captions keep their text and times; the id is the place in the manifest."""
    found = read(entry(captions=[spoken(0, 4.2, " One. "), spoken(3, 9, "Two.")]))
    assert [(c.caption_id, c.start_s, c.end_s, c.text) for c in captions(found)] == [
        ("v/c0", 0.0, 4.2, "One."),
        ("v/c1", 3.0, 9.0, "Two."),
    ]
    assert {c.caption_source for c in captions(found)} == {"given"}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (spoken(-0.1, 4), "negative_time"),
        (spoken(math.nan, 4), "not_finite"),
        (spoken(0, math.inf), "not_finite"),
        (spoken(5, 4), "reversed_time"),
        (spoken(5, 5), "zero_length"),
        (spoken(20, 20.3), "out_of_range"),
        (spoken(30, 40), "out_of_range"),
        (spoken(10, 20.6), "out_of_range"),
        (spoken(0, 4, "  \n"), "empty_text"),
    ],
)
def test_bad_caption_is_quarantined_alone(bad: dict[str, Any], code: str) -> None:
    """A bad row has its own code, value and message; the rows beside it go on."""
    found = read(entry(captions=[spoken(0, 4), bad, spoken(4, 8)]))
    assert isinstance(found, Done)
    assert [caption.caption_id for caption in captions(found)] == ["v/c0", "v/c2"]
    item = found.items[1]
    assert (item.status, item.reason_code) == ("quarantined", code)
    assert REASONS[code].status == "quarantined"
    assert item.message
    assert item.value is not None
    assert [found.items[0].status, found.items[2].status] == ["done", "done"]


def test_end_just_beyond_the_video_is_cut() -> None:
    """An end beyond the video by no more than the tolerance becomes its end, and is told."""
    found = read(entry(captions=[spoken(10, 20.5)]))
    (caption,) = captions(found)
    assert caption.end_s == DURATION_S
    assert (found.items[0].status, found.items[0].reason_code) == ("done", "cut_end")


def test_event_takes_the_captions_of_its_time() -> None:
    """An event points to captions that share at least half of the shorter of the two."""
    row = entry(
        captions=[spoken(0, 10, "Long."), spoken(9, 12, "Edge."), spoken(15, 18, "Later.")],
        events=[happening((2, 4), (5, 6), label="dog barking")],
    )
    (event,) = events(read(row))
    assert event.caption_ids == ("v/c0",)
    assert (event.label, event.description) == ("dog barking", "dog barking")
    assert [segment.pair for segment in event.segments] == [(2.0, 4.0), (5.0, 6.0)]
    assert event.time_source == "given"


def test_event_without_caption_gets_its_label() -> None:
    """The label becomes a caption over the event's hull, numbered behind the captions."""
    row = entry(captions=[spoken(0, 2)], events=[happening((5, 6), (8, 9), label="bell")])
    found = read(row)
    label = captions(found)[1]
    assert (label.caption_id, label.text, label.caption_source) == ("v/c1", "bell", "label")
    assert (label.start_s, label.end_s) == (5.0, 9.0)
    assert events(found)[0].caption_ids == ("v/c1",)


def test_description_is_a_caption_of_its_own() -> None:
    """An event's description is given text, beside the captions of its time."""
    row = entry(captions=[spoken(4, 7)], events=[happening((5, 6), description="A bell tolls.")])
    found = read(row)
    (event,) = events(found)
    assert event.caption_ids == ("v/c0", "v/c1")
    assert (event.label, event.description) == (None, "A bell tolls.")
    assert captions(found)[1].caption_source == "given"


def test_event_with_captions_alone_is_described_by_them() -> None:
    """Without label and description the captions' words describe the event."""
    (event,) = events(read(entry(captions=[spoken(4, 7, "Hoofs.")], events=[happening((5, 6))])))
    assert (event.label, event.description) == (None, "Hoofs.")


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (happening((5, 4), label="x"), "reversed_time"),
        (happening((1, 2), (30, 40), label="x"), "out_of_range"),
        (happening(label="x"), "no_segments"),
        (happening((10, 11)), "no_label"),
        (happening((1, 2), event_id="e1", label="x"), "bad_entry"),
    ],
)
def test_bad_event_is_quarantined_alone(bad: dict[str, Any], code: str) -> None:
    """An event with one bad segment is no event; the good one goes on."""
    good = happening((1, 3), event_id="e1", label="dog barking")
    found = read(entry(captions=[spoken(0, 4)], events=[good, bad]))
    assert [event.event_id for event in events(found)] == [given_event_id("v", "e1")]
    assert found.items[2].reason_code == code


def test_event_ids_do_not_follow_the_order() -> None:
    """Equal events are told apart by their start, wherever they stand in the manifest."""
    late, early = happening((7, 8), label="Bark"), happening((1, 2), label="bark")
    row = {"captions": [spoken(0, 10)]}
    ids = {
        e.segments[0].start_s: e.event_id for e in events(read(entry(events=[late, early], **row)))
    }
    again = events(read(entry(events=[early, late], **row)))
    assert ids == {e.segments[0].start_s: e.event_id for e in again}
    assert ids[1.0] == event_id("v", ["v/c0"], "bark", 0)
    assert ids[7.0] == event_id("v", ["v/c0"], "bark", 1)


@pytest.mark.parametrize("row", [entry(), entry(captions=[spoken(5, 4)])])
def test_nothing_to_read_is_a_fault(row: ManifestEntry) -> None:
    """A video without one good caption or event is quarantined; its rows keep their own codes."""
    found = read(row)
    assert isinstance(found, Quarantined)
    assert found.reason_code == "no_text"
    assert [item.reason_code for item in found.items] == ["reversed_time"] * len(row.captions)


any_time = st.one_of(st.floats(), st.integers(-5, 30).map(float))


@given_of(st.lists(st.tuples(any_time, any_time, st.sampled_from(["", " ", "words"])), max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_times_are_accounted_for(rows: list[tuple[float, float, str]]) -> None:
    """Whatever the times are, every row is done or quarantined, and done ones lie in the video."""
    found = read(entry(captions=[spoken(*row) for row in rows]))
    done = [item for item in found.items if item.status == "done"]
    assert len(found.items) == len(rows)
    assert len(captions(found)) == len(done)
    assert all(0 <= c.start_s < c.end_s <= DURATION_S for c in captions(found))


def test_dirty_public_captions(shared_data: Path) -> None:
    """ActivityNet's reversed and out-of-range sentences are found, the others kept."""
    path = shared_data / "annotations" / "activitynet_captions_dirty.json"
    codes: Counter[str | None] = Counter()
    for clip in json.loads(path.read_text()).values():
        times = zip(clip["timestamps"], clip["sentences"], strict=True)
        row = entry(captions=[spoken(*pair, text) for pair, text in times])
        found = read(row, clip["duration"])
        codes.update(item.reason_code for item in found.items)
        assert len(captions(found)) == sum(item.status == "done" for item in found.items)
    assert codes[None] > 0
    assert set(codes) <= {None, "cut_end", "reversed_time", "out_of_range", "zero_length"}
    assert codes["reversed_time"] + codes["out_of_range"] > 0


def test_real_events_are_read(shared_data: Path) -> None:
    """UnAV-100's events, which are clean, all become events with their label as caption."""
    database = json.loads((shared_data / "annotations" / "unav100.json").read_text())
    for clip in list(database.values())[:100]:
        rows = [happening(tuple(a["segment"]), label=a["label"]) for a in clip["annotations"]]
        found = read(entry(events=rows), clip["duration"])
        assert found.status == "done"
        assert len(events(found)) == len(rows)
        assert len({event.event_id for event in events(found)}) == len(rows)

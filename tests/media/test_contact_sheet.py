"""The contact sheet: what it shows is found again in its pixels, at the telling moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from PIL import Image

from earshot.geometry.intervals import contains
from earshot.media.audio import HOP_S, Envelope, read_envelope
from earshot.media.contact_sheet import (
    LOUDNESS_STEPS,
    PALETTE,
    EventBar,
    Lane,
    Mark,
    Panel,
    Stretch,
    Timeline,
    best_time_s,
    contact_sheet,
    event_bars,
    loudness,
    panels_for,
    spread_times,
    stretches,
)
from earshot.media.frames import Frame, LocalSource, SourceInfo
from earshot.media.panel import CELL_PX, GREY, RGB, TITLE_ROW_PX, WHITE
from earshot.media.sample_world import write_sample_world
from earshot.schemas.arrow import from_table
from earshot.schemas.base import to_intervals
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Box, Tube
from earshot.schemas.video import Video
from tests.factories import make_event, make_event_object, make_object, make_tube, make_video

BLUE, RED = PALETTE[:2]
EDGE = 24
Pixels = npt.NDArray[np.uint8]


def make_panel(height: int = 180, width: int = 320, **changes: Any) -> Panel:
    """A grey frame with a sounding box in its middle."""
    mark = Mark((0.25, 0.4, 0.75, 0.9), "dog", BLUE, sounding=True)
    frame = np.full((height, width, 3), 120, np.uint8)
    panel = Panel(frame, (mark,), "dog barking", 2.0)
    return replace(panel, **changes)


def drawn(folder: Path, *panels: Panel, columns: int = 3) -> Pixels:
    """Draw the panels and return the sheet's pixels."""
    path = contact_sheet(panels, folder / "sheet.png", columns)
    return np.asarray(Image.open(path).convert("RGB"))


def picture(pixels: Pixels, height: int = 236) -> Pixels:
    """Return the first panel's picture; 320 x 180 becomes 420 x 236."""
    return pixels[EDGE + TITLE_ROW_PX :][:height, EDGE : EDGE + CELL_PX]


def is_colour(pixels: Pixels, colour: RGB) -> npt.NDArray[np.bool_]:
    """Say which pixels have exactly a colour."""
    return np.asarray((pixels == colour).all(axis=-1))


def test_a_solid_box_stands_where_the_object_is(tmp_path: Path) -> None:
    """A sounding object's box is one unbroken line at the box's place in the frame."""
    blue = is_colour(picture(drawn(tmp_path, make_panel())), BLUE)
    bottom = round(0.9 * 235)
    left, right = round(0.25 * 419), round(0.75 * 419)
    assert blue[bottom - 1, left + 1 : right].all()
    assert not blue[bottom + 2 :].any()
    assert not blue[:, : left - 2].any()


def test_a_silent_box_is_dashed_in_the_same_place(tmp_path: Path) -> None:
    """A silent object is told by its broken line, not by a colour."""
    panel = make_panel()
    silent = replace(panel, marks=(replace(panel.marks[0], sounding=False),))
    row = is_colour(picture(drawn(tmp_path, silent)), BLUE)[round(0.9 * 235)]
    inked = row[round(0.25 * 419) : round(0.75 * 419)]
    assert 0.4 < inked.mean() < 0.8
    assert np.flatnonzero(np.diff(inked.astype(int))).size > 8


def test_sounding_and_silent_tags_differ_without_their_colour(tmp_path: Path) -> None:
    """The tag of a sounding object is filled and has a sound wave; a silent one's is white."""
    panel = make_panel()
    silent = replace(panel, marks=(replace(panel.marks[0], sounding=False),))
    tags = [picture(drawn(tmp_path, each))[60:94, 95:175] for each in (panel, silent)]
    filled, hollow = (int(is_colour(tag, BLUE).sum()) for tag in tags)
    assert filled > 2 * hollow > 0


def test_a_timeline_shows_when_the_object_sounds(tmp_path: Path) -> None:
    """The lane is thick from the first to the last sounding second, and thin elsewhere."""
    timeline = Timeline(10.0, (Lane(BLUE, ((2.0, 5.0),)), Lane(RED, ())))
    panel = make_panel(marks=(), timeline=timeline, time_s=8.0)
    below = drawn(tmp_path, panel)[EDGE + TITLE_ROW_PX + 236 :, EDGE : EDGE + CELL_PX]
    thick = is_colour(below, BLUE).sum(axis=0) > 4
    found = np.flatnonzero(thick)
    assert found[0] == pytest.approx(0.2 * CELL_PX, abs=4)
    assert found[-1] == pytest.approx(0.5 * CELL_PX, abs=4)
    assert thick[found[0] : found[-1]].all()
    assert is_colour(below, RED).sum(axis=0).max() == 1


def test_a_timeline_shows_the_frames_time_and_what_is_asked(tmp_path: Path) -> None:
    """A dark line stands at the frame's time, and two brackets around the question's span."""
    timeline = Timeline(10.0, (Lane(BLUE, ()),))
    panel = make_panel(marks=(), timeline=timeline, time_s=8.0)

    def dark_columns(panel: Panel) -> set[int]:
        below = drawn(tmp_path, panel)[EDGE + TITLE_ROW_PX + 236 :, EDGE : EDGE + CELL_PX]
        lanes = below[12:28]
        return set(np.flatnonzero((lanes.max(axis=-1) < 60).sum(axis=0) > 12).tolist())

    alone = dark_columns(panel)
    assert alone
    assert {round(column / CELL_PX, 1) for column in alone} == {0.8}
    asked = dark_columns(replace(panel, timeline=replace(timeline, span=(3.0, 6.0))))
    assert {round(column / CELL_PX, 1) for column in asked - alone} == {0.3, 0.6}


def test_a_lane_shows_when_its_object_is_seen(tmp_path: Path) -> None:
    """Below the lane: full where it is visible, hollow where absent, grey dots where unknown."""
    states = (
        Stretch(0.0, 4.0, "visible"),
        Stretch(4.0, 7.0, "absent"),
        Stretch(7.0, 10.0, "unknown"),
    )
    timeline = Timeline(10.0, (Lane(BLUE, (), states),))
    panel = make_panel(marks=(), timeline=timeline, time_s=0.0)
    top = EDGE + TITLE_ROW_PX + 236 + 12
    strip = drawn(tmp_path, panel)[top + 14 : top + 18, EDGE + 6 : EDGE + CELL_PX]
    seen, away, unknown = np.split(strip, [round(0.4 * CELL_PX) - 6, round(0.7 * CELL_PX) - 6], 1)
    assert is_colour(seen[:, :-3], BLUE).all()
    assert is_colour(away, WHITE).any()
    assert is_colour(away[:, :-3], BLUE).any(axis=0).all()
    assert not is_colour(unknown[:, 3:], BLUE).any()
    assert 0.2 < is_colour(unknown, GREY).any(axis=0).mean() < 0.6


def test_the_sound_and_the_events_stand_above_the_lanes(tmp_path: Path) -> None:
    """The wave is tall where it is loud, and a dark bar below it covers each event's segment."""
    loud = (0.0,) * 50 + (1.0,) * 50
    timeline = Timeline(10.0, (Lane(BLUE, ()),), loudness=loud, events=(EventBar(((2.0, 4.0),)),))
    panel = make_panel(marks=(), timeline=timeline, time_s=9.9)
    below = drawn(tmp_path, panel)[EDGE + TITLE_ROW_PX + 236 + 12 :, EDGE : EDGE + CELL_PX]
    tall = is_colour(below[:30], GREY).sum(axis=0)
    assert tall[: CELL_PX // 2 - 4].max() <= 1
    assert tall[CELL_PX // 2 + 4 : CELL_PX - 20].max() > 24
    bar = np.flatnonzero((below[36] < 60).all(axis=-1)[: CELL_PX - 20])
    assert bar[0] == pytest.approx(0.2 * CELL_PX, abs=2)
    assert bar[-1] == pytest.approx(0.4 * CELL_PX, abs=2)


def test_states_of_two_tubes_are_one_lane() -> None:
    """Where one tube sees the object it is seen; a hole between two windows is no stretch."""
    dog = make_object()
    tubes = [seen(dog, [1, 2]), seen(dog, [2, 3])]
    assert [(s.start_s, s.end_s, s.state) for s in stretches(tubes)] == [
        (0.0, 1.0, "absent"),
        (1.0, 4.0, "visible"),
        (4.0, 10.0, "absent"),
    ]
    early, late = seen(dog, [0, 1, 2], of=3), seen(dog, [0, 1, 2], of=3)
    late = late.model_copy(update={"times_s": (20.0, 21.0, 22.0)})
    assert [s.start_s for s in stretches([early, late])] == [0.0, 20.0]


def test_loudness_is_relative_to_the_loudest() -> None:
    """The loudest step is 1, a silent track is 0 throughout, and time before the end is padded."""
    rms = np.concatenate([np.full(100, 0.01), np.full(100, 0.04)])
    steps = loudness(Envelope(rms, is_silent=False), 400 * HOP_S)
    assert steps[0] == pytest.approx(0.5)
    assert steps[LOUDNESS_STEPS * 3 // 8] == 1
    assert steps[-1] == 0
    assert set(loudness(Envelope(rms, is_silent=True), 2.0)) == {0.0}


@pytest.mark.parametrize(("count", "columns", "across"), [(1, 3, 1), (3, 2, 2), (4, 3, 3)])
def test_panels_stand_in_rows(tmp_path: Path, count: int, columns: int, across: int) -> None:
    """A sheet is as wide as its fullest row, and every frame is on it."""
    pixels = drawn(tmp_path, *[make_panel(marks=()) for _ in range(count)], columns=columns)
    assert pixels.shape[1] == 2 * EDGE + across * CELL_PX + (across - 1) * 26
    assert is_colour(pixels, (120, 120, 120)).sum() == count * (236 - 2) * (CELL_PX - 2)


@pytest.mark.parametrize("size", [(10, 2000), (2000, 10), (1, 1), (720, 1280)])
def test_frames_of_any_shape_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    """A frame as tall, as wide or as small as can be has its place and stretches no other."""
    pixels = drawn(tmp_path, make_panel(*size), make_panel())
    assert pixels.shape[1] == 2 * EDGE + 2 * CELL_PX + 26
    assert pixels.shape[0] < 480


def test_hard_panels_are_drawn(tmp_path: Path) -> None:
    """Long words, boxes outside the frame, many of one place and an empty video stop nothing."""
    marks = tuple(
        Mark((-0.5, -0.5, 1.5, 0.5), "x" * 90, PALETTE[i], sounding=i % 2 == 0) for i in range(6)
    )
    timeline = Timeline(0.0, (), span=(-1.0, 99.0))
    title = "a title of very many words \n" * 9
    pixels = drawn(tmp_path, make_panel(marks=marks, title=title, time_s=99, timeline=timeline))
    assert is_colour(pixels, PALETTE[5]).any()


def test_the_same_panels_give_the_same_file(tmp_path: Path) -> None:
    """A picture in the documentation changes only with what it shows."""
    first = contact_sheet([make_panel()], tmp_path / "a.png").read_bytes()
    assert contact_sheet([make_panel()], tmp_path / "b" / "a.png").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG")]
)
def test_the_suffix_says_the_format(tmp_path: Path, name: str, kind: str) -> None:
    """PNG or JPEG, as the file's name ends."""
    with Image.open(contact_sheet([make_panel()], tmp_path / name)) as image:
        assert image.format == kind


@pytest.mark.parametrize(
    ("panels", "name", "columns", "message"),
    [
        ([], "a.png", 3, "0 panels in 3 columns"),
        ([make_panel()], "a.png", 0, "1 panels in 0 columns"),
        ([make_panel()], "a.gif", 3, "rename the file"),
        ([make_panel(frame=np.zeros((4, 4), np.uint8))], "a.png", 3, r"uint8 \(4, 4\)"),
        ([make_panel(frame=np.zeros((4, 4, 3)))], "a.png", 3, "float64"),
        ([make_panel(frame=np.zeros((0, 4, 3), np.uint8))], "a.png", 3, r"\(0, 4, 3\)"),
    ],
)
def test_what_can_not_be_drawn_is_refused(
    tmp_path: Path, panels: list[Panel], name: str, columns: int, message: str
) -> None:
    """No panel, no column, another format or no frame: told, and nothing is written."""
    with pytest.raises(ValueError, match=message):
        contact_sheet(panels, tmp_path / name, columns)
    assert not (tmp_path / name).exists()


def seen(thing: Object, times: list[int], of: int = 10) -> Tube:
    """A tube at 1 fps that is visible at the given seconds."""
    box = Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5)
    shown = [second in times for second in range(of)]
    return make_tube(
        thing,
        window=(0.0, float(of)),
        times_s=tuple(float(second) for second in range(of)),
        boxes=tuple(box if each else None for each in shown),
        state=tuple("visible" if each else "absent" for each in shown),
        score=(None,) * of,
    )


@pytest.mark.parametrize(
    ("sounding", "expected_s"),
    [
        (((), ()), 6.0),  # both are visible at 5-7 s
        ((((1.0, 2.0),), ()), 1.0),  # a sound beats a second object
        ((((1.0, 6.0),), ()), 5.0),  # where it sounds, most are visible at 5 s
        (((), ((3.0, 9.0),)), 6.0),
        ((((0.0, 10.0),), ((7.0, 9.0),)), 7.0),  # two that sound beat one
    ],
)
def test_the_telling_moment(sounding: Any, expected_s: float) -> None:
    """Something sounds, most are visible, most of them sound; the middle of such a stretch."""
    tubes = [seen(make_object(), [0, 1, 2, 5, 6, 7]), seen(make_object(name="cat"), [5, 6, 7, 8])]
    assert best_time_s(tubes, sounding) == expected_s


def test_no_tube_has_no_moment() -> None:
    """The error says to leave such a video out."""
    with pytest.raises(ValueError, match="leave out videos without tubes"):
        best_time_s([], [])


def grey(video: Video, time_s: float) -> Frame:
    """A frame without a video."""
    return np.full((video.height, video.width, 3), 120, np.uint8)


def test_panels_say_what_the_records_say() -> None:
    """Colours go by object, sound by the union over events, pixels become parts of the frame."""
    dog, cat = make_object(), make_object(name="cat")
    first, second = make_event(segments=((0, 4),)), make_event(label="cat", segments=((6, 8),))
    rows = [
        make_event_object(first, dog, sounding=to_intervals(((0.0, 3.0),))),
        make_event_object(second, dog, sounding=to_intervals(((6.0, 8.0),))),
        make_event_object(second, cat, audibility="visible_only", sounding=()),
    ]
    px = Box(x1=64, y1=36, x2=320, y2=180)
    in_px = seen(cat, [7]).model_copy(
        update={"box_space": "native_px", "boxes": (*[None] * 7, px, None, None)}
    )
    tubes = [seen(dog, [1, 7]), in_px, seen(make_object("v9"), [1])]
    (panel,) = panels_for([make_video()], tubes, [dog, cat], rows, grey, [first, second])
    assert (panel.time_s, panel.title) == (7.0, "dog barking, cat")
    assert (panel.source, panel.note) == ("v1", "")
    assert panel.marks == (
        Mark((0.1, 0.1, 0.5, 0.5), "dog", PALETTE[0], sounding=True),
        Mark((0.1, 0.1, 0.5, 0.5), "cat", PALETTE[1], sounding=False),
    )
    assert panel.timeline is not None
    said = [(lane.name, lane.colour, lane.sounding) for lane in panel.timeline.lanes]
    assert said == [("dog", PALETTE[0], ((0.0, 3.0), (6.0, 8.0))), ("cat", PALETTE[1], ())]
    assert panel.timeline.events == (
        EventBar(((0.0, 4.0),), "dog barking"),
        EventBar(((6.0, 8.0),), "cat"),
    )
    assert [(s.start_s, s.end_s, s.state) for s in panel.timeline.lanes[1].states] == [
        (0.0, 7.0, "absent"),
        (7.0, 8.0, "visible"),
        (8.0, 10.0, "absent"),
    ]


def test_a_video_without_labels_is_named_by_its_id() -> None:
    """Where no event has a label the title is the video's id."""
    (panel,) = panels_for([make_video()], [seen(make_object(), [1])], [make_object()], [], grey)
    assert (panel.title, panel.source) == ("v1", "")


def test_a_doubted_name_has_a_question_mark() -> None:
    """At its box and at its lane."""
    dog = make_object()
    doubted = seen(dog, [1, 2, 3]).model_copy(update={"flags": ("ambiguous_identity",)})
    (panel,) = panels_for([make_video()], [doubted], [dog], [], grey)
    assert panel.timeline is not None
    assert (panel.marks[0].label, panel.timeline.lanes[0].name) == ("dog ?", "dog ?")


def test_a_video_without_a_tube_is_shown_and_says_so() -> None:
    """In the middle of its first event, with a lane for what sounds and was not found."""
    dog, event = make_object(), make_event(segments=((2, 6),))
    part = make_event_object(event, dog, sounding=to_intervals(((2.0, 6.0),)))
    panels = panels_for(
        [make_video(), make_video("v2")], [], [dog], [part], grey, [event], notes={"v2": "too long"}
    )
    assert [(p.title, p.note, p.marks) for p in panels] == [
        ("dog barking", "no tube", ()),
        ("v2", "too long", ()),
    ]
    assert panels[0].time_s == 4
    assert panels[0].timeline is not None
    assert panels[0].timeline.lanes == (Lane(PALETTE[0], ((2.0, 6.0),), (), "dog"),)


def test_several_moments_go_through_the_events() -> None:
    """Three frames of a video, at the middles of three equal parts of what happens in it."""
    dog, event = make_object(), make_event(segments=((0, 4), (8, 10)))
    tube = seen(dog, list(range(4)), of=4)
    panels = panels_for([make_video()], [tube], [dog], [], grey, [event], moments=3)
    assert [panel.time_s for panel in panels] == [1, 3, 9]
    assert [len(panel.marks) for panel in panels] == [1, 1, 0]
    assert spread_times([(2.0, 6.0), (3.0, 4.0)], 1) == [4]


def test_events_share_a_row_where_they_do_not_overlap() -> None:
    """A label has one row; events without one share rows, and none hides another."""
    told = [("bell", (0, 1)), (None, (0, 4)), (None, (4, 5)), (None, (3, 6)), ("bell", (7, 8))]
    events = [
        make_event(segments=(pair,)).model_copy(update={"label": label}) for label, pair in told
    ]
    assert event_bars(events) == (
        EventBar(((0, 1), (7, 8)), "bell"),
        EventBar(((0, 4), (4, 5)), "no label"),
        EventBar(((3, 6),), "no label"),
    )


def test_names_stand_left_of_the_time_axis(tmp_path: Path) -> None:
    """Each row's name has letters and a dot of its colour before the axis, and none behind it."""
    lanes = (
        Lane(BLUE, ((0.0, 10.0),), (), "a very long name of a thing"),
        Lane(RED, (), (), "cat"),
    )
    timeline = Timeline(10.0, lanes, events=(EventBar(((0.0, 10.0),), "dog barking"),))
    panel = make_panel(marks=(), timeline=timeline, time_s=9.9)
    pixels = drawn(tmp_path, panel)[EDGE + TITLE_ROW_PX + 236 + 12 :]
    names = pixels[:, EDGE : EDGE + timeline.left_px - 1]
    for colour in (BLUE, RED, (31, 35, 40)):
        assert is_colour(names[:, :9], colour).any()
    rows = [(0, 13), (20, 32), (36, 48)]
    assert all((names[a:b, 13:].max(axis=-1) < 90).any() for a, b in rows)
    axis = is_colour(pixels[:, EDGE : EDGE + CELL_PX], BLUE).sum(axis=0) > 4
    assert np.flatnonzero(axis[10:])[0] + 10 == pytest.approx(timeline.left_px, abs=4)


def test_a_note_stands_in_the_picture(tmp_path: Path) -> None:
    """In its lower left corner, on white, also where it is longer than the picture is wide."""
    for note in ("no tube", "no tube " * 30):
        shown = picture(drawn(tmp_path, make_panel(marks=(), note=note)))
        assert is_colour(shown[210:228, 8:60], WHITE).mean() > 0.4
        assert not is_colour(shown[:200, 2:-2], WHITE).any()


def test_real_videos_are_drawn(tmp_path: Path) -> None:
    """Sample videos and their records give a sheet whose moments are where something sounds."""
    world = write_sample_world(tmp_path, 2, 27)

    def rows(kind: Any) -> Any:
        return from_table(kind, pq.read_table(world.truth / f"{kind.TABLE}.parquet"))

    def frame_at(video: Video, time_s: float) -> Frame:
        info = SourceInfo(video.duration_s, video.fps, video.width, video.height)
        return next(LocalSource(world.manifest.parent / video.uri, info).frames((time_s,)))[1]

    def envelope_of(video: Video) -> Envelope | None:
        return read_envelope(world.manifest.parent / video.uri, -60)

    panels = panels_for(
        rows(Video), rows(Tube), rows(Object), rows(EventObject), frame_at, rows(Event),
        envelope_of,
    )  # fmt: skip
    assert len(panels) == 2
    for panel in panels:
        assert panel.timeline is not None
        lanes = panel.timeline.lanes
        assert any(mark.sounding for mark in panel.marks)
        assert any(contains(lane.sounding, panel.time_s) for lane in lanes)
        assert len(panel.timeline.loudness) == LOUDNESS_STEPS
        assert max(panel.timeline.loudness) == 1
    pixels = drawn(tmp_path, *panels, columns=2)
    assert is_colour(pixels, BLUE).sum() > 500

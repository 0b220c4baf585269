"""Draws frames with the boxes of their objects on one sheet: who sounds, who is silent, and when.

Takes panels, or records and a way to get a frame; writes a PNG or JPEG. Never decodes a video
itself, and never says by colour alone which object sounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from earshot.geometry.intervals import contains, normalise
from earshot.geometry.spaces import NORM, BoxSpace, convert
from earshot.geometry.tubes import VISIBLE, at, native_step_s
from earshot.media.audio import HOP_S, Envelope
from earshot.media.frames import Frame
from earshot.media.panel import (
    CELL_PX,
    GREY,
    RGB,
    SMALL_PX,
    TITLE_ROW_PX,
    WHITE,
    EventBar,
    Lane,
    Mark,
    Pairs,
    Panel,
    Stretch,
    Timeline,
    draw_panel,
    fitted,
    font,
    timeline_height,
)
from earshot.schemas.base import to_pairs
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube, states_from_array
from earshot.schemas.video import Video

__all__ = [
    "EventBar", "Lane", "Mark", "Panel", "Stretch", "Timeline", "best_time_s", "contact_sheet",
    "event_bars", "loudness", "panels_for", "spread_times", "stretches",
]  # fmt: skip

FrameAt: TypeAlias = Callable[[Video, float], Frame]
EnvelopeOf: TypeAlias = Callable[[Video], Envelope | None]

LOUDNESS_STEPS = 210
# A tube of one sample is drawn this long.
SHORTEST_S = 0.1

# Okabe and Ito: told apart with every common colour blindness, and on grey by their lightness.
PALETTE: tuple[RGB, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)
SUFFIXES = (".png", ".jpg", ".jpeg")

LEGEND = (
    "solid box: sounds in this moment",
    "dashed box: silent",
    "wave: the sound, black bars: events",
    "thick bar: the object sounds",
    "below it: seen (full), away (hollow), unknown (dots)",
    "?: may be another",
    "triangle: the frame's time",
)

_GAP, _EDGE = 26, 24


def contact_sheet(panels: Sequence[Panel], out: Path, columns: int = 3) -> Path:
    """Draw the panels in rows of `columns` and write them to `out`; return `out`.

    The format follows the suffix: .png, .jpg or .jpeg. The same panels give the same pixels.

    Raises:
        ValueError: if there is no panel, `columns` is below 1, a frame is no uint8 HxWx3, or the
            suffix is none of the three.
    """
    if not panels or columns < 1:
        raise ValueError(
            f"{len(panels)} panels in {columns} columns: expected at least one of each; give "
            "panels, or draw nothing"
        )
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{out.name!r}: expected one of {', '.join(SUFFIXES)}; rename the file")
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    sheet = _stack([_draw_row(row) for row in rows])
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".png":
        sheet.save(out, optimize=True)
    else:
        sheet.save(out, quality=92, subsampling=0)
    return out


def panels_for(
    videos: Iterable[Video],
    tubes: Iterable[Tube],
    objects: Iterable[Object],
    event_objects: Iterable[EventObject],
    frame_at: FrameAt,
    events: Iterable[Event] = (),
    envelope_of: EnvelopeOf | None = None,
    *,
    moments: int = 1,
    notes: Mapping[str, str] | None = None,
) -> list[Panel]:
    """Return the panels of each video: one at its most telling moment, or several through it.

    The telling moment is where something sounds, if anything ever does, and most tubes are
    visible; of several such moments the middle one of the longest run. A video without a tube is
    shown in the middle of its first event, and says so.

    Args:
        videos: in the order of the panels.
        tubes: of any videos; those of others are left out.
        objects: of any videos, for names.
        event_objects: when the objects sound, over all events.
        frame_at: gives the frame, uint8 HxWx3, that a video shows at a time in seconds.
        events: where given, their labels are the title, and their segments are drawn; else the
            title is the video's id.
        envelope_of: gives a video's sound, or None where it has none; without it none is drawn.
        moments: panels a video; more than one are spread evenly over its events and tubes.
        notes: by video id what to write where there is no tube; "no tube" where nothing is given.

    Raises:
        KeyError: if a tube's object is not among `objects`.
    """
    named = {thing.object_id: thing for thing in objects}
    sounding = _sounding(event_objects)
    tubes, events = list(tubes), list(events)
    panels = []
    for video in videos:
        scene = _Scene(
            video,
            [tube for tube in tubes if tube.video_id == video.video_id],
            [event for event in events if event.video_id == video.video_id],
            {key: thing for key, thing in named.items() if thing.video_id == video.video_id},
            sounding,
        )
        envelope = None if envelope_of is None else envelope_of(video)
        timeline = _timeline(scene, envelope)
        note = "" if scene.tubes else (notes or {}).get(video.video_id, "no tube")
        for time_s in scene.times_s(moments):
            panel = Panel(
                frame_at(video, time_s), _marks(scene, time_s), scene.title, time_s, timeline,
                source="" if scene.title == video.video_id else video.video_id, note=note,
            )  # fmt: skip
            panels.append(panel)
    return panels


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is known of one video; `sounding` is by object id, over all events."""

    video: Video
    tubes: list[Tube]
    events: list[Event]
    objects: dict[str, Object]
    sounding: dict[str, Pairs]

    @property
    def title(self) -> str:
        """The events' labels, or the id."""
        said = ", ".join(dict.fromkeys(event.label for event in self.events if event.label))
        return said or self.video.video_id

    @property
    def colours(self) -> dict[str, RGB]:
        """A colour for each object that has a tube or sounds, by object id."""
        heard = [key for key in self.objects if self.sounding.get(key)]
        keys = dict.fromkeys([*(tube.object_id for tube in self.tubes), *heard])
        return {key: PALETTE[index % len(PALETTE)] for index, key in enumerate(keys)}

    def times_s(self, moments: int) -> list[float]:
        """Return the times to show."""
        segments = [pair for event in self.events for pair in to_pairs(event.segments)]
        if moments > 1:
            spans = segments + [tube.window.pair for tube in self.tubes]
            return spread_times(spans or [(0.0, self.video.duration_s)], moments)
        if self.tubes:
            heard = [self.sounding.get(tube.object_id, ()) for tube in self.tubes]
            return [best_time_s(self.tubes, heard)]
        start_s, end_s = min(segments, default=(0.0, self.video.duration_s))
        return [(start_s + end_s) / 2]


def spread_times(spans: Sequence[tuple[float, float]], count: int) -> list[float]:
    """Return the middles of `count` equal parts of the union of some spans, in seconds."""
    united = normalise(spans)
    lengths = np.array([end - start for start, end in united])
    ends = np.cumsum(lengths)
    found = []
    for part in range(count):
        along = (part + 0.5) / count * float(ends[-1])
        at_span = int(np.searchsorted(ends, along, side="right"))
        found.append(united[at_span][1] - (float(ends[at_span]) - along))
    return found


def best_time_s(tubes: Sequence[Tube], sounding: Sequence[Pairs]) -> float:
    """Return the sampled time at which something sounds and most tubes are visible.

    `sounding[i]` are the times, in seconds, at which the object of `tubes[i]` sounds.

    Raises:
        ValueError: if there is no tube.
    """
    times = np.unique([time_s for tube in tubes for time_s in tube.times_s])
    if not times.size:
        raise ValueError("no tube: expected at least one; leave out videos without tubes")
    seen = np.array([_is_seen(tube, times) for tube in tubes])
    heard = np.array([contains(pairs, times) for pairs in sounding])
    told = (seen & heard).sum(axis=0)
    score = ((told > 0) * 1000 + seen.sum(axis=0)) * 1000 + told
    best = np.flatnonzero(score == score.max())
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return float(times[longest[len(longest) // 2]])


def _is_seen(tube: Tube, times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Say at which times (n,) a tube is visible; of two windows that touch the later one speaks."""
    states = at(*tube.arrays(), times_s)[1]
    return np.asarray((states == VISIBLE) & contains([tube.window.pair], times_s))


def _sounding(event_objects: Iterable[EventObject]) -> dict[str, Pairs]:
    found: dict[str, list[tuple[float, float]]] = {}
    for row in event_objects:
        found.setdefault(row.object_id, []).extend(to_pairs(row.sounding))
    return {object_id: normalise(pairs) for object_id, pairs in found.items()}


def _marks(scene: _Scene, time_s: float) -> tuple[Mark, ...]:
    """Return the boxes of what is visible at a time."""
    marks = []
    for tube in scene.tubes:
        if _is_seen(tube, np.array([time_s]))[0]:
            boxes, _ = at(*tube.arrays(), [time_s])
            space = BoxSpace(tube.box_space, scene.video.width, scene.video.height)
            x1, y1, x2, y2 = convert(boxes[0], space, NORM).tolist()
            name = _name(scene.objects[tube.object_id].name, [tube])
            sounds = bool(contains(scene.sounding.get(tube.object_id, ()), time_s))
            marks.append(Mark((x1, y1, x2, y2), name, scene.colours[tube.object_id], sounds))
    return tuple(marks)


def _name(name: str, tubes: Sequence[Tube]) -> str:
    return f"{name} ?" if any(tube.flags for tube in tubes) else name


def _timeline(scene: _Scene, envelope: Envelope | None) -> Timeline:
    lanes = []
    for key, colour in scene.colours.items():
        own = [tube for tube in scene.tubes if tube.object_id == key]
        states = stretches(own) if own else ()
        name = _name(scene.objects[key].name, own)
        lanes.append(Lane(colour, scene.sounding.get(key, ()), states, name))
    loud = () if envelope is None else loudness(envelope, scene.video.duration_s)
    return Timeline(
        scene.video.duration_s, tuple(lanes), loudness=loud, events=event_bars(scene.events)
    )


def event_bars(events: Sequence[Event]) -> tuple[EventBar, ...]:
    """Return one bar for each label, and for events without one as few as hold them unmixed."""
    bars: dict[str, Pairs] = {}
    nameless: list[list[tuple[float, float]]] = []
    for event in sorted(events, key=lambda each: each.segments[0].start_s):
        pairs = to_pairs(event.segments)
        if event.label:
            bars[event.label] = (*bars.get(event.label, ()), *pairs)
            continue
        free = (row for row in nameless if row[-1][1] <= pairs[0][0])
        row = next(free, None)
        if row is None:
            nameless.append(row := [])
        row += pairs
    rows = [EventBar(tuple(row), "no label") for row in nameless]
    return (*(EventBar(pairs, label) for label, pairs in bars.items()), *rows)


def stretches(tubes: Sequence[Tube]) -> tuple[Stretch, ...]:
    """Return the states of one object's tubes over their windows, sorted.

    Where several tubes speak, one that is visible goes before one that is absent.
    """
    times = np.unique([time_s for tube in tubes for time_s in tube.times_s])
    states = np.max([at(*tube.arrays(), times)[1] for tube in tubes], axis=0)
    step_s = min(native_step_s(tube.times_s) for tube in tubes)
    ends = np.append(times[1:], times[-1] + step_s)
    # A hole in the sampling is no stretch of the state before it.
    ends = np.minimum(ends, times + max(2 * step_s, SHORTEST_S))
    found: list[Stretch] = []
    for time_s, end_s, state in zip(
        times.tolist(), ends.tolist(), states_from_array(states), strict=True
    ):
        last = found[-1] if found else None
        if last is not None and last.state == state and last.end_s >= time_s - 1e-6:
            found[-1] = replace(last, end_s=end_s)
        else:
            found.append(Stretch(time_s, end_s, state))
    return tuple(found)


def loudness(envelope: Envelope, duration_s: float) -> tuple[float, ...]:
    """Return the loudest of each of LOUDNESS_STEPS over the duration, the loudest of all being 1.

    Square roots of the envelope: what is soft beside one loud sound can still be seen.
    """
    edges = np.linspace(0.0, duration_s / HOP_S, LOUDNESS_STEPS + 1).astype(int)
    loud = [envelope.rms[a : max(b, a + 1)].max(initial=0.0) for a, b in pairwise(edges.tolist())]
    most = 0.0 if envelope.is_silent else max(loud)
    return tuple((float(each) / most) ** 0.5 if most > 0 else 0.0 for each in loud)


def _stack(rows: Sequence[Image.Image]) -> Image.Image:
    """Return the rows below each other on white, with the legend at the end."""
    width = rows[0].width
    legend = _draw_legend(width)
    parts = [*rows, legend]
    height = sum(part.height for part in parts) + _GAP * (len(parts) - 1)
    sheet = Image.new("RGB", (width + 2 * _EDGE, height + 2 * _EDGE), WHITE)
    top = _EDGE
    for part in parts:
        sheet.paste(part, (_EDGE, top))
        top += part.height + _GAP
    return sheet


def _draw_legend(width: int) -> Image.Image:
    """Return the legend on as many lines as it needs."""
    draw, lines = ImageDraw.Draw(Image.new("RGB", (1, 1))), [""]
    for entry in LEGEND:
        longer = f"{lines[-1]}   ·   {entry}" if lines[-1] else entry
        if draw.textlength(longer, font(SMALL_PX)) <= width:
            lines[-1] = longer
        else:
            lines.append(entry)
    line_px = SMALL_PX + 6
    legend = Image.new("RGB", (width, line_px * len(lines)), WHITE)
    for row, line in enumerate(lines):
        ImageDraw.Draw(legend).text((0, row * line_px), line, GREY, font(SMALL_PX), anchor="la")
    return legend


def _draw_row(panels: Sequence[Panel]) -> Image.Image:
    pictures = [fitted(panel) for panel in panels]
    height = max(picture.height for picture in pictures)
    below = max(timeline_height(panel.timeline) for panel in panels)
    width = len(panels) * (CELL_PX + _GAP) - _GAP
    row = Image.new("RGB", (width, TITLE_ROW_PX + height + below), WHITE)
    for column, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
        row.paste(draw_panel(panel, picture, height), (column * (CELL_PX + _GAP), 0))
    return row

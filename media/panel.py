"""Draws one panel of a contact sheet: a frame, the boxes in it, the sound, and what happens when.

Takes arrays, names and seconds; gives a Pillow image. Never reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from earshot.media.frames import Frame
from earshot.schemas.tube import State

RGB: TypeAlias = tuple[int, int, int]
Pairs: TypeAlias = tuple[tuple[float, float], ...]
Rect: TypeAlias = tuple[float, float, float, float]
ToPixel: TypeAlias = Callable[[float], float]

WHITE, _INK, GREY, _LINE, _BAR, _MAT = (
    (255, 255, 255),
    (31, 35, 40),
    (101, 109, 118),
    (208, 215, 222),
    (234, 238, 242),
    (246, 248, 250),
)
CELL_PX, _TALLEST = 420, 315
_TITLE, _TEXT, SMALL_PX = 17, 14, 12
TITLE_ROW_PX, _LANE, _LANE_GAP = 28, 8, 4
_STATES, _WAVE, _EVENT = 5, 30, 5
# A row with a name is as tall as its letters, and names stand left of the time axis.
_NAMED_ROW, _GUTTER = 15, 104
# Marks are drawn this much larger and scaled down: Pillow's arcs have stairs.
_SMOOTH = 4


@dataclass(frozen=True)
class Mark:
    """A labelled box; a sounding one is drawn solid with a sound wave, a silent one dashed."""

    box_xyxy_norm: Rect
    label: str
    colour: RGB
    sounding: bool


@dataclass(frozen=True)
class Stretch:
    """A stretch of a tube, in seconds, with its state."""

    start_s: float
    end_s: float
    state: State


@dataclass(frozen=True)
class Lane:
    """When one object sounds, in seconds; no interval where it is silent throughout.

    `states` say when it is seen, away, or not looked for; where they are not given, none is drawn.
    """

    colour: RGB
    sounding: Pairs
    states: tuple[Stretch, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class EventBar:
    """When events of one label happen, in seconds."""

    segments: Pairs
    name: str = ""


@dataclass(frozen=True)
class Timeline:
    """The bar under a frame.

    Attributes:
        duration_s: what its width stands for.
        lanes: one for each object.
        span: the stretch that a question names.
        loudness: the sound in equal steps over the duration, in [0, 1]; empty: none is drawn.
        events: drawn below the sound, one row each.
    """

    duration_s: float
    lanes: tuple[Lane, ...]
    span: tuple[float, float] | None = None
    loudness: tuple[float, ...] = ()
    events: tuple[EventBar, ...] = ()

    @property
    def left_px(self) -> int:
        """Where the time axis begins: behind the names, if there are any."""
        names = [lane.name for lane in self.lanes] + [event.name for event in self.events]
        return _GUTTER if any(names) else 0


@dataclass(frozen=True)
class Panel:
    """One frame, uint8 HxWx3, taken at `time_s`, and what is said about it.

    `source` stands small beside the time; `note` stands in the picture, where something is missing.
    """

    frame: Frame
    marks: tuple[Mark, ...]
    title: str
    time_s: float
    timeline: Timeline | None = None
    source: str = ""
    note: str = ""


def fitted(panel: Panel) -> Image.Image:
    """Return the frame as a picture that fits a cell: a tall one does not dwarf its neighbours.

    Raises:
        ValueError: if the frame is no uint8 HxWx3.
    """
    frame = panel.frame
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(
            f"frame of panel {panel.title!r} is {frame.dtype} {frame.shape}; expected uint8 "
            "(height, width, 3): take it from a FrameSource"
        )
    picture = Image.fromarray(np.ascontiguousarray(frame))
    scale = min(CELL_PX / picture.width, _TALLEST / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def draw_panel(panel: Panel, picture: Image.Image, height: int) -> Image.Image:
    """Return title, picture, centred on a mat of the row's height, and timeline."""
    _draw_marks(picture, panel.marks)
    if panel.note:
        _draw_note(picture, panel.note)
    cell = Image.new(
        "RGB", (CELL_PX, TITLE_ROW_PX + height + timeline_height(panel.timeline)), WHITE
    )
    draw = ImageDraw.Draw(cell)
    _draw_title(draw, panel)
    bottom = TITLE_ROW_PX + height
    draw.rectangle((0, TITLE_ROW_PX, CELL_PX - 1, bottom - 1), fill=_MAT)
    left, top = (CELL_PX - picture.width) // 2, TITLE_ROW_PX + (height - picture.height) // 2
    cell.paste(picture, (left, top))
    draw.rectangle((0, TITLE_ROW_PX, CELL_PX - 1, bottom - 1), outline=_LINE)
    if panel.timeline is not None:
        _draw_timeline(draw, panel.timeline, panel.time_s, bottom)
    return cell


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font in a size of pixels."""
    return ImageFont.load_default(size)


def _draw_title(draw: ImageDraw.ImageDraw, panel: Panel) -> None:
    when = f"{panel.time_s:.1f} s"
    if panel.source:
        when = f"{_cut(draw, panel.source, CELL_PX / 2, _TEXT)}  {when}"
    room = CELL_PX - draw.textlength(when, font(_TEXT)) - 12
    text = _cut(draw, panel.title, room, _TITLE)
    draw.text((0, TITLE_ROW_PX - 9), text, _INK, font(_TITLE), anchor="ls")
    draw.text((CELL_PX, TITLE_ROW_PX - 9), when, GREY, font(_TEXT), anchor="rs")


def _cut(draw: ImageDraw.ImageDraw, text: str, room: float, size: int) -> str:
    """Return the text on one line, shortened to a room in pixels."""
    text = " ".join(text.split())
    if draw.textlength(text, font(size)) <= room:
        return text
    while text and draw.textlength(f"{text}...", font(size)) > room:
        text = text[:-1]
    return f"{text.rstrip()}..."


def _draw_note(picture: Image.Image, note: str) -> None:
    """Write a note on white in the lower left corner of a picture, as far as it has room."""
    draw = ImageDraw.Draw(picture)
    text = _cut(draw, note, picture.width - 24, _TEXT)
    width, bottom = draw.textlength(text, font(_TEXT)) + 12, picture.height - 6
    place = (6, bottom - _TEXT - 8, 6 + width, bottom)
    draw.rounded_rectangle(place, radius=4, fill=WHITE, outline=GREY)
    draw.text((12, bottom - _TEXT / 2 - 4), text, _INK, font(_TEXT), anchor="lm")


def _draw_marks(picture: Image.Image, marks: Sequence[Mark]) -> None:
    draw = ImageDraw.Draw(picture)
    boxes = [_to_pixels(mark.box_xyxy_norm, picture) for mark in marks]
    for mark, box in zip(marks, boxes, strict=True):
        _draw_box(draw, box, mark)
    placed: list[Rect] = []
    # Tags come last: a box never runs through a name.
    for mark, box in zip(marks, boxes, strict=True):
        tag = _place_tag(draw, box, mark, picture, placed)
        placed.append(tag)
        _draw_tag(picture, tag, mark)


def _to_pixels(box: Rect, picture: Image.Image) -> Rect:
    width, height = picture.size
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in box)
    return (x1 * (width - 1), y1 * (height - 1), x2 * (width - 1), y2 * (height - 1))


def _draw_box(draw: ImageDraw.ImageDraw, box: Rect, mark: Mark) -> None:
    x1, y1, x2, y2 = box
    if mark.sounding:
        # A white rim keeps the line readable on any picture.
        draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=WHITE, width=5)
        draw.rectangle(box, outline=mark.colour, width=3)
        return
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1))
    for start, end in pairwise(corners):
        draw.line((start, end), WHITE, 4)
    for start, end in pairwise(corners):
        _dash(draw, start, end, mark.colour)


def _dash(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], colour: RGB
) -> None:
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    # An odd number of pieces: every corner is drawn on both of its sides.
    pieces = 2 * max(round(length / 18), 1) + 1
    points = np.linspace(start, end, pieces + 1)
    for index in range(0, pieces, 2):
        draw.line((*points[index], *points[index + 1]), colour, 3)


def _place_tag(
    draw: ImageDraw.ImageDraw,
    box: Rect,
    mark: Mark,
    picture: Image.Image,
    placed: Sequence[Rect],
) -> Rect:
    """Return where the tag stands: at a corner of its box, in the frame, over no other tag."""
    wave = 18 if mark.sounding else 0
    width = draw.textlength(mark.label, font(_TEXT)) + wave + 12
    height = _TEXT + 8
    x1, y1, x2, y2 = box
    tops = (y1 - height - 1, y2 + 2, y1, y2 - height, y1 + height, y2 + height)
    spots = [(left, top) for top in tops for left in (x1 - 1, x2 - width + 1)]
    fitted = [_inside(left, top, width, height, picture) for left, top in spots]
    free = [
        spot
        for spot, (left, top) in zip(fitted, spots, strict=True)
        if abs(spot[1] - top) < 1 and not any(_overlap(spot, other) for other in placed)
    ]
    return (free or fitted)[0]


def _inside(left: float, top: float, width: float, height: float, picture: Image.Image) -> Rect:
    left = min(max(left, 0), max(picture.width - width, 0))
    top = min(max(top, 0), max(picture.height - height, 0))
    return (left, top, left + width, top + height)


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_tag(picture: Image.Image, tag: Rect, mark: Mark) -> None:
    draw = ImageDraw.Draw(picture)
    fill, ink = (mark.colour, _ink_on(mark.colour)) if mark.sounding else (WHITE, _INK)
    draw.rounded_rectangle(tag, radius=4, fill=fill, outline=mark.colour, width=2)
    middle = (tag[1] + tag[3]) / 2
    left = tag[0] + 6
    if mark.sounding:
        _draw_wave(picture, (round(left), round(middle)), ink)
        left += 18
    draw.text((left, middle), mark.label, ink, font(_TEXT), anchor="lm")


def _ink_on(colour: RGB) -> RGB:
    red, green, blue = colour
    return _INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else WHITE


def _draw_wave(picture: Image.Image, left_middle: tuple[int, int], ink: RGB) -> None:
    """Draw a loudspeaker with two arcs of sound, 14 px wide."""
    mask = Image.new("L", (14 * _SMOOTH, 14 * _SMOOTH))
    draw = ImageDraw.Draw(mask)
    cone = [(0, 5), (2.5, 5), (6, 2), (6, 12), (2.5, 9), (0, 9)]
    draw.polygon([(x * _SMOOTH, y * _SMOOTH) for x, y in cone], fill=255)
    for radius in (3.5, 7):
        box = [side * _SMOOTH for side in (5 - radius, 7 - radius, 5 + radius, 7 + radius)]
        draw.arc((box[0], box[1], box[2], box[3]), -42, 42, 255, round(1.4 * _SMOOTH))
    small = mask.resize((14, 14), Image.Resampling.LANCZOS)
    picture.paste(ink, (left_middle[0], left_middle[1] - 7), small)


def timeline_height(timeline: Timeline | None) -> int:
    """Return the pixels that a timeline takes below its picture."""
    if timeline is None:
        return 0
    return 12 + _sound_height(timeline) + _lanes_height(timeline) + 6 + SMALL_PX + 4


def _sound_height(timeline: Timeline) -> int:
    wave = _WAVE + 4 if timeline.loudness else 0
    rows = sum(_event_height(event) for event in timeline.events)
    return wave + rows + (4 if timeline.events else 0)


def _event_height(event: EventBar) -> int:
    return _NAMED_ROW if event.name else _EVENT + 2


def _lane_height(timeline: Timeline) -> int:
    bars = _LANE + (_STATES + 1 if any(lane.states for lane in timeline.lanes) else 0)
    return max(bars, SMALL_PX) if any(lane.name for lane in timeline.lanes) else bars


def _lanes_height(timeline: Timeline) -> int:
    return max(len(timeline.lanes), 1) * (_lane_height(timeline) + _LANE_GAP) + _LANE_GAP


def _draw_timeline(
    draw: ImageDraw.ImageDraw, timeline: Timeline, time_s: float, top: float
) -> None:
    start = timeline.left_px

    def x(at_s: float) -> float:
        share = at_s / timeline.duration_s if timeline.duration_s > 0 else 0.0
        return start + min(max(share, 0.0), 1.0) * (CELL_PX - 1 - start)

    above = top + 12
    top = above + _sound_height(timeline)
    bottom = top + _lanes_height(timeline)
    _draw_sound(draw, timeline, x, above)
    draw.rounded_rectangle((start, top, CELL_PX - 1, bottom), radius=4, fill=_BAR)
    for row, lane in enumerate(timeline.lanes):
        place = top + _LANE_GAP + row * (_lane_height(timeline) + _LANE_GAP)
        _draw_lane(draw, lane, x, place)
        _draw_name(draw, lane.name, place + _lane_height(timeline) / 2, lane.colour)
    if timeline.span is not None:
        _draw_span(draw, x(timeline.span[0]), x(timeline.span[1]), (top, bottom))
    now = x(time_s)
    draw.polygon([(now - 5, above - 8), (now + 5, above - 8), (now, above - 1)], fill=_INK)
    draw.line((now, above - 2, now, bottom + 1), _INK, 2)
    draw.text((start, bottom + 6), "0 s", GREY, font(SMALL_PX), anchor="lt")
    end = f"{timeline.duration_s:.1f} s"
    draw.text((CELL_PX, bottom + 6), end, GREY, font(SMALL_PX), anchor="rt")


def _draw_name(draw: ImageDraw.ImageDraw, name: str, middle: float, colour: RGB) -> None:
    """Write a row's name left of the time axis, behind a dot of the row's colour."""
    if name:
        draw.ellipse((0, middle - 4, 8, middle + 4), fill=colour)
        text = _cut(draw, name, _GUTTER - 20, SMALL_PX)
        draw.text((13, middle), text, _INK, font(SMALL_PX), anchor="lm")


def _draw_sound(draw: ImageDraw.ImageDraw, timeline: Timeline, x: ToPixel, top: float) -> None:
    """Draw the loudness as a wave about its middle, and the events' bars below it."""
    start = timeline.left_px
    if timeline.loudness:
        middle, columns = top + _WAVE / 2, (CELL_PX - start) // 2
        draw.line((start, middle, CELL_PX - 1, middle), _LINE, 1)
        for column in range(columns):
            first = column * len(timeline.loudness) // columns
            last = max((column + 1) * len(timeline.loudness) // columns, first + 1)
            heard = max(timeline.loudness[first:last])
            half = min(max(heard, 0.0), 1.0) * (_WAVE / 2 - 1)
            place = start + 2 * column
            draw.line((place, middle - half, place, middle + half), GREY, 1)
        top += _WAVE + 4
    for event in timeline.events:
        middle = top + (_event_height(event) - 2) / 2
        _draw_name(draw, event.name, middle, _INK)
        above = round(middle - _EVENT / 2)
        for start_s, end_s in event.segments:
            # One pixel less: where the next one follows at once, a gap can be seen.
            right = max(x(end_s) - 1, x(start_s) + 2)
            draw.rectangle((x(start_s), above, right, above + _EVENT - 1), fill=_INK)
        top += _event_height(event)


def _draw_lane(draw: ImageDraw.ImageDraw, lane: Lane, x: ToPixel, above: float) -> None:
    """Draw when an object sounds and, below it, when it is seen."""
    middle = above + _LANE / 2
    draw.line((x(0) + 4, middle, CELL_PX - 5, middle), lane.colour, 1)
    for start_s, end_s in lane.sounding:
        place = (x(start_s), above, max(x(end_s), x(start_s) + 2), above + _LANE)
        draw.rounded_rectangle(place, radius=3, fill=lane.colour)
    top, bottom = above + _LANE + 2, above + _LANE + _STATES
    for stretch in lane.states:
        left, right = x(stretch.start_s), max(x(stretch.end_s) - 1, x(stretch.start_s) + 1)
        if stretch.state == "visible":
            draw.rectangle((left, top, right, bottom), fill=lane.colour)
        elif stretch.state == "absent":
            draw.rectangle((left, top, right, bottom), fill=WHITE, outline=lane.colour)
        else:
            for at in range(round(left), round(right) + 1, 5):
                draw.rectangle((at, top + 1, at + 1, bottom - 1), fill=GREY)


def _draw_span(
    draw: ImageDraw.ImageDraw, left: float, right: float, rows: tuple[float, float]
) -> None:
    """Draw brackets around the stretch that the question names, and its word below."""
    top, bottom = rows
    for side, inward in ((left, 5), (right, -5)):
        draw.line((side, top - 2, side, bottom + 2), _INK, 2)
        for y in (top - 2, bottom + 2):
            draw.line((side, y, side + inward, y), _INK, 2)
    middle = min(max((left + right) / 2, 60), CELL_PX - 75)
    draw.text((middle, bottom + 6), "asked", _INK, font(SMALL_PX), anchor="mt")

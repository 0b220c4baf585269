"""Events as they are shown to people: a clip of a video, objects, and tubes that come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.show import Shown
from earshot.geometry.tubes import VISIBLE
from earshot.schemas import ids
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube, boxes_from_array, states_from_array
from tests.factories import make_event, make_event_object, make_object, make_tube, make_video

DONE_AT = "2026-03-01T12:00:00.000000Z"
CLOCK = Clock(1.0, 25.0, 200)
RATES = (25.0, 30000 / 1001, 24.0, 10.0)


def shown_of(*tubes: Tube, clock: Clock = CLOCK, **changes: Any) -> Shown:
    """The event `dog barking`, 2 to 6 s, with a dog that sounds and a cat that does not."""
    event = make_event()
    things = [make_object(), make_object(name="cat")]
    parts = [
        make_event_object(event, things[0]),
        make_event_object(event, things[1], audibility="visible_only", sounding=()),
    ]
    values = {
        "video": make_video(),
        "event": event,
        "parts": parts,
        "objects": things,
        "tubes": tubes,
        "clip": "clips/a.mp4",
        "clock": clock,
        "captions": ["A brown dog barks at the gate."],
    }
    return Shown(**{**values, **changes})


def walking(
    thing: Object | None = None,
    seen: list[bool] | None = None,
    seed: int = 0,
    step_s: float = 0.2,
    start_s: float = 1.5,
    ordinal: int = 0,
    **changes: Any,
) -> Tube:
    """A tube whose box walks about at random, absent where it is not seen."""
    thing = thing or make_object()
    seen = [True] * 25 if seen is None else seen
    random = np.random.default_rng(seed)
    n = len(seen)
    centre = 0.5 + np.cumsum(random.normal(0, 0.012, (n, 2)), axis=0).clip(-0.3, 0.3)
    size = (0.25 + np.cumsum(random.normal(0, 0.004, (n, 2)), axis=0)).clip(0.1, 0.38)
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    boxes[~np.array(seen)] = np.nan
    times_s = tuple(round(start_s + step_s * number, 6) for number in range(n))
    window = (times_s[0], times_s[-1] + step_s)
    values = {
        "tube_id": ids.tube_id(thing.object_id, window, ordinal),
        "times_s": times_s,
        "boxes": boxes_from_array(boxes),
        "state": states_from_array(np.where(seen, VISIBLE, 0).astype(np.int8)),
        "score": tuple(0.8 if one else None for one in seen),
        **changes,
    }
    return make_tube(thing, window, **values)


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """Clips of some seconds at usual rates."""
    fps = draw(st.sampled_from(RATES))
    first = draw(st.integers(0, 60))
    return Clock(first / fps, fps, draw(st.integers(int(4 * fps), int(9 * fps))))


@st.composite
def tubes(draw: st.DrawFn, ordinal: int = 0) -> Tube:
    """Tubes that come and go."""
    runs = draw(st.lists(st.tuples(st.booleans(), st.integers(1, 12)), min_size=1, max_size=6))
    seen = [is_seen for is_seen, length in runs for _ in range(length)]
    return walking(
        draw(st.sampled_from([make_object(), make_object(name="cat")])),
        seen if len(seen) > 1 else [*seen, False],
        draw(st.integers(0, 10_000)),
        draw(st.sampled_from([0.2, 0.1, 0.04, 0.25])),
        draw(st.sampled_from([0.0, 0.52, 1.0, 2.337])),
        ordinal,
    )

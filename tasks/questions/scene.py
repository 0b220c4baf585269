"""One reviewed video as questions see it: who is heard and seen when, and what nobody knows.

Takes the rows of the reviewed view and gives interval sets in seconds; never writes a question.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from earshot.geometry.intervals import Interval, Normalised, intersect, normalise, union
from earshot.geometry.visible import visible_intervals
from earshot.schemas.base import to_pairs
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.reviewed import Reviewed, ReviewedEvent

T = TypeVar("T")


@dataclass(frozen=True)
class Scene:
    """What is known of one video.

    Attributes:
        video: its length and frame size.
        objects: by id.
        stands: events and tubes after inspection.
        given_parts: what each object does in every event, also in those that do not stand.
    """

    video: Video
    objects: Mapping[str, Object]
    stands: Reviewed
    given_parts: Sequence[EventObject]
    _memo: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gives, made once a scene: templates ask the same things of it."""
        if what not in self._memo:
            self._memo[what] = make()
        found: T = self._memo[what]
        return found

    def tubes(self, object_id: str) -> list[Tube]:
        """Return the accepted tubes of an object."""
        return [tube for tube in self.stands.tubes if tube.object_id == object_id]

    def events_during(self, span_s: Interval) -> tuple[ReviewedEvent, ...]:
        """Return the standing events that overlap a stretch."""
        return tuple(
            each
            for each in self.stands.events
            if intersect(to_pairs(each.event.segments), [span_s])
        )

    def sounding(self, object_id: str) -> Normalised:
        """Return S(o): when an object sounds, over all standing events (CONTRACTS 5)."""
        return self.once(
            ("sounding", object_id),
            lambda: _sounding(p for p in self.stands.parts if p.object_id == object_id),
        )

    def visible(self, object_id: str) -> Normalised:
        """Return V(o): when any accepted tube of an object is visible (CONTRACTS 5)."""
        return self.once(("visible", object_id), lambda: self._visible(object_id))

    def active(self, object_id: str) -> Normalised:
        """Return S(o) and V(o) together: when an object is heard and seen."""
        return intersect(self.sounding(object_id), self.visible(object_id))

    def _visible(self, object_id: str) -> Normalised:
        found: Normalised = ()
        for tube in self.tubes(object_id):
            times_s, _, states = tube.arrays()
            found = union(found, visible_intervals(times_s, states, tube.window.pair))
        return found

    def maybe_seen(self, object_id: str) -> Normalised:
        """Return when an object sounds and nobody knows whether it is seen.

        That is in events that nobody settled, and in events that only rules inspected, where the
        captions say that it is seen and no tube of it was accepted. (Where a person calls an event
        ok, nothing visible is missing.)
        """
        open_events = {event.event_id for event in self.stands.unsettled}
        open_events |= {
            each.event.event_id
            for each in self.stands.events
            if each.inspected_by == "automatic" and not self._has_tube(object_id, each)
        }
        return _sounding(
            part
            for part in self.given_parts
            if part.object_id == object_id
            and part.event_id in open_events
            and part.audibility != "audible_only"
        )

    def is_settled(self, span_s: Interval) -> bool:
        """Tell whether every event that overlaps a stretch is settled."""
        return not any(
            intersect(to_pairs(event.segments), [span_s]) for event in self.stands.unsettled
        )

    def _has_tube(self, object_id: str, each: ReviewedEvent) -> bool:
        segments = to_pairs(each.event.segments)
        return any(intersect(segments, [tube.window.pair]) for tube in self.tubes(object_id))


def _sounding(parts: Iterable[EventObject]) -> Normalised:
    return normalise([interval.pair for part in parts for interval in part.sounding])

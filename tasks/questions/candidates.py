"""Every question that could be asked of a reviewed video, with its id, before any gate.

A pure function of pack and scene, so that each candidate is accounted for: written, or refused with
a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from earshot.prompts.packs import Pack, Template
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import question_id
from earshot.schemas.object import Object
from earshot.store.reviewed import ReviewedEvent
from earshot.tasks.questions.scene import Scene


@dataclass(frozen=True)
class Candidate:
    """A question that could be asked.

    Attributes:
        question_id: its id (CONTRACTS 1).
        template: the wording.
        events: the events that it asks about.
        object_ids: temporal and spatio-temporal: the one object. Spatial: the event's objects that
            the captions say are heard and seen (sounding) or only seen (silent), or the one that
            the question names. Never the objects
            of the answer: those depend on tubes, and an id must not.
        asked: the object that the question names, if it names one.
    """

    question_id: str
    template: Template
    events: tuple[ReviewedEvent, ...]
    object_ids: tuple[str, ...]
    asked: Object | None

    @property
    def event_ids(self) -> tuple[str, ...]:
        """Sorted ids of the events."""
        return tuple(sorted(each.event.event_id for each in self.events))


def candidates(scene: Scene, pack: Pack) -> list[Candidate]:
    """Return every event x task x branch x object that could be asked, sorted by question id."""
    found = [candidate for template in pack.templates for candidate in _of(template, scene, pack)]
    return sorted(found, key=lambda candidate: candidate.question_id)


def _of(template: Template, scene: Scene, pack: Pack) -> Iterator[Candidate]:
    if template.about == "object":
        for each in scene.stands.events:
            for object_id in sorted({part.object_id for part in _parts(scene, each)}):
                asked = scene.objects[object_id]
                yield _candidate(template, scene, pack, (each,), (object_id,), asked)
        return
    if template.task == "spatial":
        role = "visible_and_audible" if template.branch == "sounding" else "visible_only"
        for each in scene.stands.events:
            in_role = [p.object_id for p in _parts(scene, each) if p.audibility == role]
            yield _candidate(template, scene, pack, (each,), tuple(sorted(in_role)), None)
        return
    for asked, events in _moments(scene, pack):
        # Candidates must not depend on tubes: captions have to say that there are two.
        if template.which is not None and (asked.count != 2 or asked.is_group):
            continue
        yield _candidate(template, scene, pack, events, (asked.object_id,), asked)


def _moments(scene: Scene, pack: Pack) -> Iterator[tuple[Object, tuple[ReviewedEvent, ...]]]:
    """Yield what can be asked "when": an object in an event, or in all events together."""
    for object_id, asked in sorted(scene.objects.items()):
        events = tuple(
            each
            for each in scene.stands.events
            if any(
                part.object_id == object_id
                and part.audibility == "visible_and_audible"
                and part.sounding
                for part in _parts(scene, each)
            )
        )
        if pack.times == "segment":
            for each in events:
                yield asked, (each,)
        elif events:
            yield asked, events


def _parts(scene: Scene, each: ReviewedEvent) -> list[EventObject]:
    return [part for part in scene.stands.parts if part.event_id == each.event.event_id]


def _candidate(
    template: Template,
    scene: Scene,
    pack: Pack,
    events: tuple[ReviewedEvent, ...],
    object_ids: tuple[str, ...],
    asked: Object | None,
) -> Candidate:
    event_ids = [each.event.event_id for each in events]
    made_of = (template.task, template.branch, pack.name, template.id, event_ids, object_ids)
    return Candidate(
        question_id(scene.video.video_id, *made_of), template, events, object_ids, asked
    )

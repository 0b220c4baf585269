"""Names to choose from: the right one, and distractors that are seen in the same video.

Takes an answer and the scene and gives the options in a fixed order, or a refusal. Never looks at
other videos: what isn't there at all would be no choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earshot.geometry.intervals import Interval, intersect
from earshot.names import norm
from earshot.schemas.base import digest_of
from earshot.schemas.object import Object
from earshot.tasks.questions.candidates import Candidate
from earshot.tasks.questions.instances import Instance
from earshot.tasks.questions.scene import Scene

LEAST = 3
"""With two names a coin is right half of the time."""


@dataclass(frozen=True)
class Refusal:
    """Why a candidate makes no question: a reason code of the ledger, and what was found."""

    code: str
    message: str


def choices(
    candidate: Candidate, scene: Scene, answer: Sequence[Instance], span_s: Interval
) -> tuple[str, ...] | Refusal:
    """Return the right name and its distractors, in an order that a hash of the question gives.

    A distractor is seen somewhere in the video, makes no sound in the stretch, and goes by no name
    of the right object or of another option.
    """
    right = {each.object_id for each in answer}
    if len(right) != 1:
        return Refusal("no_choice", f"{len(right)} objects are right; expected one")
    chosen = [scene.objects[right.pop()]]
    if "," in chosen[0].name:  # commas part the options
        return Refusal("no_choice", f"{chosen[0].name!r} would be read as two names")
    others = [
        each
        for each in scene.objects.values()
        if "," not in each.name
        and scene.visible(each.object_id)
        and not intersect(scene.sounding(each.object_id), [span_s])
    ]
    for other in sorted(others, key=lambda each: digest_of([candidate.question_id, each.name])):
        is_distinct = not any(share_a_name(other, each) for each in chosen)
        if is_distinct and len(chosen) < (candidate.template.options or LEAST):
            chosen.append(other)
    if len(chosen) < LEAST:
        found = [each.name for each in chosen[1:]]
        return Refusal("no_choice", f"distractors {found}; expected at least {LEAST - 1}")
    ordered = sorted(chosen, key=lambda each: digest_of([each.name, candidate.question_id]))
    return tuple(each.name for each in ordered)


def share_a_name(one: Object, other: Object) -> bool:
    """Tell whether a reader may call two objects by one name."""
    return not _names(one).isdisjoint(_names(other))


def goes_by(thing: Object, name: str) -> bool:
    """Tell whether a reader may call an object by a name."""
    return norm(name) in _names(thing)


def _names(thing: Object) -> set[str]:
    return {norm(name) for name in (thing.name, *thing.accept)} - {""}

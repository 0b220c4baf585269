"""What a question's answer is, or why it has no only right answer (CONTRACTS 5).

Takes a candidate and the scene and gives intervals, grid and instances, or a refusal with a reason
of the ledger. Never rounds boxes and never writes text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from earshot.geometry.grid import Grid, question_grid
from earshot.geometry.intervals import (
    Interval,
    Normalised,
    intersect,
    length_s,
    normalise,
    subtract,
)
from earshot.geometry.rounding import half_up
from earshot.geometry.spaces import BoxSpace
from earshot.geometry.tubes import UNKNOWN, VISIBLE, States
from earshot.prompts.packs import Pack
from earshot.schemas.base import to_pairs
from earshot.schemas.config import QuestionsConfig
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.store.reviewed import ReviewedEvent
from earshot.tasks.questions.candidates import Candidate
from earshot.tasks.questions.choices import Refusal, choices, goes_by, share_a_name
from earshot.tasks.questions.instances import Instance, join, of_two, on_grid
from earshot.tasks.questions.scene import Scene

SLACK_S = 0.1 + 1e-6
"""Another stretch that is no longer than a rendered tenth is the edge of the asked one."""


@dataclass(frozen=True)
class Draft:
    """What is asked and answered, boxes not yet rounded.

    Attributes:
        intervals_s: rendered to 0.1 s; of a spatial question the stretch that it names.
        grid: the times that boxes are asked for.
        instances: those of the answer, in its order; of a temporal question those that are seen.
        events: the standing events that the answer rests on.
        span_s: the stretch that a spatial question names, as its event has it; not rounded.
        options: names to choose from, in the question's order; empty for a free answer.
    """

    intervals_s: Normalised
    grid: Grid
    instances: tuple[Instance, ...]
    events: tuple[ReviewedEvent, ...]
    span_s: Interval | None = None
    options: tuple[str, ...] = ()


def box_space(pack: Pack, scene: Scene) -> BoxSpace:
    """Return the space of a pack's answers: `norm`, or pixels as R-AVST has them."""
    return _space("native_px" if pack.answers == "r-avst" else "norm", scene)


def draft(
    candidate: Candidate, scene: Scene, pack: Pack, config: QuestionsConfig
) -> Draft | Refusal:
    """Return the answer of a candidate, or the first reason against asking it."""
    if candidate.template.task == "spatial":
        return _spatial(candidate, scene, pack, config)
    return _moment(candidate, scene, pack, config)


# temporal and spatio_temporal


def _moment(
    candidate: Candidate, scene: Scene, pack: Pack, config: QuestionsConfig
) -> Draft | Refusal:
    assert candidate.asked is not None
    object_id = candidate.asked.object_id
    if refusal := _refuse_namesakes(candidate.asked, scene):
        return refusal
    active = scene.active(object_id)
    if pack.times == "segment":
        asked = _only_segment(candidate.events[0], active)
        if isinstance(asked, Refusal):
            return asked
    else:
        asked = active
    if refusal := _refuse_elsewhere(object_id, asked, active, scene):
        return refusal
    intervals_s = _rendered(asked)
    if not intervals_s:
        return Refusal("empty_answer", f"{list(asked)} s is nothing when rounded to 0.1 s")
    share = length_s(asked) / scene.video.duration_s
    if share >= config.max_event_cover - 1e-9:
        return Refusal("whole_video", f"{share:.2f} of the video, limit {config.max_event_cover}")
    return _seen_moment(candidate, scene, pack, config, intervals_s)


def _refuse_namesakes(asked: Object, scene: Scene) -> Refusal | None:
    """Return a refusal if another object may be meant, as a police car by "the car"."""
    for object_id, other in sorted(scene.objects.items()):
        if object_id == asked.object_id or not goes_by(other, asked.name):
            continue
        if scene.active(object_id) or scene.maybe_seen(object_id):
            return Refusal("several_instances", f"{other.name!r} goes by {asked.name!r} too")
    return None


def _only_segment(each: ReviewedEvent, active: Normalised) -> Normalised | Refusal:
    """Return the one segment of an event in which the object sounds and is seen."""
    segments = to_pairs(each.event.segments)
    hits = [segment for segment in segments if intersect(active, [segment])]
    if not hits:
        return Refusal("hardly_visible", "it is not seen while it sounds")
    if len(hits) > 1:
        return Refusal("another_stretch", f"it sounds and is seen in the segments {hits} s")
    return tuple(hits)


def _refuse_elsewhere(
    object_id: str, asked: Normalised, active: Normalised, scene: Scene
) -> Refusal | None:
    """Return a refusal if the object sounds and is, or may be, seen outside the asked stretch."""
    others = _longer_than_slack(subtract(active, asked))
    if others:
        return Refusal("another_stretch", f"it also sounds and is seen in {others} s")
    unknown = _longer_than_slack(subtract(scene.maybe_seen(object_id), asked))
    if unknown:
        return Refusal("not_complete", f"nobody knows whether it is seen in {unknown} s")
    return None


def _seen_moment(
    candidate: Candidate,
    scene: Scene,
    pack: Pack,
    config: QuestionsConfig,
    intervals_s: Normalised,
) -> Draft | Refusal:
    (object_id,) = candidate.object_ids
    grid = question_grid(intervals_s)
    seen = _seen(object_id, scene, pack, grid)
    anywhere = _best_states(seen, len(grid.times_s))
    everywhere = np.ones(len(grid.times_s), dtype=bool)
    if refusal := _refuse_hidden(anywhere, everywhere, config, "it"):
        return refusal
    instances = join(seen)
    which = candidate.template.which
    if which is not None:
        chosen = of_two(instances or (), which)
        if chosen is None or _are_missing(candidate, 2):
            return Refusal("several_instances", f"none of {len(seen)} tubes is the {which} of two")
        if refusal := _refuse_hidden(chosen.states, everywhere, config, f"the {which} one"):
            return refusal
        instances = (chosen,)
    elif candidate.template.task == "spatio_temporal" and (
        instances is None or len(instances) > 1 or _are_missing(candidate, 1)
    ):
        return Refusal("several_instances", f"{len(seen)} tubes are seen in {intervals_s} s")
    return Draft(intervals_s, grid, instances or tuple(seen), candidate.events)


def _are_missing(candidate: Candidate, found: int) -> bool:
    """Tell whether captions speak of more instances than were found, and no person looked."""
    asked = candidate.asked
    assert asked is not None
    is_seen_by_people = all(each.inspected_by == "human" for each in candidate.events)
    return not is_seen_by_people and not asked.is_group and (asked.count or 1) > found


# spatial


def _spatial(
    candidate: Candidate, scene: Scene, pack: Pack, config: QuestionsConfig
) -> Draft | Refusal:
    span_s = _span(candidate.events[0])
    intervals_s = _rendered((span_s,))
    if not intervals_s:
        return Refusal("empty_answer", f"{span_s} s is nothing when rounded to 0.1 s")
    if not scene.is_settled(span_s):
        return Refusal("not_complete", f"an event that overlaps {span_s} s is not inspected")
    grid = question_grid(intervals_s)
    instances = _answer(candidate, scene, pack, config, span_s, grid)
    if isinstance(instances, Refusal):
        return instances
    if refusal := _refuse_ask(candidate, scene, pack, span_s, grid):
        return refusal
    options: tuple[str, ...] = ()
    if candidate.template.options is not None:
        chosen = choices(candidate, scene, instances, span_s)
        if isinstance(chosen, Refusal):
            return chosen
        options = chosen
    events = scene.events_during(span_s)
    by_people = all(each.inspected_by == "human" for each in events)
    can_be_none = by_people and candidate.template.branch == "sounding"
    if not instances and not (can_be_none and pack.answers == "earshot"):
        # "none" is an answer only where a person said that nothing is missing, and never of
        # silent things, which nobody can list; R-AVST has no such answer.
        return Refusal("empty_answer", f"no such object is seen in {span_s} s")
    return Draft(intervals_s, grid, instances, events, span_s, options)


def _refuse_ask(
    candidate: Candidate, scene: Scene, pack: Pack, span_s: Interval, grid: Grid
) -> Refusal | None:
    """Return a refusal of a question about one object, if its name or its silence is unclear.

    A silent object has to be in view, else it is neither of the two that "none" stands for; and no
    other that sounds may go by its name.
    """
    asked = candidate.asked
    if asked is None:
        return None
    for other in scene.objects.values():
        is_other = other.object_id != asked.object_id and share_a_name(asked, other)
        if is_other and intersect(scene.sounding(other.object_id), [span_s]):
            return Refusal("several_instances", f"{other.name!r} sounds and goes by that name too")
    is_heard = bool(intersect(scene.sounding(asked.object_id), [span_s]))
    if not is_heard and not _seen(asked.object_id, scene, pack, grid):
        return Refusal("hardly_visible", f"{asked.name!r} is neither heard nor seen in {span_s} s")
    return None


def _answer(
    candidate: Candidate,
    scene: Scene,
    pack: Pack,
    config: QuestionsConfig,
    span_s: Interval,
    grid: Grid,
) -> tuple[Instance, ...] | Refusal:
    """Return all instances of all objects that belong into a spatial answer, in its order."""
    found: list[Instance] = []
    wants_sound = candidate.template.branch == "sounding"
    asked = candidate.asked
    for object_id in sorted(scene.objects if asked is None else [asked.object_id]):
        sounds = bool(intersect(scene.sounding(object_id), [span_s]))
        if sounds != wants_sound:
            continue
        joined = _instances(object_id, scene, pack, config, span_s, grid)
        if isinstance(joined, Refusal):
            return joined
        found += joined
    names = {object_id: each.name for object_id, each in scene.objects.items()}
    return tuple(
        sorted(found, key=lambda each: (*each.place(), names[each.object_id], each.tube_ids))
    )


def _instances(
    object_id: str,
    scene: Scene,
    pack: Pack,
    config: QuestionsConfig,
    span_s: Interval,
    grid: Grid,
) -> tuple[Instance, ...] | Refusal:
    """Return the instances of one object that are seen in a stretch, or why they aren't known."""
    name = scene.objects[object_id].name
    if intersect(scene.maybe_seen(object_id), [span_s]):
        return Refusal("not_complete", f"{name!r} sounds and no accepted tube shows where it is")
    seen = _seen(object_id, scene, pack, grid)
    joined = join(seen)
    if joined is None:
        return Refusal("several_instances", f"tubes of {name!r} can't be told apart")
    for each in joined:
        if refusal := _refuse_hidden(each.states, each.is_covered, config, repr(name)):
            return refusal
    if not joined and _nobody_looked(object_id, scene, pack, grid, span_s):
        return Refusal("unknown_boxes", f"nobody looked where {name!r} is while it sounds")
    said = scene.objects[object_id].count or 1
    by_rules = any(each.inspected_by == "automatic" for each in scene.events_during(span_s))
    if joined and by_rules and not scene.objects[object_id].is_group and said > len(joined):
        return Refusal("not_complete", f"captions speak of {said} {name!r}, found {len(joined)}")
    return joined


def _nobody_looked(object_id: str, scene: Scene, pack: Pack, grid: Grid, span_s: Interval) -> bool:
    """Tell whether an object sounds, has tubes here, and none says anything at any grid time."""
    if not intersect(scene.sounding(object_id), [span_s]):
        return False
    here = [t for t in scene.tubes(object_id) if intersect([t.window.pair], [span_s])]
    states = [_placed(tube, scene, pack, grid).states for tube in here]
    return bool(states) and bool(np.all(np.stack(states) == UNKNOWN))


# both


def _seen(object_id: str, scene: Scene, pack: Pack, grid: Grid) -> list[Instance]:
    """Return the accepted tubes of an object that are visible at a time of the grid."""
    placed = (_placed(tube, scene, pack, grid) for tube in scene.tubes(object_id))
    return [each for each in placed if each.is_seen]


def _placed(tube: Tube, scene: Scene, pack: Pack, grid: Grid) -> Instance:
    """Return a tube on a grid, in the space of the pack."""
    target = box_space(pack, scene)

    def place() -> Instance:
        return on_grid(tube, grid.times_s, _space(tube.box_space, scene), target)

    # Several templates ask about one stretch; ids alone: a tube is one row of a scene.
    return scene.once(("placed", tube.tube_id, id(tube), grid.times_s, target.kind), place)


def _space(kind: Literal["norm", "native_px"], scene: Scene) -> BoxSpace:
    return BoxSpace(kind, scene.video.width, scene.video.height)


def _best_states(seen: Sequence[Instance], count: int) -> States:
    """Return the highest state of any tube at each time; unknown where there is no tube."""
    best = np.full(count, UNKNOWN, dtype=np.int8)
    for each in seen:
        best = np.maximum(best, each.states)
    return best


def _refuse_hidden(
    states: States,
    is_due: npt.NDArray[np.bool_],
    config: QuestionsConfig,
    who: str,
) -> Refusal | None:
    """Return a refusal if a tube is visible in too few of the times that it should cover."""
    due = int(np.count_nonzero(is_due))
    visible = int(np.count_nonzero(states[is_due] == VISIBLE))
    unknown = int(np.count_nonzero(states[is_due] == UNKNOWN))
    least = config.min_visible_share * due
    if visible >= least:
        return None
    code = "unknown_boxes" if visible + unknown >= least else "hardly_visible"
    return Refusal(code, f"{who} is visible at {visible} of {due} times, unknown at {unknown}")


def _span(each: ReviewedEvent) -> Interval:
    """Return the stretch that a spatial question names: the longest segment, else the first."""
    return max(to_pairs(each.event.segments), key=lambda pair: (pair[1] - pair[0], -pair[0]))


def _rendered(intervals_s: Sequence[Interval]) -> Normalised:
    """Return the set with ends rounded half-up to 0.1 s; what becomes empty is dropped."""
    return normalise([(half_up(start, 1), half_up(end, 1)) for start, end in intervals_s])


def _longer_than_slack(intervals_s: Normalised) -> list[Interval]:
    return [(start, end) for start, end in intervals_s if end - start > SLACK_S]

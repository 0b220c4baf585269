"""Writes questions: from the reviewed events and tubes of a video to templated QA pairs with truth.

Accounts for every question that could be asked: it is written, or refused with a reason. Never
asks what has more than one right answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from earshot.errors import ItemError
from earshot.geometry.rounding import half_up
from earshot.prompts.packs import load_pack
from earshot.schemas.base import Interval, Record
from earshot.schemas.config import QuestionsConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import video_of
from earshot.schemas.inspection import Inspection
from earshot.schemas.ledger import ItemKind
from earshot.schemas.object import Object
from earshot.schemas.question import Question, Split
from earshot.schemas.tube import RevisedTube, ShownTube, Tube
from earshot.schemas.video import Video
from earshot.store.reviewed import reviewed
from earshot.store.stage import (
    Digests,
    Done,
    Item,
    Outcome,
    Quarantined,
    Reads,
    Stage,
    StageContext,
    StageInput,
)
from earshot.tasks.questions.candidates import Candidate, candidates
from earshot.tasks.questions.choices import Refusal
from earshot.tasks.questions.draft import Draft, draft
from earshot.tasks.questions.scene import Scene
from earshot.tasks.questions.split import split_of
from earshot.tasks.questions.wording import Wording, word


class WriteQuestions(Stage[QuestionsConfig]):
    """Templated questions of all three tasks (CONTRACTS 5)."""

    name: ClassVar[str] = "questions"
    version: ClassVar[str] = "8"
    section: ClassVar[str] = "questions"
    reads: ClassVar[tuple[Reads, ...]] = (
        Reads(Video, ("duration_s", "width", "height", "split_group")),
        Reads(Event, ("event_id", "segments", "time_source")),
        Reads(Object, ("object_id", "name", "accept", "count", "is_group")),
        Reads(EventObject, ("event_id", "object_id", "audibility", "sounding")),
        Reads(Tube, ("digest",)),
        Reads(RevisedTube, ("digest",)),
        Reads(ShownTube, ("digest",)),
        Reads(
            Inspection,
            (
                "inspection_id",
                "event_id",
                "verdict",
                "segments",
                "shown_segments",
                "tubes",
                "at",
                "inspected_by",
                "resolved_from",
            ),
        ),
    )
    writes: ClassVar[tuple[type[Record], ...]] = (Question,)
    item_kind: ClassVar[ItemKind | None] = "question"

    def __init__(self, config: QuestionsConfig, context: StageContext) -> None:
        """Load the pack; raises ConfigError if there is none or it is broken."""
        super().__init__(config, context)
        self.pack = load_pack(config.pack)

    def digests(self) -> Digests:
        """The pack's content is the prompt."""
        return Digests(prompt=self.pack.digest)

    def keyed_config(self) -> dict[str, Any]:
        """The pack counts by its name and content, wherever it lies."""
        return {**super().keyed_config(), "pack": self.pack.name}

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Ids of every question that could be asked."""
        return tuple(each.question_id for each in candidates(_scene(given), self.pack))

    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield `Done` with the questions of each video; `empty` where none passes the gates."""
        for given in batch:
            try:
                yield self._write(given)
            except ItemError as fault:
                yield Quarantined.by(fault, given.video_id)

    def _write(self, given: StageInput) -> Done:
        scene = _scene(given)
        rows, items = [], []
        for candidate in candidates(scene, self.pack):
            made = self._ask(candidate, scene)
            if isinstance(made, Refusal):
                items.append(Item(candidate.question_id, "filtered", made.code, made.message))
            else:
                items.append(Item(candidate.question_id))
                rows.append(made)
        reason = None if rows else "empty"
        return Done(given.video_id, tuple(items), rows=tuple(rows), reason_code=reason)

    def _ask(self, candidate: Candidate, scene: Scene) -> Question | Refusal:
        split = self._split(scene.video)
        if refusal := _refuse_caption_times(candidate, split):
            return refusal
        drafted = draft(candidate, scene, self.pack, self.config)
        if isinstance(drafted, Refusal):
            return drafted
        worded = word(candidate, drafted, scene, self.pack, self.config.max_answer_tokens)
        if isinstance(worded, Refusal):
            return worded
        return self._row(candidate, drafted, worded, split)

    def _split(self, video: Video) -> Split:
        return split_of(
            video.split_group or video.video_id,
            seed=self.config.split_seed,
            validation_share=self.config.validation_share,
            test_share=self.config.test_share,
        )

    def _row(self, candidate: Candidate, drafted: Draft, worded: Wording, split: Split) -> Question:
        by_people = all(each.inspected_by == "human" for each in drafted.events)
        tube_ids = {tube_id for each in drafted.instances for tube_id in each.tube_ids}
        return Question(
            question_id=candidate.question_id,
            video_id=video_of(candidate.question_id),
            split=split,
            task=candidate.template.task,
            branch=candidate.template.branch,
            pack=self.pack.name,
            template_id=candidate.template.id,
            question=worded.question,
            asked_object_id=None if candidate.asked is None else candidate.asked.object_id,
            options=drafted.options,
            answer=worded.answer,
            truth_json=worded.truth_json,
            span=_span(candidate, drafted),
            grid=worded.truth.grid,
            event_ids=candidate.event_ids,
            object_ids=candidate.object_ids,
            tube_ids=tuple(sorted(tube_ids)),
            inspection_ids=tuple(sorted({each.inspection_id for each in drafted.events})),
            inspected_by="human" if by_people else "automatic",
            box_space=worded.truth.box_space,
        )


def _scene(given: StageInput) -> Scene:
    parts = given.all(EventObject)
    stands = reviewed(
        given.all(Event),
        parts,
        given.all(Tube),
        # A revision that a later one replaced still belongs to the inspection that made it.
        [*given.all(RevisedTube), *(each.tube() for each in given.all(ShownTube))],
        given.all(Inspection),
    )
    objects = {each.object_id: each for each in given.all(Object)}
    return Scene(given.one(Video), objects, stands, parts)


def _refuse_caption_times(candidate: Candidate, split: Split) -> Refusal | None:
    """Return a refusal for times of captions that nobody inspected, in evaluation (CONTRACTS 3)."""
    unsure = [
        each.event.event_id
        for each in candidate.events
        if each.event.time_source == "caption" and each.inspected_by == "automatic"
    ]
    if split == "train" or not unsure:
        return None
    return Refusal("caption_times", f"the times of {unsure[0]} are a caption's; split {split}")


def _span(candidate: Candidate, drafted: Draft) -> Interval | None:
    """Return the stretch that the question names: only spatial ones name any."""
    if candidate.template.task != "spatial":
        return None
    start_s, end_s = drafted.intervals_s[0]
    return Interval(start_s=half_up(start_s, 1), end_s=half_up(end_s, 1))

"""Blind answers that name objects and boxes, written as completions and scored as a model's are.

Takes the tables of a release, gives rows for its card and for the gate `blind`. What is searched is
searched on train, what is scored is test (CONTRACTS 8).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from earshot.schemas.question import Task
from earshot.tasks.publish_release.baselines import Baseline, Metric
from earshot.tasks.publish_release.contents import Contents
from earshot.tasks.publish_release.facts import Fact
from earshot.tasks.score_answers.baselines import score_baselines
from earshot.tasks.score_answers.read import asked_of
from earshot.tasks.score_answers.record import BaselineScore

_METRICS: dict[Task, tuple[Metric, ...]] = {
    "temporal": (),
    "spatial": ("object_f1", "m_vIoU"),
    "spatio_temporal": ("m_vIoU",),
}
"""What is scored beside m_tIoU, which `baselines.measure` has."""


def blind_rows(contents: Contents, facts: Sequence[Fact]) -> tuple[Baseline, ...]:
    """Return m_vIoU and object_f1 of the blind answers; broken rows are left out."""
    fine = pa.array([not fact.faults for fact in facts], pa.bool_())
    questions = contents.questions.filter(fine)
    train, test = (
        asked_of(
            questions.filter(pc.equal(questions["split"], split)),
            contents.videos,
            contents.tables["events"],
        )
        for split in ("train", "test")
    )
    counts = Counter(one.task for one in test)
    scored = score_baselines(train, test, "strict")
    return tuple(row for each in scored for row in _rows(each, counts[each.task]))


def _rows(found: BaselineScore, n_scored: int) -> Iterator[Baseline]:
    for metric in _METRICS[found.task]:
        yield Baseline(
            task=found.task,
            name=found.name,
            answer=found.said,
            score=found.metrics.get(metric),
            n_scored=n_scored,
            n_searched=found.searched,
            metric=metric,
        )

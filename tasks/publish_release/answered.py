"""Blind answers that name objects and boxes, written as completions and scored as a model's are.

Takes the tables of a release, gives rows for its card and for the gate `blind`. What is searched is
searched on train, what is scored is test (CONTRACTS 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from earshot.schemas.question import Split, Task
from earshot.tasks.publish_release.baselines import Baseline, Metric
from earshot.tasks.publish_release.contents import Contents
from earshot.tasks.publish_release.spool import batches_of
from earshot.tasks.publish_release.tally import Tally
from earshot.tasks.score_answers.baselines import score_baselines
from earshot.tasks.score_answers.read import Asked, Known, asked_of
from earshot.tasks.score_answers.record import BaselineScore

SEARCHED_AND_SCORED: tuple[Split, Split] = ("train", "test")

_METRICS: dict[Task, tuple[Metric, ...]] = {
    "temporal": (),
    "spatial": ("object_f1", "m_vIoU"),
    "spatio_temporal": ("m_vIoU",),
}
"""What is scored beside m_tIoU, which `baselines.measure` has."""


class FineRows(Iterable[Asked]):
    """The questions of a split that are not at fault, read anew whenever they are gone through."""

    def __init__(self, contents: Contents, tally: Tally, split: Split) -> None:
        self._questions, self._split = contents.questions, split
        self._out = pa.array(sorted(tally.at_fault), pa.string())
        # Their labels are not looked at.
        self._known = Known.of(contents.videos, contents.tables["events"].slice(0, 0))

    def __iter__(self) -> Iterator[Asked]:
        for batch in batches_of(self._questions):
            is_out = pc.is_in(batch["question_id"], value_set=self._out)
            kept = batch.filter(pc.and_not(pc.equal(batch["split"], self._split), is_out))
            yield from asked_of(pa.Table.from_batches([kept]), self._known)


def blind_rows(contents: Contents, tally: Tally) -> tuple[Baseline, ...]:
    """Return m_vIoU and object_f1 of the blind answers; broken rows are left out."""
    train, test = (FineRows(contents, tally, split) for split in SEARCHED_AND_SCORED)
    scored = score_baselines(train, test, "strict")
    return tuple(row for each in scored for row in _rows(each, tally.fine["test", each.task]))


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

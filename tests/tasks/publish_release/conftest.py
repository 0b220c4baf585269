"""Releases to test with: a world of small videos as a `ReleaseSource`, and one published folder."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from earshot.schemas.arrow import to_table
from earshot.schemas.base import Record, to_intervals
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question, Split
from earshot.schemas.release import Absent, LedgerCount
from earshot.tasks.publish_release import plots
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.publish_release.source import STAGE_KINDS, ReleaseSource
from tests import factories

Rows = dict[type[Record], list[Record]]
MakeSource = Callable[..., ReleaseSource]

CONFIG = ReleaseConfig(name="yard", licence="cc-by-4.0", shard_rows=5)
SPLITS: tuple[Split, ...] = ("train", "train", "validation", "test")
ABSENT = Absent(
    video_id="gone",
    stage="probe",
    status="quarantined",
    reason_code="unreadable",
    message="not a video | at all",
)


def make_rows(count: int = 8, seed: int = 0, interval: tuple[float, float] | None = None) -> Rows:
    """Rows of `count` videos, each with one event, one tube and a question a task.

    With an interval all events have it; else each lies where the seed puts it.
    """
    rng = random.Random(seed)
    rows: Rows = {kind: [] for kind in (*STAGE_KINDS, Question)}
    for index in range(count):
        _add_video(rows, f"v{index:03d}", SPLITS[index % 4], rng, interval)
    return rows


def _add_video(
    rows: Rows,
    video_id: str,
    split: Split,
    rng: random.Random,
    interval: tuple[float, float] | None,
) -> None:
    start_s = round(rng.uniform(0, 14), 1)
    interval = interval or (start_s, round(start_s + rng.uniform(1.5, 5.5), 1))
    left, top = round(rng.uniform(0, 0.6), 3), round(rng.uniform(0, 0.5), 3)
    box = (left, top, round(left + 0.3, 3), round(top + 0.4, 3))
    event = factories.make_event(video_id, (interval,))
    thing = factories.make_object(video_id)
    tube = factories.make_tube(thing, interval, box)
    inspection = factories.make_inspection(event, [tube])
    for record in (
        factories.make_video(video_id),
        factories.make_caption(video_id),
        event,
        factories.make_mention(event),
        thing,
        factories.make_event_object(event, thing),
        tube,
        inspection,
    ):
        rows[type(record)].append(record)
    for task in ("temporal", "spatial", "spatio_temporal"):
        truth = factories.make_truth(task, interval, box)
        changes = {"span": to_intervals((interval,))[0]} if task == "spatial" else {}
        tube_ids = () if task == "temporal" else (tube.tube_id,)
        rows[Question].append(
            factories.make_question(video_id, task, split, truth, tube_ids=tube_ids, **changes)
        )


def make_source(rows: Rows | None = None, absent: Iterable[Absent] = (ABSENT,)) -> ReleaseSource:
    """The rows as a build would hand them over; eight videos if none are given."""
    rows = make_rows() if rows is None else rows
    videos, questions = len(rows[STAGE_KINDS[0]]), len(rows[Question])
    return ReleaseSource(
        tables={kind.TABLE: to_table(kind, records) for kind, records in rows.items()},
        absent=tuple(absent),
        ledger_counts=(
            LedgerCount(
                stage="probe",
                item_kind="video",
                total=videos + 1,
                done=videos,
                quarantined=1,
                reasons={"unreadable": 1},
            ),
            LedgerCount(
                stage="questions",
                item_kind="question",
                total=questions + 3,
                done=questions,
                filtered=3,
                reasons={"whole_video": 1, "another_stretch": 2},
            ),
        ),
        build=factories.make_build(),
        upstream_digests={"input": "ab" * 32},
    )


def change(rows: Rows, kind: type[Record], index: int, **changes: object) -> Rows:
    """The same rows with some fields of one record changed, unchecked."""
    records = list(rows[kind])
    records[index] = records[index].model_copy(update=changes)
    return {**rows, kind: records}


@pytest.fixture(autouse=True)
def quick_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is three quarters of a small publication: only tests marked `plots` draw."""
    if not request.node.get_closest_marker("plots"):
        monkeypatch.setattr(plots, "_save", lambda draw, path: path.write_bytes(b"not drawn"))


@pytest.fixture(scope="session")
def world() -> type:
    """The functions that make rows and sources, as one name."""

    class World:
        rows = staticmethod(make_rows)
        source = staticmethod(make_source)
        change = staticmethod(change)
        absent = ABSENT
        config = CONFIG
        replace = staticmethod(replace)

    return World


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder of 24 questions in shards of 5 rows; not to be changed."""
    out = tmp_path_factory.mktemp("shelf")
    return Path(publish(make_source(), out, CONFIG, now=factories.NOW).folder)


@pytest.fixture
def shelf(release: Path, tmp_path: Path) -> Path:
    """A folder with a copy of that release as `yard-v1`, to publish more versions beside it."""
    shutil.copytree(release, tmp_path / "shelf" / "yard-v1")
    return tmp_path / "shelf"

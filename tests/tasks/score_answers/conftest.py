"""Two releases to score: the eight videos of the release tests, and one whose numbers are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from earshot.schemas.base import Record
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.publish_release.source import STAGE_KINDS
from earshot.tasks.score_answers.read import Benchmark, read_release
from tests import factories
from tests.tasks.publish_release import conftest as worlds

TRAIN_BOX = (0.1, 0.2, 0.5, 0.6)
TEST_BOX = (0.1, 0.2, 0.5, 1.0)


def _rows() -> worlds.Rows:
    """Train and test, 20 s each: [4, 6] and [4, 8] s, the test box twice as high as the train's."""
    rows: worlds.Rows = {kind: [] for kind in (*STAGE_KINDS, Question)}
    _add(rows, "v-train", "train", (4.0, 6.0), TRAIN_BOX)
    _add(rows, "v-test", "test", (4.0, 8.0), TEST_BOX)
    return rows


def _add(rows: worlds.Rows, video_id: str, split: str, interval, box) -> None:
    event = factories.make_event(video_id, (interval,), label=f"{split} barking")
    thing = factories.make_object(video_id)
    tube = factories.make_tube(thing, interval, box)
    inspection = factories.make_inspection(event, [tube])
    records: list[Record] = [
        factories.make_video(video_id),
        factories.make_caption(video_id),
        event,
        factories.make_mention(event),
        thing,
        factories.make_event_object(event, thing),
        tube,
        inspection,
    ]
    span = {"start_s": interval[0], "end_s": interval[1]}
    for task in ("temporal", "spatial", "spatio_temporal"):
        records.append(
            factories.make_question(
                video_id,
                task,
                split,
                factories.make_truth(task, interval, box),
                event_ids=(event.event_id,),
                inspection_ids=(inspection.inspection_id,),
                tube_ids=() if task == "temporal" else (tube.tube_id,),
                span=span if task == "spatial" else None,
            )
        )
    for record in records:
        rows[type(record)].append(record)


@pytest.fixture(scope="session")
def known_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of two videos whose blind scores can be computed by hand."""
    config = ReleaseConfig(name="known", licence="cc-by-4.0", max_best_constant_m_tiou=1.0)
    out = tmp_path_factory.mktemp("known")
    return Path(publish(worlds.make_source(_rows()), out, config, now=factories.NOW).folder)


@pytest.fixture(scope="session")
def known(known_release: Path) -> Benchmark:
    """The questions of that release."""
    return read_release(known_release)


@pytest.fixture(scope="session")
def yard_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of eight videos and 24 questions."""
    out = tmp_path_factory.mktemp("yard")
    return Path(publish(worlds.make_source(), out, worlds.CONFIG, now=factories.NOW).folder)


@pytest.fixture
def write_predictions(tmp_path: Path) -> Callable[[Mapping[str, str | None]], Path]:
    """Writes completions by question id as a predictions file."""

    def write(completions: Mapping[str, str | None]) -> Path:
        path = tmp_path / "predictions.jsonl"
        rows = (
            json.dumps({"question_id": question_id, "completion": completion})
            for question_id, completion in completions.items()
        )
        path.write_text("".join(f"{row}\n" for row in rows))
        return path

    return write

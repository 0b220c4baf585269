"""Every gate refuses what it is for, names the offender and the remedy."""

from __future__ import annotations

import json

import pytest

from earshot.errors import ReleaseError
from earshot.schemas.base import Interval
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.object import Object
from earshot.schemas.question import Question
from earshot.schemas.release import Absent
from earshot.schemas.tube import Box, Tube
from earshot.schemas.video import Video
from earshot.tasks.publish_release.publish import publish
from tests import factories

CONFIG = ReleaseConfig(name="yard")


def _refusal(source, tmp_path, config=CONFIG) -> str:
    with pytest.raises(ReleaseError) as caught:
        publish(source, tmp_path, config)
    assert not list(tmp_path.glob("yard-v*"))
    return str(caught.value)


def _question(world, **changes) -> object:
    """The source whose first question (temporal, of v000) has these fields."""
    return world.source(world.change(world.rows(2), Question, 0, **changes))


def test_a_video_in_two_splits_is_refused(world, tmp_path):
    """The message names the video and both splits."""
    message = _refusal(_question(world, split="test"), tmp_path)
    assert "- split: " in message
    assert "video 'v000' is in test (video 'v000') and train" in message


def test_a_split_group_in_two_splits_is_refused(world, tmp_path):
    """Near duplicates stand together."""
    rows = world.rows(4)
    rows[Video] = [v.model_copy(update={"split_group": "g"}) for v in rows[Video]]
    message = _refusal(world.source(rows), tmp_path)
    assert "split_group 'g' is in" in message


def test_one_file_under_two_ids_in_two_splits_is_refused(world, tmp_path):
    """A renamed copy is the same video."""
    rows = world.rows(4)
    rows[Video] = [v.model_copy(update={"sha256": "f" * 64}) for v in rows[Video]]
    assert "file with sha256 'ffff" in _refusal(world.source(rows), tmp_path)


def test_two_questions_of_one_id_are_refused(world, tmp_path):
    """The id and its count are named."""
    rows = world.rows(2)
    rows[Question].append(rows[Question][0])
    message = _refusal(world.source(rows), tmp_path)
    assert f"{rows[Question][0].question_id} stands 2 times" in message


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(15.0, 20.2), (6.0, 6.0), (7.0, 6.0), (-1.0, 6.0), (25.0, 26.0)]
)
def test_a_span_that_is_no_stretch_of_the_video_is_refused(world, tmp_path, start_s, end_s):
    """Behind the end, reversed, empty or negative: the video's length is said."""
    span = Interval.model_construct(start_s=start_s, end_s=end_s)
    message = _refusal(_question(world, span=span), tmp_path)
    assert f"span [{start_s}, {end_s}] s in a video of 20.0 s" in message


def test_a_span_that_only_rounding_carries_behind_the_end_passes(world, tmp_path):
    """Rendered times are rounded half-up to 0.1 s."""
    rows = world.rows(2)
    rows[Video] = [v.model_copy(update={"duration_s": 19.96}) for v in rows[Video]]
    span = Interval(start_s=2.0, end_s=20.0)
    assert publish(
        world.source(world.change(rows, Question, 0, span=span)), tmp_path, CONFIG
    ).is_new


def test_a_truth_interval_behind_the_end_is_refused(world, tmp_path):
    """The truth is held to the video as well."""
    truth = factories.make_truth("temporal", (15.0, 21.0))
    changed = _question(world, truth_json=truth.canonical(), answer=factories.render_truth(truth))
    assert "truth interval [15.0, 21.0] s" in _refusal(changed, tmp_path)


def test_an_answer_that_breaks_the_grammar_is_refused(world, tmp_path):
    """Status and the beginning of the text are said."""
    message = _refusal(_question(world, answer="the dog, from 2 to 6"), tmp_path)
    assert "- answer: 1 found" in message
    assert "status no_answer, format not ok: 'the dog, from 2 to 6'" in message


def test_a_zero_box_in_an_answer_is_refused(world, tmp_path):
    """R-AVST's way of writing an absent object is none of ours."""
    text = "<answer><object>dog</object><where>\n2.0: [0, 0, 0, 0]\n</where></answer>"
    source = world.source(world.change(world.rows(2), Question, 1, answer=text))
    assert "format not ok" in _refusal(source, tmp_path)


@pytest.mark.parametrize(
    ("box", "what"),
    [((0, 0, 0, 0), "[0, 0, 0, 0] has no area"), ((0.5, 0.2, 1.1, 0.4), "leaves the frame")],
)
def test_an_impossible_box_in_a_truth_is_refused(world, tmp_path, box, what):
    """Empty, or outside the frame."""
    rows = world.rows(2)
    truth = json.loads(rows[Question][1].truth_json)
    truth["objects"][0]["tubes"][0]["boxes"][0][1:] = box
    changed = world.change(rows, Question, 1, truth_json=json.dumps(truth))
    assert what in _refusal(world.source(changed), tmp_path)


def test_an_empty_box_in_a_tube_is_refused(world, tmp_path):
    """The tables beside the questions are looked at too; a null is no box."""
    rows = world.rows(2)
    boxes = rows[Tube][1].boxes
    zero = Box.model_construct(x1=0.0, y1=0.0, x2=0.0, y2=0.0)
    changed = world.change(rows, Tube, 1, boxes=(zero, *boxes[1:]))
    message = _refusal(world.source(changed), tmp_path)
    assert f"{rows[Tube][1].tube_id} in tubes: box [0, 0, 0, 0] has no area" in message
    assert "- box: 1 found" in message


@pytest.mark.parametrize(
    ("truth", "what"),
    [
        ("{", "Invalid JSON"),
        ('{"v":1}', "task: Field required"),
        (factories.make_truth("spatial").canonical(), "task 'spatial' but the row says"),
        (factories.make_truth("temporal").model_dump_json(), "not canonical"),
        (factories.make_truth("temporal", name="None").canonical(), "called 'none'"),
        (
            factories.make_truth("temporal").model_copy(update={"intervals": ()}).canonical(),
            "without intervals",
        ),
    ],
)
def test_a_truth_that_rewards_could_not_read_is_refused(world, tmp_path, truth, what):
    """No JSON, no truth, another task's, not canonical, none as a name, nothing to find."""
    message = _refusal(_question(world, truth_json=truth), tmp_path)
    assert "- truth: " in message
    assert what in message


def test_an_id_without_a_row_is_refused(world, tmp_path):
    """A question's evidence is in the release."""
    rows = world.rows(2)
    rows[Object] = rows[Object][1:]
    message = _refusal(world.source(rows), tmp_path)
    assert "object_ids names v000/o-" in message
    assert "- dangling: 1 found" in message


def test_a_question_about_an_unknown_video_is_refused(world, tmp_path):
    """Its length could not be held against anything."""
    rows = world.rows(2)
    rows[Video] = rows[Video][1:]
    assert "video 'v000' is not in the videos table" in _refusal(world.source(rows), tmp_path)


def test_a_video_that_is_absent_and_asked_about_is_refused(world, tmp_path):
    """The list of absent videos is true or there is no release."""
    absent = Absent(video_id="v000", stage="probe", status="done", reason_code=None, message=None)
    assert "'v000' is absent and has" in _refusal(world.source(absent=[absent]), tmp_path)


def test_a_video_of_a_benchmark_is_refused(world, tmp_path):
    """The benchmark's name is that of its list."""
    listed = tmp_path / "unav-test.txt"
    listed.write_text("# taken from the paper\nv001\nother\n")
    config = CONFIG.model_copy(update={"exclusion_lists": (str(listed),)})
    message = _refusal(world.source(), tmp_path, config)
    assert "- excluded: 1 found" in message
    assert "video 'v001' is in benchmark 'unav-test'" in message


def _same_time_everywhere(world, count=12):
    rows = world.rows(count)
    truth = factories.make_truth("temporal", (2.0, 6.0))
    rows[Question] = [
        q.model_copy(
            update={"truth_json": truth.canonical(), "answer": factories.render_truth(truth)}
        )
        if q.task == "temporal"
        else q
        for q in rows[Question]
    ]
    return world.source(rows)


def test_times_that_a_blind_answer_hits_are_refused(world, tmp_path):
    """The score, the limit and the blind answer are said."""
    config = CONFIG.model_copy(update={"min_baseline_questions": 3})
    message = _refusal(_same_time_everywhere(world), tmp_path, config)
    assert "- blind: " in message
    assert "(10 % to 30 % of the video) has m_tIoU 1.000 on 3 temporal test" in message


def test_a_blind_answer_on_few_test_questions_only_warns(world, tmp_path):
    """Below 100 temporal test questions the score says too little to refuse."""
    published = publish(_same_time_everywhere(world), tmp_path, CONFIG)
    (warning,) = published.warnings
    assert "m_tIoU 1.000" in warning
    assert "3 temporal test questions (fewer than 100)" in warning


def test_all_gates_report_at_once_with_five_offenders_each(world, tmp_path):
    """Nobody mends a release one message at a time."""
    rows = world.rows(8)
    rows[Question] = [q.model_copy(update={"answer": "?"}) for q in rows[Question]]
    rows[Question].append(rows[Question][0])
    message = _refusal(world.source(rows), tmp_path)
    assert message.startswith("2 gates refuse the release of 'yard':")
    assert "- answer: 25 found. " in message
    assert "    ... and 20 more" in message
    assert len(message.splitlines()) == 1 + 1 + 1 + 1 + 5 + 1

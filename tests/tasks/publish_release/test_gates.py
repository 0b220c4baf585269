"""Every gate refuses what it is for, alone, and names the offender and the remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from earshot.errors import ReleaseError
from earshot.schemas.base import Interval, canonical_json
from earshot.schemas.config import GateName, ReleaseConfig
from earshot.schemas.object import Object
from earshot.schemas.question import Question
from earshot.schemas.release import Absent
from earshot.schemas.truth import Truth, TruthTube
from earshot.schemas.tube import Box, Tube
from earshot.schemas.video import Video
from earshot.tasks.publish_release.gates import GATES
from earshot.tasks.publish_release.publish import publish
from tests import factories

CONFIG = ReleaseConfig(name="yard")


def _refusal(gate, source, tmp_path, config=CONFIG) -> str:
    """The message of a refusal in which this gate fails and no other."""
    with pytest.raises(ReleaseError) as caught:
        publish(source, tmp_path, config)
    assert not list(tmp_path.glob("yard-v*"))
    message = str(caught.value)
    assert re.findall(r"^- (\w+): ", message, re.MULTILINE) == [gate]
    return message


def _question(world, **changes) -> object:
    """The source whose first question (temporal, of v000) has these fields."""
    return world.source(world.change(world.rows(2), Question, 0, **changes))


def test_a_video_in_two_splits_is_refused(world, tmp_path):
    """The message names the video and both splits."""
    message = _refusal("split", _question(world, split="test"), tmp_path)
    assert "video 'v000' is in test (video 'v000') and train" in message


def test_a_split_group_in_two_splits_is_refused(world, tmp_path):
    """Near duplicates stand together."""
    rows = world.rows(4)
    rows[Video] = [v.model_copy(update={"split_group": "g"}) for v in rows[Video]]
    message = _refusal("split", world.source(rows), tmp_path)
    assert "split_group 'g' is in" in message


def test_one_file_under_two_ids_in_two_splits_is_refused(world, tmp_path):
    """A renamed copy is the same video."""
    rows = world.rows(4)
    rows[Video] = [v.model_copy(update={"sha256": "f" * 64}) for v in rows[Video]]
    assert "file with sha256 'ffff" in _refusal("split", world.source(rows), tmp_path)


def test_two_questions_of_one_id_are_refused(world, tmp_path):
    """The id and its count are named."""
    rows = world.rows(2)
    rows[Question].append(rows[Question][0])
    message = _refusal("duplicate", world.source(rows), tmp_path)
    assert f"{rows[Question][0].question_id} stands 2 times" in message


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(15.0, 20.2), (6.0, 6.0), (7.0, 6.0), (-1.0, 6.0), (25.0, 26.0)]
)
def test_a_span_that_is_no_stretch_of_the_video_is_refused(world, tmp_path, start_s, end_s):
    """Behind the end, reversed, empty or negative: the video's length is said."""
    span = Interval.model_construct(start_s=start_s, end_s=end_s)
    message = _refusal("span", _question(world, span=span), tmp_path)
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
    assert "truth interval [15.0, 21.0] s" in _refusal("span", changed, tmp_path)


def test_an_answer_that_breaks_the_grammar_is_refused(world, tmp_path):
    """Status and the beginning of the text are said."""
    message = _refusal("answer", _question(world, answer="the dog, from 2 to 6"), tmp_path)
    assert "status no_answer, format not ok: 'the dog, from 2 to 6'" in message


def test_a_zero_box_in_an_answer_is_refused(world, tmp_path):
    """R-AVST's way of writing an absent object is none of ours."""
    text = "<answer><object>dog</object><where>\n2.0: [0, 0, 0, 0]\n</where></answer>"
    source = world.source(world.change(world.rows(2), Question, 1, answer=text))
    assert "format not ok" in _refusal("answer", source, tmp_path)


@pytest.mark.parametrize(
    ("box", "gate", "what"),
    [
        ((0, 0, 0, 0), "box: 1 found", "[0, 0, 0, 0] has no area"),
        ((0.5, 0.2, 1.1, 0.4), "frame: 1 found", "leaves the frame"),
    ],
)
def test_an_impossible_box_in_a_truth_is_refused(world, tmp_path, box, gate, what):
    """Empty, or outside the frame."""
    rows = world.rows(2)
    truth = json.loads(rows[Question][1].truth_json)
    truth["objects"][0]["tubes"][0]["boxes"][0][1:] = box
    text = canonical_json(truth).decode()
    changed = world.change(rows, Question, 1, truth_json=text)
    assert what in _refusal(gate.split(":")[0], world.source(changed), tmp_path)


def test_an_empty_box_in_a_tube_is_refused(world, tmp_path):
    """The tables beside the questions are looked at too; a null is no box."""
    rows = world.rows(2)
    boxes = rows[Tube][1].boxes
    zero = Box.model_construct(x1=0.0, y1=0.0, x2=0.0, y2=0.0)
    changed = world.change(rows, Tube, 1, boxes=(zero, *boxes[1:]))
    message = _refusal("box", world.source(changed), tmp_path)
    assert f"{rows[Tube][1].tube_id} in tubes: box [0, 0, 0, 0] has no area" in message


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
    message = _refusal("truth", _question(world, truth_json=truth), tmp_path)
    assert what in message


def test_an_id_without_a_row_is_refused(world, tmp_path):
    """A question's evidence is in the release."""
    rows = world.rows(2)
    rows[Object] = rows[Object][1:]
    message = _refusal("dangling", world.source(rows), tmp_path)
    assert "object_ids names v000/o-" in message


def test_a_question_about_an_unknown_video_is_refused(world, tmp_path):
    """Its length could not be held against anything."""
    rows = world.rows(2)
    rows[Video] = rows[Video][1:]
    assert "video 'v000' is not in the videos table" in _refusal(
        "dangling", world.source(rows), tmp_path
    )


def test_a_video_that_is_absent_and_asked_about_is_refused(world, tmp_path):
    """The list of absent videos is true or there is no release."""
    absent = Absent(video_id="v000", stage="probe", status="done", reason_code=None, message=None)
    assert "'v000' is absent and has" in _refusal(
        "contradiction", world.source(absent=[absent]), tmp_path
    )


def test_a_video_of_a_benchmark_is_refused(world, tmp_path):
    """The benchmark's name is that of its list."""
    listed = tmp_path / "unav-test.txt"
    listed.write_text("# taken from the paper\nv001\nother\n")
    config = CONFIG.model_copy(update={"exclusion_lists": (str(listed),)})
    message = _refusal("excluded", world.source(), tmp_path, config)
    assert "video 'v001' is in benchmark 'unav-test'" in message


def _same_time_everywhere(world, count=12):
    return world.source(world.rows(count, interval=(2.0, 6.0)))


def test_times_that_a_blind_answer_hits_are_refused(world, tmp_path):
    """The score, the limit and the blind answer are said."""
    config = CONFIG.model_copy(update={"min_baseline_questions": 3})
    message = _refusal("blind", _same_time_everywhere(world), tmp_path, config)
    assert (
        "temporal, best constant interval (10 % to 30 % of the video) has m_tIoU 1.000" in message
    )
    assert "on 3 temporal test questions; release.max_best_constant_m_tiou is 0.3" in message
    assert "release.max_common_object_f1 is 0.5" in message


def test_a_blind_answer_on_few_test_questions_only_warns(world, tmp_path):
    """Below 100 test questions of a task the score says too little to refuse."""
    published = publish(_same_time_everywhere(world), tmp_path, CONFIG)
    warning = published.warnings[0]
    assert "best constant interval: m_tIoU 1.000" in warning
    assert "3 test questions (fewer than 100)" in warning


def _with_truth(world, index, truth, **changes):
    """A source in which one question has this truth and the answer that is rendered of it."""
    answer = factories.render_truth(truth)
    rows = world.change(
        world.rows(2), Question, index, truth_json=truth.canonical(), answer=answer, **changes
    )
    return world.source(rows)


def _truth(world, index):
    return Truth.model_validate_json(world.rows(2)[Question][index].truth_json)


def test_two_questions_in_the_same_words_are_refused(world, tmp_path):
    """One of them would be asked twice, or have two answers."""
    rows = world.rows(2)
    first, *_, last = [q for q in rows[Question] if q.video_id == "v000"]
    changed = world.change(rows, Question, 2, question=f" {first.question}\n")
    message = _refusal("unique", world.source(changed), tmp_path)
    assert f"{first.question_id} and {last.question_id} ask" in message.replace(
        f"{last.question_id} and {first.question_id}", f"{first.question_id} and {last.question_id}"
    )


@pytest.mark.parametrize("tubes", [(), (TruthTube(boxes=((2.0, None), (3.0, None))),)])
def test_an_object_that_is_nowhere_is_refused(world, tmp_path, tubes):
    """R-AVST names 145 objects without a box; neither no tube nor one of nulls is a place."""
    truth = _truth(world, 1)
    named = truth.objects[0].model_copy(update={"tubes": tubes})
    truth = truth.model_copy(update={"objects": (named,)})
    rows = world.change(world.rows(2), Question, 1, truth_json=truth.canonical())
    assert "'dog' has no" in _refusal("tube", world.source(rows), tmp_path).replace(
        "a tube of 'dog' has no box", "'dog' has no box"
    )


def test_a_tube_that_is_hardly_seen_is_refused(world, tmp_path):
    """Of the times that somebody looked at, half have to show it."""
    interval = (2.0, 8.0)
    box = factories.BOX
    tube = TruthTube(boxes=((2.0, *box), *((float(t), None) for t in range(3, 8))))
    truth = factories.make_truth("spatial", interval)
    named = truth.objects[0].model_copy(update={"tubes": (tube,)})
    source = _with_truth(world, 1, truth.model_copy(update={"objects": (named,)}))
    assert "seen at 1 of 4 times" in _refusal("coverage", source, tmp_path)


def test_a_time_that_is_the_whole_video_is_refused(world, tmp_path):
    """30 % of R-AVST's are; saying so takes no look."""
    source = _with_truth(world, 0, factories.make_truth("temporal", (0.5, 19.9)))
    assert "19.4 of 20 s are the answer, limit 0.9" in _refusal("whole_video", source, tmp_path)


def test_an_answer_beyond_the_token_budget_is_refused(world, tmp_path):
    """A model that may write 64 tokens can't give it."""
    config = CONFIG.model_copy(update={"max_answer_tokens": 64})
    source = world.source(world.rows(1, interval=(2.0, 6.0)))
    message = _refusal("length", source, tmp_path, config)
    assert re.search(r"about 1\d\d tokens, limit 64", message)


def test_a_right_answer_that_does_not_score_1_is_refused(world, tmp_path):
    """Answer and truth are both well-formed, and say different things."""
    other = factories.render_truth(factories.make_truth("temporal", (1.0, 3.0)))
    message = _refusal("reward", _question(world, answer=other), tmp_path)
    assert "status ok, total 1, below 1: {'temporal': 0.0}" in message


def test_an_answer_that_the_tables_do_not_bear_out_is_refused(world, tmp_path):
    """Truth and answer agree with each other, but events and tubes say something else."""
    truth = _truth(world, 2)
    (row, *rest), box = truth.objects[0].tubes[0].boxes, factories.BOX
    moved = TruthTube(boxes=((row[0], *box), *rest))
    named = truth.objects[0].model_copy(update={"tubes": (moved,)})
    source = _with_truth(world, 2, truth.model_copy(update={"objects": (named,)}))
    message = _refusal("rederived", source, tmp_path)
    assert "- rederived: 1 found" in message
    assert "[0.200, 0.300, 0.500, 0.700]" in message


def test_a_release_without_a_question_is_refused(world, tmp_path):
    """Unless the configuration says that it may be empty."""
    rows = {**world.rows(2), Question: []}
    _refusal("empty", world.source(rows), tmp_path)
    assert publish(world.source(rows), tmp_path, CONFIG.model_copy(update={"allow_empty": True}))


def test_who_leaves_every_question_out_is_told_by_what(world, tmp_path):
    """A licence that no video has is the reason, not the ledger's."""
    config = CONFIG.model_copy(update={"licences": ("CC0",)})
    with pytest.raises(ReleaseError, match="no question in it; 6 questions were left out, licence"):
        publish(world.source(world.rows(2)), tmp_path, config)


def test_a_limit_lets_offenders_through_and_the_card_counts_them(world, tmp_path):
    """One is let through and counted, two are not."""
    rows = world.change(world.rows(2), Question, 0, answer="?")
    config = CONFIG.model_copy(update={"limits": {"answer": 1}})
    folder = Path(publish(world.source(rows), tmp_path / "one", config).folder)
    (row,) = re.findall(r"^\| `answer` \|.*$", (folder / "README.md").read_text(), re.MULTILINE)
    assert row.endswith("| 1 | 1 |")
    gates = json.loads((folder / "manifest.json").read_text())["gates"]
    assert {"gate": "answer", "found": 1, "limit": 1} in gates
    assert [row["gate"] for row in gates] == list(GATES)
    two = world.source(world.change(rows, Question, 1, answer="?"))
    message = _refusal("answer", two, tmp_path / "two", config)
    assert "2 found, release.limits lets 1 through" in message


def test_a_gate_of_another_name_is_no_gate():
    """A limit that guards nothing is a mistake in the configuration."""
    with pytest.raises(ValidationError, match="limits"):
        ReleaseConfig(limits={"spam": 1})
    assert set(GATES) == set(get_args(GateName))


def test_all_gates_report_at_once_with_five_offenders_each(world, tmp_path):
    """Nobody mends a release one message at a time."""
    rows = world.rows(8)
    rows[Question] = [q.model_copy(update={"answer": "?"}) for q in rows[Question]]
    rows[Question].append(rows[Question][0])
    with pytest.raises(ReleaseError) as caught:
        publish(world.source(rows), tmp_path, CONFIG)
    message = str(caught.value)
    assert message.startswith("2 gates refuse the release of 'yard':")
    assert "- answer: 25 found. " in message
    assert "    ... and 20 more" in message
    assert len(message.splitlines()) == 1 + 1 + 1 + 1 + 5 + 1

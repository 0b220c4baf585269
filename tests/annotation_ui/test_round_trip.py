"""What people leave alone comes back to the last bit, and what they change changes there alone."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.annotation_ui.clip import Clock
from earshot.annotation_ui.keys import Key, boxes_at, keys_of, read_keys, without_leftovers
from earshot.annotation_ui.labeling import labeling_config
from earshot.annotation_ui.read import AnnotationError, Decision, is_gold, read_decision
from earshot.annotation_ui.show import Shown, labels_of, region_id, sent_keys, task_of
from earshot.geometry.boxes import box_iou
from earshot.geometry.tubes import VISIBLE
from earshot.schemas.base import to_pairs
from earshot.schemas.tube import Tube
from tests.annotation_ui.conftest import answered, choice, sequence_of
from tests.annotation_ui.events import CLOCK, clocks, shown_of, tubes, walking
from tests.factories import make_event, make_event_object, make_object, make_video

Json = dict[str, Any]
OK = choice("verdict", "ok")


def read(task: Json, shown: Shown, *, dense: bool = True) -> Decision:
    """Read the task's annotation back."""
    (annotation,) = task["annotations"]
    known = {tube.digest: tube for tube in shown.tubes} if dense else {}
    decision = read_decision(1, task, annotation, annotation["prediction"]["result"], known)
    assert decision is not None
    return decision


def verdicts(decision: Decision) -> dict[str, str]:
    """Verdict of each tube by id."""
    return {tube.tube_id: tube.verdict for tube in decision.inspection.tubes}


@settings(max_examples=60, deadline=None)
@given(clocks(), tubes(0), tubes(1))
def test_no_change_is_equal(clock: Clock, one: Tube, other: Tube) -> None:
    """(a) Nothing done: the very tubes, ids, absences and segments."""
    shown = shown_of(one, other, clock=clock)
    decision = read(answered(shown, OK), shown)
    assert set(verdicts(decision).values()) == {"ok"}
    assert decision.revised == ()
    assert dict(decision.kept) == {tube.tube_id: tube for tube in shown.tubes}
    assert decision.inspection.segments == shown.event.segments
    digests = {t.before_digest: t.after_digest for t in decision.inspection.tubes}
    assert digests == {tube.digest: tube.digest for tube in shown.tubes}


@settings(max_examples=60, deadline=None)
@given(clocks(), tubes(0), tubes(1))
def test_key_frames_alone_give_the_tube_back(clock: Clock, one: Tube, other: Tube) -> None:
    """(b) Without our dense tubes: IoU >= 0.9 at every sample of the clip, absences exact."""
    shown = shown_of(one, other, clock=clock)
    decision = read(answered(shown, OK), shown, dense=False)
    for tube in shown.tubes:
        times_s, boxes, states = tube.arrays()
        frames = clock.frames(times_s)
        inside = clock.holds(frames) & (np.diff(frames, prepend=-1) > 0)
        if not (states[clock.holds(frames)] == VISIBLE).any():
            continue
        back_s, back, back_states = decision.kept[tube.tube_id].arrays()
        assert np.allclose(back_s, times_s, atol=1e-4)
        assert np.array_equal(back_states[inside], states[inside])
        seen = inside & (states == VISIBLE)
        assert np.all(box_iou(back[seen], boxes[seen]) >= 0.9 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(clocks(), tubes(0), st.data())
def test_one_moved_key_changes_its_neighbourhood(clock: Clock, tube: Tube, data: Any) -> None:
    """(c) Before the key before and behind the key after everything is exact, between it moved."""
    shown = shown_of(tube, clock=clock)
    sent = sent_keys(tube, shown)
    if not sent:
        return
    number = data.draw(st.integers(0, len(sent) - 1))

    def move(results: list[Json]) -> None:
        key = sequence_of(results, region_id(tube))[number]
        key["x"] += 5.0

    decision = read(answered(shown, OK, edit=move), shown)
    assert verdicts(decision) == {tube.tube_id: "fixed"}
    (revised,) = decision.revised
    assert (revised.source, revised.parent_digest) == ("human", tube.digest)
    assert revised.times_s == tube.times_s
    frames = clock.frames(np.array(tube.times_s))
    low = sent[number - 1].frame if number else -1
    high = sent[number + 1].frame if number + 1 < len(sent) else clock.n_frames + 1
    known: set[int] = set()
    for frame, before, after, was, now in zip(
        frames.tolist(), tube.boxes, revised.boxes, tube.state, revised.state, strict=True
    ):
        if frame in known:  # of two samples on one frame of the clip only one was shown
            continue
        known.add(frame)
        assert was == now
        if not low < frame < high or frame < 1:
            assert before == after
        elif frame == sent[number].frame:
            assert before is not None
            assert after is not None
            assert after.x1 == pytest.approx(before.x1 + 0.05, abs=2e-8)


def test_a_key_on_the_line_changes_nothing() -> None:
    """Who adds a key and leaves the box where it is has fixed nothing."""
    tube = walking()
    shown = shown_of(tube)
    sent = sent_keys(tube, shown)
    frame = (sent[0].frame + sent[1].frame) // 2
    (box,), _ = boxes_at(sent, np.array([frame]), 16 / 9)

    def add(results: list[Json]) -> None:
        x1, y1, x2, y2 = (100 * box).tolist()
        key = Key(frame, x1, y1, x2 - x1, y2 - y1)
        sequence_of(results, region_id(tube)).insert(1, key.to_json(CLOCK.fps))

    assert verdicts(read(answered(shown, OK, edit=add), shown)) == {tube.tube_id: "ok"}


def test_a_box_that_is_ended_earlier_is_gone_behind() -> None:
    """The key that ended it before does not leave it there for one frame."""
    tube = walking()
    shown = shown_of(tube)
    (last,) = [key for key in sent_keys(tube, shown) if not key.enabled]

    def end(results: list[Json]) -> None:
        sequence = sequence_of(results, region_id(tube))
        sequence[0]["enabled"] = False
        del sequence[1:-1]

    decision = read(answered(shown, OK, edit=end), shown)
    (revised,) = decision.revised
    assert [box is not None for box in revised.boxes] == [True] + [False] * 24
    assert last.frame == CLOCK.frames([tube.times_s[-1]])[0]


def test_a_box_drawn_on_beyond_the_tube_is_longer() -> None:
    """Samples and window reach as far as the person drew, at the tube's own rate."""
    tube = walking(seen=[True] * 10, start_s=2.0)
    shown = shown_of(tube)

    def draw_on(results: list[Json]) -> None:
        sequence = sequence_of(results, region_id(tube))
        sequence[-1]["enabled"] = True
        more = {**sequence[-1], "frame": CLOCK.frames([5.0])[0].item(), "enabled": False}
        sequence.append(more)
        sequence.insert(0, {**sequence[0], "frame": 1, "enabled": True})

    (revised,) = read(answered(shown, OK, edit=draw_on), shown).revised
    assert revised.times_s[0] == pytest.approx(1.0)
    assert revised.times_s[-1] == pytest.approx(5.0)
    assert np.allclose(np.diff(revised.times_s), 0.2)
    assert set(revised.state) == {"visible"}
    assert revised.window.start_s <= 1.0
    assert revised.window.end_s >= 5.0


def test_a_deleted_box_is_a_rejected_tube() -> None:
    """The event lives on without it; a marked box is rejected with its reason."""
    gone, wrong, good = walking(), walking(ordinal=1, seed=2), walking(ordinal=2, seed=3)
    shown = shown_of(gone, wrong, good)

    def delete(results: list[Json]) -> None:
        results[:] = [each for each in results if each["id"] != region_id(gone)]

    marked = choice("box_reason", "off target", region=region_id(wrong))
    decision = read(answered(shown, OK, marked, edit=delete), shown)
    assert verdicts(decision) == {gone.tube_id: "rejected", wrong.tube_id: "rejected",
                                  good.tube_id: "ok"}  # fmt: skip
    reasons = {tube.tube_id: tube.reason for tube in decision.inspection.tubes}
    assert reasons == {gone.tube_id: "deleted", wrong.tube_id: "off target", good.tube_id: None}
    assert decision.inspection.verdict == "ok"


def drawn(shown: Shown, name: str, region: str = "Xy12", **changes: Any) -> Json:
    """A box that a person drew from frame 26 to 76."""
    (label,) = [label for label in labels_of(shown) if label.startswith(name)]
    box = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "time": 0, "enabled": True}
    sequence = [{**box, **changes, "frame": 26}, {**box, **changes, "frame": 76, "enabled": False}]
    return {
        "id": region,
        "from_name": "box",
        "to_name": "video",
        "type": "videorectangle",
        "value": {"sequence": sequence, "labels": [label]},
    }


def test_a_new_box_becomes_a_tube() -> None:
    """With an id of its own, the object of its label, and the stretch in which it is shown."""
    tube = walking()
    shown = shown_of(tube)
    decision = read(answered(shown, OK, drawn(shown, "dog")), shown)
    (revised,) = decision.revised
    assert verdicts(decision) == {tube.tube_id: "ok", revised.tube_id: "added"}
    assert revised.object_id == make_object().object_id
    seen = [t for t, box in zip(revised.times_s, revised.boxes, strict=True) if box]
    assert (seen[0], seen[-1]) == (pytest.approx(2.0), pytest.approx(4.0))
    (box, *_) = [box for box in revised.boxes if box]
    assert box.xyxy == pytest.approx((0.1, 0.2, 0.4, 0.6))
    again = read(answered(shown, OK, drawn(shown, "dog", region="other")), shown)
    assert again.inspection.tubes == decision.inspection.tubes


def test_a_turned_box_becomes_the_upright_one_around_it() -> None:
    """A quarter turn about the top left corner swaps the sides, in pixels."""
    shown = shown_of()
    turned = drawn(shown, "dog", x=50, y=10, rotation=90)
    (revised,) = read(answered(shown, OK, turned), shown).revised
    (box, *_) = [box for box in revised.boxes if box]
    aspect = shown.video.width / shown.video.height
    assert box.xyxy == pytest.approx((0.5 - 0.4 / aspect, 0.1, 0.5, 0.1 + 0.3 * aspect))


def test_a_box_that_changes_its_object_is_another_tube() -> None:
    """The old object's tube is rejected; the new one has its samples."""
    tube = walking()
    shown = shown_of(tube)
    (cat,) = [label for label in labels_of(shown) if label.startswith("cat")]

    def rename(results: list[Json]) -> None:
        results[0]["value"]["labels"] = [cat]

    decision = read(answered(shown, OK, edit=rename), shown)
    (revised,) = decision.revised
    assert sorted(verdicts(decision).values()) == ["added", "rejected"]
    assert revised.boxes == tube.boxes
    assert revised.object_id == make_object(name="cat").object_id


def test_a_box_that_is_moved_and_gets_another_object_keeps_both() -> None:
    """The new object's tube has the person's boxes, not those that were shown."""
    tube = walking()
    shown = shown_of(tube)
    (cat,) = [label for label in labels_of(shown) if label.startswith("cat")]

    def rename_and_move(results: list[Json]) -> None:
        results[0]["value"]["labels"] = [cat]
        for key in sequence_of(results, region_id(tube)):
            key["y"] += 5.0

    decision = read(answered(shown, OK, edit=rename_and_move), shown)
    (revised,) = decision.revised
    assert sorted(verdicts(decision).values()) == ["added", "rejected"]
    assert revised.object_id == make_object(name="cat").object_id
    assert (revised.times_s, revised.parent_digest) == (tube.times_s, tube.digest)
    for was, now in zip(tube.boxes, revised.boxes, strict=True):
        assert was is not None
        assert now is not None
        assert now.y1 == pytest.approx(was.y1 + 0.05, abs=0.03)
        assert now.y1 > was.y1 + 0.02


def test_pixel_boxes_come_back_in_pixels() -> None:
    """A tube in native_px is shown in its place and revised in its own space."""
    size = np.array([640, 360, 640, 360])
    tube = walking()
    boxes = [box and [v * s for v, s in zip(box.xyxy, size, strict=True)] for box in tube.boxes]
    pixel = tube.model_copy(update={"box_space": "native_px"})
    values = dict(zip(("x1", "y1", "x2", "y2"), zip(*boxes, strict=True), strict=True))
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    pixel = Tube(**{**pixel.model_dump(), "boxes": rows})
    shown = shown_of(pixel)
    assert sent_keys(pixel, shown)[0].x == pytest.approx(sent_keys(tube, shown_of(tube))[0].x)

    def move(results: list[Json]) -> None:
        sequence_of(results, region_id(pixel))[0]["x"] = 0.0

    (revised,) = read(answered(shown, OK, edit=move), shown).revised
    assert revised.boxes[0] is not None
    assert revised.boxes[0].x1 == 0.0
    assert revised.boxes[0].y2 == pytest.approx(boxes[0][3])


def test_the_span_follows_the_waveform() -> None:
    """A moved edge is taken in the video's seconds, the other edge stays exact."""
    shown = shown_of(walking())

    def drag(results: list[Json]) -> None:
        results[-1]["value"]["end"] = 5.4187

    inspection = read(answered(shown, OK, edit=drag), shown).inspection
    assert to_pairs(inspection.segments) == ((2.0, 6.419),)
    assert inspection.shown_segments == shown.event.segments


def test_a_span_that_is_dragged_beyond_an_end_ends_with_the_video() -> None:
    """A clip's last frame may reach beyond it; no release takes a time out there."""
    video = make_video(duration_s=8.93, fps=10.0)
    shown = shown_of(walking(), clock=Clock(1.0, 10.0, 80), video=video)

    def drag(results: list[Json]) -> None:
        results[-1]["value"] |= {"start": -1.5, "end": 8.0}

    inspection = read(answered(shown, OK, edit=drag), shown).inspection
    assert to_pairs(inspection.segments) == ((0.0, 8.93),)


def test_phantom_results_are_dropped_and_told() -> None:
    """What nobody drew changes nothing: a time label on a box, a reason without a box."""
    tube = walking()
    shown = shown_of(tube)
    phantom = {"id": region_id(tube), "from_name": "event", "type": "timelinelabels", "value": {}}
    lost = choice("box_reason", "off target", region="gone")
    empty = choice("comment") | {"value": None}
    decision = read(answered(shown, OK, phantom, lost), shown)
    assert verdicts(read(answered(shown, OK, empty), shown)) == {tube.tube_id: "ok"}
    assert verdicts(decision) == {tube.tube_id: "ok"}
    assert len(decision.phantoms) == 2


def test_a_reject_keeps_its_reasons_and_the_comment() -> None:
    """The words of the person stand in the row, the tool's JSON too."""
    comment = {"id": "t", "from_name": "comment", "type": "textarea", "value": {"text": ["why"]}}
    verdict = choice("verdict", "reject"), choice("reason", "bad media", "caption wrong")
    shown = shown_of(walking())
    inspection = read(answered(shown, *verdict, comment), shown).inspection
    assert inspection.verdict == "reject"
    assert inspection.reasons == ("bad media", "caption wrong", "comment: why")
    assert (inspection.annotator, inspection.seconds) == ("user-1", 12.5)
    assert json.loads(inspection.raw or "")["id"] == 7
    hidden = answered(shown, OK, choice("reason", "bad media"))
    assert read(hidden, shown).inspection.reasons == ()


def test_a_skipped_task_says_nothing() -> None:
    """Somebody else will look."""
    shown = shown_of(walking())
    task = answered(shown)
    task["annotations"][0]["was_cancelled"] = True
    assert read_decision(1, task, task["annotations"][0], [], {}) is None


@pytest.mark.parametrize(
    ("more", "said"),
    [((), "verdict"), ((OK, drawn(shown_of(), "dog") | {"from_name": "box"}), "")],
)
def test_no_verdict_is_no_answer(more: tuple[Json, ...], said: str) -> None:
    """Without one a person has to look again; with one a drawn box is fine."""
    shown = shown_of(walking())
    if said:
        with pytest.raises(AnnotationError, match=said):
            read(answered(shown, *more), shown)
    else:
        assert read(answered(shown, *more), shown)


def test_a_box_without_an_object_goes_back() -> None:
    """Nobody could say whose tube it is."""
    shown = shown_of(walking())
    nameless = drawn(shown, "dog")
    nameless["value"]["labels"] = ["event"]
    with pytest.raises(AnnotationError, match="a box is called 'event'"):
        read(answered(shown, OK, nameless), shown)


def test_a_reject_does_not_go_back_for_a_box_without_an_object() -> None:
    """The event is gone whatever the box was; that it was left out is told."""
    shown = shown_of(walking())
    nameless = drawn(shown, "dog")
    del nameless["value"]["labels"]
    rejected = [choice("verdict", "reject"), choice("reason", "bad media"), nameless]
    decision = read(answered(shown, *rejected), shown)
    assert (decision.inspection.verdict, decision.revised) == ("reject", ())
    (told,) = decision.phantoms
    assert "of no object" in told


def test_ok_needs_a_span() -> None:
    """An event without a time is none."""
    shown = shown_of(walking())

    def drop(results: list[Json]) -> None:
        del results[-1]

    with pytest.raises(AnnotationError, match="without an event span"):
        read(answered(shown, OK, edit=drop), shown)


def test_unseen_tubes_are_not_deleted_ones() -> None:
    """A tube without a visible sample in the clip has no box to judge."""
    tube = walking(seen=[False] * 10)
    shown = shown_of(tube)
    assert verdicts(read(answered(shown, OK), shown)) == {tube.tube_id: "ok"}


def test_uid_follows_what_is_shown() -> None:
    """Another box or time is another task; the caption's wording is not."""
    tube = walking()
    shown = shown_of(tube)
    assert shown.uid == shown_of(tube, captions=["other words"]).uid
    others = [shown_of(walking(seed=9)), shown_of(tube, clock=Clock(0.0, 25.0, 200)), shown_of()]
    assert shown.uid not in {other.uid for other in others}


def test_predictions_have_all_that_the_editor_needs() -> None:
    """Decimal fps, rotation, time and ascending frames within the clip, boxes within 0 and 100."""
    shown = shown_of(
        walking(seen=[True] * 9 + [False] * 3 + [True]), clock=Clock(0, 30000 / 1001, 240)
    )
    task = task_of(shown)
    assert task["data"]["fps"] == pytest.approx(29.97002997)
    (sequence,) = [
        r["value"]["sequence"] for r in task["predictions"][0]["result"] if r["id"][0] == "o"
    ]
    assert all(key["rotation"] == 0 and "time" in key for key in sequence)
    frames = [key["frame"] for key in sequence]
    assert frames == sorted(set(frames))
    assert [key["enabled"] for key in sequence].count(False) == 2
    assert sequence[-1]["enabled"] is False


def test_sounding_things_have_the_first_keys() -> None:
    """Each of 22 objects has a key of its own; what is asked about stands first."""
    event = make_event()
    things = [make_object(name=f"thing {number}") for number in range(24)]
    parts = [
        make_event_object(event, things[0], audibility="visible_only", sounding=()),
        *(make_event_object(event, each) for each in things[1:]),
    ]
    told = task_of(shown_of(walking(things[0]), event=event, objects=things, parts=parts))
    labels = told["data"]["objects"]
    assert [each["value"] for each in labels[:2]] == ["thing 1 (sounds)", "thing 2 (sounds)"]
    assert labels[-1]["value"] == "thing 0 (silent)"
    keys = [each["hotkey"] for each in labels if "hotkey" in each]
    assert len(set(keys)) == len(keys) == 22
    assert not set(keys) & set(re.findall('hotkey="(.)"', labeling_config()))


def test_least_certain_comes_first() -> None:
    """An ambiguous tube, or none, is least certain of all."""
    sure, doubtful = walking(), walking(score=(0.3,) * 25)
    unclear = walking(flags=("ambiguous_identity",))
    found = [shown_of(each).certainty for each in (unclear, doubtful, sure)]
    assert found == sorted(found)
    assert shown_of().certainty == 0 == found[0]


def test_interpolation_follows_the_editor() -> None:
    """Nothing before the first key, a disabled key itself shown, the last box to the end."""
    keys = read_keys(
        [
            {"frame": 5, "x": 0, "y": 0, "width": 10, "height": 10, "rotation": 0, "enabled": True},
            {"frame": 9, "x": 8, "y": 0, "width": 10, "height": 10, "enabled": False},
            {"frame": 20, "x": 8, "y": 0, "width": 10, "height": 10, "enabled": True},
        ]
    )
    boxes, shown = boxes_at(keys, np.array([4, 5, 7, 9, 10, 19, 20, 99]), 1.0)
    assert shown.tolist() == [False, True, True, True, False, False, True, True]
    assert boxes[2].tolist() == pytest.approx([0.04, 0, 0.14, 0.1])
    assert without_leftovers(keys, keys) == keys


def test_a_hole_in_the_samples_is_no_box() -> None:
    """Where nobody looked for long, none is drawn between."""
    times_s = np.array([1.0, 1.2, 1.4, 4.0, 4.2])
    boxes = np.tile([0.1, 0.1, 0.5, 0.5], (5, 1))
    keys = keys_of(times_s, boxes, np.ones(5, np.int8), CLOCK)
    assert [(key.frame, key.enabled) for key in keys] == [
        (1, True),
        (11, False),
        (76, True),
        (81, False),
    ]
    assert make_video().width == 640


def test_a_group_has_one_box() -> None:
    """Two boxes on a group at one time go back; one after the other, or a reject, is taken."""
    choir = make_object(is_group=True)
    first = walking(choir, [True] * 10)
    beside = walking(choir, [True] * 10, seed=1, ordinal=1)
    after = walking(choir, [True] * 10, seed=1, ordinal=1, start_s=4.0)
    objects = [choir, make_object(name="cat")]
    shown = shown_of(first, beside, objects=objects)
    with pytest.raises(AnnotationError, match="has two boxes at frame 14: expected one around"):
        read(answered(shown, OK), shown)
    rejected = [choice("verdict", "reject"), choice("reason", "bad media")]
    assert read(answered(shown, *rejected), shown).inspection.verdict == "reject"

    def drop(results: list[Json]) -> None:
        results[:] = [r for r in results if r["id"] != region_id(beside)]

    assert read(answered(shown, OK, edit=drop), shown).inspection.verdict == "ok"
    apart = shown_of(first, after, objects=objects)
    assert read(answered(apart, OK), apart).inspection.verdict == "ok"


def test_a_gold_task_looks_like_any_other() -> None:
    """Only its seal tells it apart, and the seal only to us; each time it is another task."""
    plain = shown_of(walking())
    golds = [shown_of(walking(), gold=number) for number in (0, 1)]
    tasks = [task_of(each)["data"] for each in (plain, *golds)]
    assert [is_gold(data) for data in tasks] == [False, True, True]
    assert len({data["uid"] for data in tasks}) == 3
    for data in tasks[1:]:
        differ = {name for name in data if data[name] != tasks[0][name]}
        assert differ == {"uid", "shown"}
        assert "gold" not in json.dumps(data)

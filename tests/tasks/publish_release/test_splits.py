"""Splits stay where they were first published."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.schemas.arrow import from_table, to_table
from earshot.schemas.question import Question, Split
from earshot.schemas.video import Video
from earshot.tasks.publish_release.splits import assign, inherit
from tests import factories

SPLITS = st.sampled_from(get_args(Split))


def _tables(drawn, groups=None, files=None):
    """Videos and questions of {video_id: split}, with split groups and digests."""
    videos = [
        factories.make_video(
            video_id,
            split_group=(groups or {}).get(video_id),
            **({"sha256": files[video_id]} if files and video_id in files else {}),
        )
        for video_id in drawn
    ]
    questions = [factories.make_question(v, "temporal", split) for v, split in drawn.items()]
    return to_table(Question, questions), to_table(Video, videos)


def _inherited(drawn, before, groups=None, files=None):
    questions = inherit(*_tables(drawn, groups, files), before)
    return {q.video_id: q.split for q in from_table(Question, questions)}


def _published(drawn, groups=None, files=None, before=None, version=1):
    return assign(*_tables(drawn, groups, files), before, version)


@given(st.dictionaries(st.sampled_from("abcdef"), SPLITS, min_size=1), st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_is_drawn_anew_published_videos_keep_their_split(first, data):
    """New videos keep what was drawn for them."""
    second = data.draw(st.dictionaries(st.sampled_from("abcdefgh"), SPLITS, min_size=1))
    assert _inherited(second, _published(first)) == {
        video_id: first.get(video_id, split) for video_id, split in second.items()
    }


def test_a_new_video_of_a_published_group_joins_it():
    """Near duplicates of a train video are no test."""
    before = _published({"a": "train"}, {"a": "yard"})
    assert _inherited({"b": "test"}, before, {"b": "yard"}) == {"b": "train"}


def test_a_group_that_is_found_later_draws_new_videos_to_the_published_one():
    """The group may be named only in the second version."""
    before = _published({"a": "validation"})
    drawn = {"b": "test", "a": "test"}
    groups = {"a": "yard", "b": "yard"}
    assert _inherited(drawn, before, groups) == {"a": "validation", "b": "validation"}


def test_a_renamed_file_keeps_its_split():
    """Equal bytes are the same video."""
    before = _published({"a": "test"}, files={"a": "f" * 64})
    assert _inherited({"b": "train"}, before, files={"b": "f" * 64}) == {"b": "test"}


def test_a_changed_split_changes_the_digest_and_an_equal_one_does_not():
    """A row's digest is that of its content."""
    questions, videos = _tables({"a": "test", "b": "train"})
    moved = inherit(questions, videos, _published({"a": "train", "b": "train"}))
    records = from_table(Question, moved)
    assert moved["digest"].to_pylist() == [record.digest for record in records]
    assert moved["digest"][0] != questions["digest"][0]
    assert moved["digest"][1] == questions["digest"][1]


def test_an_assignment_outlives_versions_without_the_video():
    """A video that comes back two versions later still knows its split."""
    first = _published({"a": "test", "b": "train"})
    second = _published({"b": "train"}, before=first, version=2)
    assert _inherited({"a": "train"}, second) == {"a": "test"}
    assert second["since_version"].to_pylist() == [1, 1]

"""Ids that survive re-ordering and recomputation (CONTRACTS 1).

An id never depends on payload that a recomputation may change, nor on the order in which a model
happened to answer. All functions are pure; `norm` is `earshot.names.norm`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from earshot.geometry.rounding import half_up
from earshot.names import norm
from earshot.schemas.base import digest_of

VIDEO_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def h8(value: Any) -> str:
    """Return the first 8 hex digits of sha256 over the canonical JSON of `value`."""
    return digest_of(value)[:8]


def check_video_id(video_id: str) -> str:
    """Return the id unchanged, or raise ValueError if it breaks `[A-Za-z0-9_.-]{1,128}`."""
    if not VIDEO_ID.fullmatch(video_id):
        raise ValueError(
            f"video_id {video_id[:160]!r}: expected 1-128 characters of A-Z a-z 0-9 _ . -; "
            "rename it in the manifest"
        )
    return video_id


def caption_id(video_id: str, position: int) -> str:
    """Id of the caption at a 0-based position of the manifest."""
    return f"{video_id}/c{position}"


def given_event_id(video_id: str, given: str) -> str:
    """Id of an event that the manifest names."""
    return f"{video_id}/e-{h8([given])}"


def event_id(video_id: str, caption_ids: Sequence[str], head: str, ordinal: int) -> str:
    """Id of an event found in captions.

    Args:
        video_id: the video.
        caption_ids: the captions that it rests on, in manifest order.
        head: the label, or the head of the description where there is no label.
        ordinal: position by start among the events with equal caption ids and head.
    """
    return f"{video_id}/e-{h8([list(caption_ids), norm(head), ordinal])}"


def mention_id(event: str, caption: str, char_start: int, char_end: int) -> str:
    """Id of one naming of a thing: its place in the caption, within one event."""
    return f"{event}/m-{h8([caption, char_start, char_end])}"


def object_id(video_id: str, name: str) -> str:
    """Id of a named kind of thing in one video."""
    return f"{video_id}/o-{h8([norm(name)])}"


def tube_id(of_object: str, window: tuple[float, float], ordinal: int) -> str:
    """Id of one instance: window to 0.1 s; ordinal by first visible time, then left edge."""
    start_s, end_s = (half_up(time_s, 1) for time_s in window)
    return f"{of_object}/t-{h8([start_s, end_s, ordinal])}"


def inspection_id(event: str, project: str, task: str, annotation: str) -> str:
    """Id of what one person (or the automatic inspector) decided about an event."""
    return f"{event}/i-{h8([project, task, annotation])}"


def question_id(
    video_id: str,
    task: str,
    branch: str | None,
    pack: str,
    template: str,
    event_ids: Sequence[str],
    object_ids: Sequence[str],
) -> str:
    """Id of a question: what it asks, of which events and objects, in which words."""
    parts = [task, branch, pack, template, sorted(event_ids), sorted(object_ids)]
    return f"{video_id}/q-{h8(parts)}"


def video_of(item_id: str) -> str:
    """Return the video that an item belongs to: the part of the id before the first `/`."""
    return item_id.split("/", 1)[0]

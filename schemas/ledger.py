"""The ledger: what happened to every item in every stage, why, at what cost.

`REASONS` is the one closed registry of reason codes: each has the status it belongs to, a sentence
and a remedy. Only `quarantined` counts towards the failure budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from earshot.schemas.base import INSTANT, Instant, Record, opt, req

Status = Literal["done", "filtered", "rejected", "quarantined", "waiting"]
STATUSES: tuple[Status, ...] = ("done", "filtered", "rejected", "quarantined", "waiting")
ItemKind = Literal["video", "caption", "event", "object", "tube", "question"]
ITEM_KINDS: tuple[ItemKind, ...] = ("video", "caption", "event", "object", "tube", "question")


@dataclass(frozen=True)
class Reason:
    """Why an item got its status.

    Attributes:
        status: the only status that this reason goes with.
        sentence: what it means.
        remedy: what the user can do.
        transient: a later build tries the item again by itself, since the fault may be gone.
    """

    status: Status
    sentence: str
    remedy: str
    transient: bool = False


def _filtered(sentence: str, remedy: str) -> Reason:
    return Reason("filtered", sentence, remedy)


def _rejected(sentence: str, remedy: str) -> Reason:
    return Reason("rejected", sentence, remedy)


def _fault(sentence: str, remedy: str, *, transient: bool = False) -> Reason:
    return Reason("quarantined", sentence, remedy, transient)


NOT_BUILT = "not_built"
"""Of a video that a release has no question about, since nobody has built it up to date."""

REASONS: dict[str, Reason] = {
    # done
    "empty": Reason("done", "There was nothing to find.", "Nothing to do."),
    # fetch and probe
    "not_found": _fault(
        "The video file is not there.", "Put it there or mend the uri.", transient=True
    ),
    "forbidden": _fault(
        "The server refused the download.", "Check the credentials.", transient=True
    ),
    "fetch_failed": _fault(
        "The file could not be fetched or read.", "Check the place; retry.", transient=True
    ),
    "timeout": _fault(
        "The work took longer than its limit.", "Raise the limit or mend the file.", transient=True
    ),
    "checksum": _fault(
        "The file is not the one that was expected.", "Fetch it again.", transient=True
    ),
    "too_large": _fault("The file is larger than the limit.", "Raise the limit or leave it out."),
    "unreadable": _fault("The file is no video that can be opened.", "Re-encode or replace it."),
    "no_video_stream": _fault("The file has no picture.", "Replace the file."),
    "decode_error": _fault("Decoding failed before the end.", "Re-encode or replace the file."),
    "truncated": _fault("Fewer frames than the container says.", "Fetch or encode it again."),
    "no_duration": _fault("The length of the video can't be found out.", "Re-encode the file."),
    # captions and events of the manifest
    "bad_entry": _fault("A manifest row can't be read.", "Mend the row."),
    "duplicate_id": _fault("Two manifest rows have one video_id.", "Rename one of them."),
    "cut_end": Reason(
        "done",
        "An end lay beyond the video's by no more than captions.tolerance_s and was cut to it.",
        "Nothing to do; set the tolerance to 0 to refuse such times.",
    ),
    "mistyped_time": _fault(
        "A time is missing or no number of seconds.", "Write seconds: 72.5, not 1:12.5."
    ),
    "not_finite": _fault("A time is NaN or infinite.", "Mend the time."),
    "negative_time": _fault("A time lies before the video's start.", "Mend the time."),
    "absurd_time": _fault("A time is more than a day.", "Write seconds, not milliseconds."),
    "no_segments": _fault("An event has no segments.", "Give it at least one."),
    "reversed_time": _fault("An interval ends before it starts.", "Swap or mend the times."),
    "zero_length": _fault("An interval has no length.", "Mend the times."),
    "out_of_range": _fault("An interval lies outside the video.", "Mend the times."),
    "empty_text": _fault("A caption has no text.", "Write one or leave the caption out."),
    "no_text": _fault("A video has neither captions nor events.", "Give it one of them."),
    "no_label": _fault("An event has neither label nor description nor caption.", "Give it one."),
    # boxes of an annotation file
    "bad_box": _fault("A box is not four finite numbers.", "Mend the box."),
    "absurd_box": _fault("A box has a coordinate that no picture has.", "Draw the box again."),
    "box_out_of_range": _fault(
        "A box reaches out of its frame.", "Mend the box; write shares of width and height."
    ),
    "reversed_box": _fault("A box ends before it starts.", "Swap or mend its corners."),
    "zero_area_box": _fault("A box has no area.", "Mend the box or leave it out."),
    # filters (R-AVST section 3, CONTRACTS 3)
    "too_long": _filtered("The video is longer than the limit.", "Raise filter.max_duration_s."),
    "too_short": _filtered("The video is shorter than the limit.", "Lower filter.min_duration_s."),
    "few_event_seconds": _filtered(
        "Its events cover too little of the video.", "Lower filter.min_event_share."
    ),
    "many_events": _filtered("It has too many kinds of events.", "Raise filter.max_events."),
    "no_sound": _filtered("It has no sound at all.", "Set filter.require_sound to false."),
    # caption analysis and key objects
    "not_in_caption": _rejected("The object is not in the caption's words.", "Nothing to do."),
    "not_an_object": _rejected("The word names nothing that could be boxed.", "Nothing to do."),
    "over_limit": _filtered(
        "The event has more objects than are followed.", "Raise objects.max_objects_per_event."
    ),
    "no_objects": _filtered("An event has no object that could be followed.", "Caption it better."),
    "bad_answer": _fault(
        "The model's answer breaks the rules after repairs.", "Retry or change the model."
    ),
    "refused": _fault("The model refused to answer.", "Change the prompt or the model."),
    "cut_off": _fault("The model's answer was cut off.", "Raise the token limit."),
    "content_filter": _fault(
        "The endpoint's content filter stopped the answer.", "Change the endpoint."
    ),
    "no_answer": _fault("The model answered nothing.", "Retry.", transient=True),
    "bad_request": _fault(
        "The endpoint refuses this request.",
        "See the message; mend the caption.",
    ),
    "no_reply": _fault(
        "The endpoint did not answer.", "Check it, and the limits in [llm]; retry.", transient=True
    ),
    "not_built": Reason(
        "waiting", "It has not been built this far, or not since something changed.", "Build again."
    ),
    "budget": Reason("waiting", "The cost limit is reached.", "Raise the limit and build again."),
    # tracking
    "not_visible": _filtered("The object is never seen in the window.", "Nothing to do."),
    "not_detected": _filtered("The tracker found no such object.", "Lower the thresholds."),
    "audible_only": _filtered("The object is heard, not seen: nothing to box.", "Nothing to do."),
    "bad_tracks": _fault("An imported file of tracks can't be read.", "Mend the file."),
    # inspection
    "inspector_rejected": _rejected("A person rejected it.", "See the inspection's reasons."),
    "ambiguous_identity": _rejected(
        "Several things sound or move alike: which of them has the name is not known.",
        "Have a person inspect the tubes.",
    ),
    "rule_rejected": _rejected("The automatic inspector rejected it.", "See the message."),
    "unsure": _rejected("The inspector could not tell.", "Inspect it again."),
    "bad_clip": _fault(
        "The clip for people is not as exact as it has to be.", "Report it with the video."
    ),
    "bad_prediction": _fault(
        "Label Studio's own rules refuse the boxes that people would be shown.",
        "Report it with the message.",
    ),
    "phantom_region": _filtered(
        "The annotation tool wrote a result that nobody made.", "Nothing to do."
    ),
    "bad_annotation": _fault(
        "An annotation contradicts itself or what was shown.",
        "Open the task in Label Studio, do what the message says, update; collect again.",
    ),
    "for_people": Reason("waiting", "It waits for a person.", "Inspect it, then collect."),
    "for_batch": Reason("waiting", "It waits for a batch answer.", "Build again later."),
    # questions
    "another_stretch": _filtered(
        "The object sounds and is seen elsewhere too.", "Use a multi-interval pack."
    ),
    "several_instances": _filtered("The words do not tell the instances apart.", "Nothing to do."),
    "hardly_visible": _filtered(
        "Seen in less than half of the times it should cover.", "Nothing to do."
    ),
    "whole_video": _filtered(
        "The event covers nearly the whole video.", "Raise questions.max_event_cover."
    ),
    "not_complete": _filtered("No inspection says that everything is boxed.", "Inspect the event."),
    "empty_answer": _filtered("The truth has no interval or box left.", "Nothing to do."),
    "empty_box": _filtered("Rounding leaves a box without area.", "Nothing to do."),
    "bad_name": _filtered("The name can't stand in an answer.", "Rename the object."),
    "over_cap": _filtered("The answer exceeds a cap of the grammar.", "Nothing to do."),
    "no_choice": _filtered(
        "No one right option, or too few other things in the video.", "Nothing to do."
    ),
    "over_budget": _filtered(
        "The answer is longer than a model may write.",
        "Raise questions.max_answer_tokens, or --completion-tokens of an export.",
    ),
    "unknown_boxes": _filtered("Nobody looked at part of the window.", "Track or inspect it."),
    "caption_times": _filtered(
        "Its times are a caption's, nobody inspected them, and its split is for evaluation.",
        "Inspect the event.",
    ),
    # release
    "quota": _filtered("Left out to keep the release balanced.", "Change the quotas."),
    "excluded": _filtered("The video is on an exclusion list.", "Nothing to do."),
    "withdrawn": _filtered("The video is on the takedown list.", "Nothing to do."),
    "licence": _filtered("The video's licence is not allowed.", "See release.licences."),
    "near_duplicate": _filtered(
        "The video shows what videos of two splits show.", "Nothing to do: it would be a leak."
    ),
    # training batches
    "evaluation_only": _filtered(
        "The video is for evaluation.", "Nothing to do: a model must not be trained on it."
    ),
    "sparse_frames": _filtered(
        "The frames that the model sees lie too far apart for the times asked.",
        "Raise max_frames or fps.",
    ),
    "media_tag": _filtered(
        "The question holds a tag that trainers take for a picture, video or sound.",
        "Rename the object.",
    ),
    "turned_picture": _filtered(
        "The stored picture is turned or has no square pixels; trainers' readers ignore that.",
        "Encode the video upright, or export for trl, which is given frames.",
    ),
    "uneven_frames": _filtered(
        "A frame is not when its number and the rate say, by which trainers' readers go.",
        "Encode the video at a constant rate, or export for trl, which is given frames.",
    ),
    "zero_variance": _filtered(
        "All of its stored rollouts got one reward: a group without spread teaches nothing.",
        "Nothing to do, or --zero-variance keep.",
    ),
    "no_full_batch": _filtered(
        "No whole batch was left for it.", "Lower batch_prompts, change the quotas or add epochs."
    ),
    # anywhere
    "stage_error": _fault(
        "The stage failed on this item.", "See the traceback; retry.", transient=True
    ),
    "wrong_results": _fault(
        "The stage's results do not fit its input.", "Report it as a bug.", transient=True
    ),
    "child_died": _fault(
        "The worker process died on this item.", "Retry with less memory use.", transient=True
    ),
    "dropped": Reason("filtered", "It was dropped from quarantine by hand.", "Nothing to do."),
}


def fits(status: Status, reason_code: str | None) -> bool:
    """Whether a reason goes with a status; only `done` goes without one."""
    if reason_code is None:
        return status == "done"
    reason = REASONS.get(reason_code)
    return reason is not None and reason.status == status


class LedgerRow(Record):
    """One item in one stage (CONTRACTS 2)."""

    TABLE: ClassVar[str] = "ledger"
    KEY: ClassVar[tuple[str, ...]] = ("stage", "item_kind", "item_id")
    ARROW: ClassVar[pa.Schema] = pa.schema(
        [
            req("build_id", pa.string()),
            req("stage", pa.string()),
            req("video_id", pa.string()),
            req("item_kind", pa.string()),
            req("item_id", pa.string()),
            req("status", pa.string()),
            opt("reason_code", pa.string()),
            opt("message", pa.string()),
            opt("value", pa.string()),
            req("attempts", pa.int32()),
            req("seconds", pa.float64()),
            opt("tokens", pa.int64()),
            opt("cost_usd", pa.float64()),
            req("key", pa.string()),
            req("at", INSTANT),
        ]
    )

    build_id: str
    stage: str
    video_id: str
    item_kind: ItemKind
    item_id: str
    status: Status
    reason_code: str | None
    message: str | None
    value: str | None
    attempts: int = Field(ge=1)
    seconds: float = Field(ge=0)
    tokens: int | None = None
    cost_usd: float | None = None
    key: str = Field(description="the stage key under which it happened")
    at: Instant

    @model_validator(mode="after")
    def _reason_fits_status(self) -> Self:
        if self.reason_code is None:
            if self.status != "done":
                raise ValueError(f"{self.item_id}: status {self.status!r} needs a reason code")
            return self
        reason = REASONS.get(self.reason_code)
        if reason is None:
            raise ValueError(f"reason code {self.reason_code!r} is not in schemas.ledger.REASONS")
        if reason.status != self.status:
            raise ValueError(
                f"{self.item_id}: reason {self.reason_code!r} goes with {reason.status!r}, "
                f"not with {self.status!r}"
            )
        return self

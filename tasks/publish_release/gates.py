"""The gates of a release: takes its tables, tally and baselines, and refuses it with all reasons.

Each gate gives the offenders it found; nothing is mended or dropped, and only `release.limits` lets
anything through.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earshot.errors import ReleaseError
from earshot.schemas.config import GateName, ReleaseConfig
from earshot.schemas.ledger import NOT_BUILT
from earshot.schemas.release import GateCount
from earshot.tasks.publish_release.baselines import Baselines, over_limit
from earshot.tasks.publish_release.bounded import bounded
from earshot.tasks.publish_release.contents import Contents
from earshot.tasks.publish_release.exclusions import Overlap
from earshot.tasks.publish_release.rederive import other_answers
from earshot.tasks.publish_release.spool import BATCH_ROWS, distinct, values_of, videos_of
from earshot.tasks.publish_release.tally import Tally, hash_of, words_of

SHOWN = 5


@dataclass(frozen=True)
class Gate:
    """One reason for which a release is not published.

    Attributes:
        refuses: what it counts, in words, for the card.
        remedy: what to do about it.
    """

    refuses: str
    remedy: str


GATES: dict[GateName, Gate] = {
    "split": Gate(
        "videos, equal files and split groups in two splits",
        "Give the videos one split_group, or none, and keep a published split; see splits",
    ),
    "near_duplicate": Gate(
        "near-duplicate videos in two splits",
        "Put one of the two on release.takedown_list",
    ),
    "duplicate": Gate(
        "question ids that stand twice",
        "A question id stands for one question: make the question tables again",
    ),
    "unique": Gate(
        "questions of one video with the same words",
        "One question has one answer: tell the objects apart, or drop a template of the pack",
    ),
    "dangling": Gate("ids without a row", "Pass the tables of one build"),
    "contradiction": Gate(
        "absent videos with a question",
        "A video is either asked about or absent: mend the list of absent videos",
    ),
    "span": Gate(
        "times outside the video",
        "Times are seconds inside the video, start below end: mend the event's times",
    ),
    "frame": Gate("boxes outside the frame", "Clip the boxes to the frame, or reject the tube"),
    "box": Gate(
        "boxes without area",
        "A thing that is not there has no box (null): mend or reject the tube",
    ),
    "tube": Gate("tubes without a box", "Reject the tube; an answer names what is seen"),
    "coverage": Gate(
        "tubes seen in too few of the answer's times",
        "Reject the tube, or lower release.min_visible_share",
    ),
    "whole_video": Gate(
        "time answers that are nearly the whole video",
        "Lower questions.max_event_cover, or raise release.max_event_cover",
    ),
    "answer": Gate(
        "answers that break the grammar",
        "Answers are rendered by rewards.grammar: mend the template pack",
    ),
    "truth": Gate(
        "truths that rewards can't read",
        "Truths are written by schemas.truth.Truth.canonical: make the questions again",
    ),
    "length": Gate(
        "answers longer than a model may write",
        "Lower questions.max_answer_tokens, or raise release.max_answer_tokens",
    ),
    "reward": Gate(
        "right answers that don't score 1 on every reward",
        "Report it as a bug, with the question's row",
    ),
    "rederived": Gate(
        "answers that SQL on the tables derives otherwise",
        "The tables and the questions are of different builds, or it is a bug: build again",
    ),
    "excluded": Gate(
        "videos of a benchmark",
        "Take these videos out of the input manifest, or set release.drop_excluded",
    ),
    "blind": Gate(
        "blind answers above their limit",
        "Balance where events and boxes lie (release.quotas), or lower questions.max_event_cover",
    ),
    "empty": Gate(
        "releases without a question",
        "See the ledger for why; release.allow_empty publishes it all the same",
    ),
}
"""Every gate in the order of the card."""


@dataclass(frozen=True)
class Offence:
    """What one gate found: the first item at fault, or the value that is over a limit."""

    gate: GateName
    text: str


def check_gates(
    contents: Contents,
    tally: Tally,
    overlaps: Sequence[Overlap],
    baselines: Baselines,
    config: ReleaseConfig,
) -> tuple[Offence, ...]:
    """Return what the gates found, where no gate found more than its limit.

    `rederived` is not among them: it looks at the files, see `check_answers`.

    Raises:
        ReleaseError: every gate that refuses it, each with its first five offenders, their number
            and the remedy.
    """
    offences = (
        *split_offences(contents),
        *near_duplicate_offences(contents),
        *duplicate_offences(contents.questions, tally),
        *unique_offences(contents.questions, tally),
        *dangling_offences(contents),
        *contradictions(contents),
        *(Offence(gate, f"{name}: {text}") for name, gate, text in tally.faults),
        *tube_offences(contents),
        *exclusion_offences(overlaps),
        *blind_offences(baselines, config),
        *empty_offences(contents, tally, config),
    )
    _refuse(offences, config)
    return offences


def check_answers(folder: Path, tally: Tally, config: ReleaseConfig) -> tuple[Offence, ...]:
    """Return the questions whose answer SQL derives otherwise from the files of a release.

    Rows that a gate has let through although they are at fault are not looked at again.

    Raises:
        ReleaseError: there are more of them than the limit.
    """
    at_fault = tally.at_fault
    offences = tuple(
        Offence("rederived", f"{question_id}: says {_short(said)}, the tables {_short(derived)}")
        for question_id, said, derived in other_answers(folder)
        if question_id not in at_fault
    )
    _refuse(offences, config)
    return offences


def count_gates(offences: Iterable[Offence], config: ReleaseConfig) -> tuple[GateCount, ...]:
    """Return what every gate looked at and found, for card and manifest."""
    found = Counter(offence.gate for offence in offences)
    return tuple(
        GateCount(gate=name, found=found[name], limit=config.limits.get(name, 0)) for name in GATES
    )


def _refuse(offences: Sequence[Offence], config: ReleaseConfig) -> None:
    found = Counter(offence.gate for offence in offences)
    over = {gate for gate, count in found.items() if count > config.limits.get(gate, 0)}
    if over:
        raise ReleaseError(_message(config, [each for each in offences if each.gate in over]))


def split_offences(contents: Contents) -> Iterator[Offence]:
    """Videos, byte-equal files and split groups that stand in more than one split."""
    columns = ("video_id", "split_group", "sha256")
    videos = {name: rest for name, *rest in values_of(contents.videos, columns)}
    seen: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for video_id, split in sorted(distinct(contents.questions, ["video_id", "split"])):
        split_group, sha256 = videos.get(video_id, (None, None))
        for what, value in (
            ("video", video_id),
            ("split_group", split_group),
            ("file with sha256", sha256),
        ):
            if value is not None:
                seen[what, value].setdefault(split, video_id)
    for (what, value), splits in sorted(seen.items()):
        if len(splits) > 1:
            where = " and ".join(f"{split} (video {one!r})" for split, one in splits.items())
            yield Offence("split", f"{what} {value!r} is in {where}")


def near_duplicate_offences(contents: Contents) -> Iterator[Offence]:
    """Videos that show the same and stand in two splits."""
    split = dict(distinct(contents.questions, ["video_id", "split"]))
    for one, other in contents.near_duplicates:
        if one in split and other in split and split[one] != split[other]:
            text = f"{one!r} in {split[one]} shows what {other!r} in {split[other]} shows"
            yield Offence("near_duplicate", text)


def duplicate_offences(questions: pa.Table, tally: Tally) -> Iterator[Offence]:
    """Question ids that stand more than once."""
    hashes = tally.may_stand_twice()
    if not hashes:
        return
    ids = (name for (name,) in values_of(questions, ["question_id"]) if hash_of(name) in hashes)
    for question_id, count in Counter(ids).items():
        if count > 1:
            yield Offence("duplicate", f"{question_id} stands {count} times")


def unique_offences(questions: pa.Table, tally: Tally) -> Iterator[Offence]:
    """Questions of one video that nobody can tell apart."""
    hashes = tally.may_ask_the_same()
    if not hashes:
        return
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for question_id, *told in values_of(questions, ["question_id", "video_id", "question"]):
        words = words_of(*told)
        if hash_of(*words) in hashes:
            asked[words].add(question_id)
    for (_, text), ids in asked.items():
        if len(ids) > 1:
            yield Offence("unique", f"{' and '.join(sorted(ids))} ask {_short(text)}")


def dangling_offences(contents: Contents) -> Iterator[Offence]:
    """Ids in questions whose row is in no table of the release."""
    known = {
        "event_ids": ("events",),
        "object_ids": ("objects",),
        "tube_ids": ("tubes", "revised_tubes"),
        "inspection_ids": ("inspections",),
    }
    with bounded() as sql:
        for name in ("questions", *(table for tables in known.values() for table in tables)):
            sql.register(name, contents.tables[name])
        for name, tables in known.items():
            there = [sql.table(table).project(f"{name[:-1]} AS id") for table in tables]
            used = sql.table("questions").project(f"unnest({name}) AS id").distinct()
            for table in there:
                used = used.except_(table)
            for (each,) in used.order("id").fetchall():
                yield Offence("dangling", f"{name} names {each}, which is in no table")


def contradictions(contents: Contents) -> Iterator[Offence]:
    """Videos that are said to be absent and have a question."""
    absent = {video_id for (video_id,) in values_of(contents.tables["absent"], ["video_id"])}
    for video_id in sorted(videos_of(contents.questions) & absent):
        yield Offence("contradiction", f"video {video_id!r} is absent and has a question")


def tube_offences(contents: Contents) -> Iterator[Offence]:
    """Boxes of tubes without an area, such as [0, 0, 0, 0]."""
    for name in ("tubes", "revised_tubes"):
        for batch in contents.tables[name].to_batches(max_chunksize=BATCH_ROWS):
            boxes = pc.list_flatten(batch["boxes"])
            owners = pc.list_parent_indices(batch["boxes"]).to_numpy()
            x1, y1, x2, y2 = (
                pc.struct_field(boxes, edge).to_numpy(zero_copy_only=False)
                for edge in ("x1", "y1", "x2", "y2")
            )
            # A null box has NaN edges here, and NaN is not at fault.
            for row in np.flatnonzero((x1 >= x2) | (y1 >= y2)):
                tube_id = batch["tube_id"][int(owners[row])].as_py()
                box = f"[{x1[row]:g}, {y1[row]:g}, {x2[row]:g}, {y2[row]:g}]"
                yield Offence("box", f"{tube_id} in {name}: box {box} has no area")


def exclusion_offences(overlaps: Iterable[Overlap]) -> Iterator[Offence]:
    """Videos that stand on an exclusion list."""
    for overlap in overlaps:
        for video_id in overlap.video_ids:
            yield Offence("excluded", f"video {video_id!r} is in benchmark {overlap.benchmark!r}")


def blind_offences(baselines: Baselines, config: ReleaseConfig) -> Iterator[Offence]:
    """Answers that nobody has to look for (CONTRACTS 8), where the test split can tell."""
    for row, limit, setting in over_limit(baselines, config):
        if row.n_scored >= config.min_baseline_questions:
            yield Offence(
                "blind",
                f"{row.task}, {row.name} ({row.answer}) has {row.metric} {row.score:.3f} on "
                f"{row.n_scored} {row.task} test questions; release.{setting} is {limit:g}",
            )


def empty_offences(contents: Contents, tally: Tally, config: ReleaseConfig) -> Iterator[Offence]:
    """A release without a question."""
    if tally.questions or config.allow_empty:
        return
    why = [
        f"{count} questions were left out, {code}"
        for code, count in sorted(Counter(row.reason_code for row in contents.dropped).items())
    ]
    absent = Counter(code for (code,) in values_of(contents.tables["absent"], ["reason_code"]))
    if absent[NOT_BUILT]:
        why.append(f"{absent[NOT_BUILT]} videos are not built up to date: build first")
    yield Offence("empty", "; ".join(["there is no question in it", *why]))


def _message(config: ReleaseConfig, offences: Sequence[Offence]) -> str:
    by_gate: dict[str, list[str]] = defaultdict(list)
    for offence in offences:
        by_gate[offence.gate].append(offence.text)
    count = f"{len(by_gate)} gate{'s' if len(by_gate) > 1 else ''}"
    lines = [f"{count} refuse{'' if len(by_gate) > 1 else 's'} the release of {config.name!r}:"]
    for name, gate in GATES.items():
        if name not in by_gate:
            continue
        texts, limit = by_gate[name], config.limits.get(name, 0)
        allowed = f", release.limits lets {limit} through" if limit else ""
        lines.append(f"- {name}: {len(texts)} found{allowed}. {gate.remedy}.")
        lines += [f"    {text}" for text in texts[:SHOWN]]
        if len(texts) > SHOWN:
            lines.append(f"    ... and {len(texts) - SHOWN} more")
    return "\n".join(lines)


def _short(text: str) -> str:
    folded = " ".join(text.split())
    return repr(folded if len(folded) <= 120 else f"{folded[:117]}...")

"""The gates of a release: takes its tables, facts and baselines, and refuses it with all reasons.

Each gate gives the offenders it found; nothing is mended, dropped or let through.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from earshot.errors import ReleaseError
from earshot.schemas.config import ReleaseConfig
from earshot.tasks.publish_release.baselines import Baselines
from earshot.tasks.publish_release.contents import Contents
from earshot.tasks.publish_release.exclusions import Overlap
from earshot.tasks.publish_release.facts import Fact

SHOWN = 5

REMEDIES = {
    "split": "Give the videos one split_group, or none, and keep a published split; see splits",
    "duplicate": "A question id stands for one question: make the question tables again",
    "dangling": "Pass the tables of one build",
    "contradiction": "A video is either asked about or absent: mend the list of absent videos",
    "span": "Times are seconds inside the video, start below end: mend the event's times",
    "box": "A thing that is not there has no box (null): mend or reject the tube",
    "answer": "Answers are rendered by rewards.grammar: mend the template pack",
    "truth": "Truths are written by schemas.truth.Truth.canonical: make the questions again",
    "excluded": "Take these videos out of the input manifest",
    "blind": "Balance where the events lie, or lower questions.max_event_cover",
    "empty": "See the ledger for why; release.allow_empty publishes it all the same",
}


@dataclass(frozen=True)
class Offence:
    """What one gate found: the first item at fault, or the value that is over a limit."""

    gate: str
    text: str


def check_gates(
    contents: Contents,
    facts: Sequence[Fact],
    overlaps: Sequence[Overlap],
    baselines: Baselines,
    config: ReleaseConfig,
) -> None:
    """Let a release pass, or refuse it.

    Raises:
        ReleaseError: every gate that refuses it, each with its first five offenders, their number
            and the remedy.
    """
    offences = [
        *split_offences(contents),
        *duplicate_offences(contents.questions),
        *dangling_offences(contents),
        *contradictions(contents),
        *(Offence(gate, f"{f.question_id}: {text}") for f in facts for gate, text in f.faults),
        *tube_offences(contents),
        *exclusion_offences(overlaps),
        *blind_offences(baselines, config),
        *empty_offences(facts, config),
    ]
    if offences:
        raise ReleaseError(_message(config.name, offences))


def split_offences(contents: Contents) -> Iterator[Offence]:
    """Videos, byte-equal files and split groups that stand in more than one split."""
    columns = ("video_id", "split_group", "sha256")
    videos = {row["video_id"]: row for row in contents.videos.select(columns).to_pylist()}
    seen: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    questions = contents.questions
    asked = zip(
        questions.column("video_id").to_pylist(), questions.column("split").to_pylist(), strict=True
    )
    for video_id, split in sorted(set(asked)):
        row = videos.get(video_id, {})
        for what, value in (
            ("video", video_id),
            ("split_group", row.get("split_group")),
            ("file with sha256", row.get("sha256")),
        ):
            if value is not None:
                seen[what, value].setdefault(split, video_id)
    for (what, value), splits in sorted(seen.items()):
        if len(splits) > 1:
            where = " and ".join(f"{split} (video {one!r})" for split, one in splits.items())
            yield Offence("split", f"{what} {value!r} is in {where}")


def duplicate_offences(questions: pa.Table) -> Iterator[Offence]:
    """Question ids that stand more than once."""
    for question_id, count in Counter(questions.column("question_id").to_pylist()).items():
        if count > 1:
            yield Offence("duplicate", f"{question_id} stands {count} times")


def dangling_offences(contents: Contents) -> Iterator[Offence]:
    """Ids in questions whose row is in no table of the release."""
    tables = contents.tables
    tubes = _ids(tables["tubes"], "tube_id") | _ids(tables["revised_tubes"], "tube_id")
    known = {
        "event_ids": _ids(tables["events"], "event_id"),
        "object_ids": _ids(tables["objects"], "object_id"),
        "tube_ids": tubes,
        "inspection_ids": _ids(tables["inspections"], "inspection_id"),
    }
    for name, ids in known.items():
        used = set(pc.list_flatten(contents.questions.column(name)).to_pylist())
        for missing in sorted(used - ids):
            yield Offence("dangling", f"{name} names {missing}, which is in no table")


def contradictions(contents: Contents) -> Iterator[Offence]:
    """Videos that are said to be absent and have a question."""
    asked = _ids(contents.questions, "video_id")
    for video_id in sorted(asked & _ids(contents.tables["absent"], "video_id")):
        yield Offence("contradiction", f"video {video_id!r} is absent and has a question")


def tube_offences(contents: Contents) -> Iterator[Offence]:
    """Boxes of tubes without an area, such as [0, 0, 0, 0]."""
    for name in ("tubes", "revised_tubes"):
        table = contents.tables[name]
        boxes = pc.list_flatten(table.column("boxes"))
        owners = pc.list_parent_indices(table.column("boxes")).to_numpy()
        x1, y1, x2, y2 = (
            pc.struct_field(boxes, edge).to_numpy(zero_copy_only=False)
            for edge in ("x1", "y1", "x2", "y2")
        )
        # A null box has NaN edges here, and NaN is not at fault.
        rows = np.flatnonzero((x1 >= x2) | (y1 >= y2))
        for row in rows:
            tube_id = table.column("tube_id")[int(owners[row])].as_py()
            box = f"[{x1[row]:g}, {y1[row]:g}, {x2[row]:g}, {y2[row]:g}]"
            yield Offence("box", f"{tube_id} in {name}: box {box} has no area")


def exclusion_offences(overlaps: Iterable[Overlap]) -> Iterator[Offence]:
    """Videos that stand on an exclusion list."""
    for overlap in overlaps:
        for video_id in overlap.video_ids:
            yield Offence("excluded", f"video {video_id!r} is in benchmark {overlap.benchmark!r}")


def blind_offences(baselines: Baselines, config: ReleaseConfig) -> Iterator[Offence]:
    """A time answer that nobody has to look for (CONTRACTS 8), where the test split can tell."""
    constant = baselines.constant("temporal")
    if (
        constant.score is not None
        and constant.n_scored >= config.min_baseline_questions
        and constant.score > config.max_best_constant_m_tiou
    ):
        yield Offence(
            "blind",
            f"best constant time answer ({constant.answer}) has m_tIoU {constant.score:.3f} on "
            f"{constant.n_scored} temporal test questions; release.max_best_constant_m_tiou is "
            f"{config.max_best_constant_m_tiou:g}",
        )


def empty_offences(facts: Sequence[Fact], config: ReleaseConfig) -> Iterator[Offence]:
    """A release without a question."""
    if not facts and not config.allow_empty:
        yield Offence("empty", "there is no question in it")


def _ids(table: pa.Table, column: str) -> set[str]:
    return set(table.column(column).to_pylist())


def _message(name: str, offences: Sequence[Offence]) -> str:
    by_gate: dict[str, list[str]] = defaultdict(list)
    for offence in offences:
        by_gate[offence.gate].append(offence.text)
    count = f"{len(by_gate)} gate{'s' if len(by_gate) > 1 else ''}"
    lines = [f"{count} refuse{'' if len(by_gate) > 1 else 's'} the release of {name!r}:"]
    for gate in (gate for gate in REMEDIES if gate in by_gate):
        texts = by_gate[gate]
        lines.append(f"- {gate}: {len(texts)} found. {REMEDIES[gate]}.")
        lines += [f"    {text}" for text in texts[:SHOWN]]
        if len(texts) > SHOWN:
            lines.append(f"    ... and {len(texts) - SHOWN} more")
    return "\n".join(lines)

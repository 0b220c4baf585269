"""SQL on the published tables derives the very answers that the questions stage writes."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from earshot.schemas.arrow import to_table
from earshot.schemas.base import Record
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.object import Object
from earshot.schemas.question import Question
from earshot.schemas.tube import RevisedTube, ShownTube, Tube
from earshot.tasks.publish_release import rederive
from earshot.tasks.publish_release.rederive import other_answers
from earshot.tasks.publish_release.shards import write_questions, write_tables
from earshot.tasks.publish_release.source import STAGE_KINDS
from tests.factories import make_event, make_event_object, make_object, make_video
from tests.worlds import World, by_person, judged, revision_of, still, tube_of

NAMES = ("dog", "cat", "man")


def random_world(video_id: str, rng: random.Random) -> World:
    """One to three events with up to three objects, moving, hidden, doubled, followed twice."""
    things = [
        make_object(video_id, name, count=rng.choice((1, 1, 2)))
        for name in rng.sample(NAMES, rng.randint(1, 3))
    ]
    events, parts, tubes = [], [], []
    for nth in range(rng.randint(1, 3)):
        segments = _segments(rng)
        event = make_event(video_id, segments, f"event {nth}")
        events.append(event)
        for thing in rng.sample(things, rng.randint(1, len(things))):
            role = rng.choice(("visible_and_audible",) * 3 + ("visible_only", "audible_only"))
            sounding = () if role == "visible_only" else event.segments
            parts.append(make_event_object(event, thing, audibility=role, sounding=sounding))
            if role == "audible_only":
                continue
            tubes += [
                tube
                for segment in segments
                for ordinal in range(rng.choice((1, 1, 1, thing.count or 1)))
                for tube in [_tube(thing, segment, ordinal, rng)]
            ]
    unique = {tube.tube_id: tube for tube in tubes}
    world = World(make_video(video_id), events, things, parts, list(unique.values()))
    return _inspected(world, rng)


def _segments(rng: random.Random) -> tuple[tuple[float, float], ...]:
    start_s = round(rng.uniform(0, 8), rng.choice((1, 2, 5)))
    first = (start_s, round(start_s + rng.uniform(1.2, 5), rng.choice((1, 2, 5))))
    if rng.random() < 0.7:
        return (first,)
    return (first, (first[1] + 1.5, first[1] + 1.5 + rng.uniform(1, 3)))


def _tube(thing: Object, segment: tuple[float, float], ordinal: int, rng: random.Random) -> Tube:
    # Two windows of one object mostly show one thing: its place depends on name and ordinal.
    home = 0.05 + 0.3 * NAMES.index(thing.name) + 0.13 * ordinal
    speed = rng.choice((0.0, 0.0, 0.013))

    def box_at(time_s: float) -> tuple[float, float, float, float]:
        left = home + speed * (time_s - segment[0])
        return (left, 0.3, left + 0.12345, 0.71)

    cut_s = segment[0] + rng.uniform(0.3, 1) * (segment[1] - segment[0])
    visible = None if rng.random() < 0.6 else [(segment[0], cut_s)]
    return tube_of(thing, segment, box_at, visible=visible, ordinal=ordinal)


def _inspected(world: World, rng: random.Random) -> World:
    if rng.random() < 0.4:
        return world.inspected()
    passed = world.passed()
    revised: list[RevisedTube] = []
    inspections = []
    for inspection in passed.inspections:
        verdicts = []
        for each in inspection.tubes:
            (tube,) = [one for one in world.tubes if one.tube_id == each.tube_id]
            after = revision_of(tube, lambda _: (0.4, 0.1, 0.55, 0.25))
            if rng.random() < 0.15 and all(one.tube_id != tube.tube_id for one in revised):
                revised.append(after)
                verdicts.append(judged(tube, "fixed", after))
            else:
                verdicts.append(each)
        (event,) = [one for one in world.events if one.event_id == inspection.event_id]
        inspections.append(by_person(event, verdicts, rng.randint(0, 5)))
        if rng.random() < 0.2:  # what rules said before a person came does not count
            inspections += [
                one for one in world.inspected().inspections if one.event_id == event.event_id
            ]
    return World(
        world.video, world.events, world.objects, world.parts, world.tubes, inspections, revised
    )


def write_release(folder: Path, worlds: list[World], pack: str) -> list[Question]:
    """The Parquet files that a release of these worlds has; every question in train."""
    rows: dict[type[Record], list[Record]] = {kind: [] for kind in (*STAGE_KINDS, Question)}
    for world in worlds:
        outcome = world.ask(pack=pack)
        for record in (
            world.video, *world.events, *world.objects, *world.parts, *world.tubes,
            *world.inspections, *world.revised, *world.shown, *outcome.records,
        ):  # fmt: skip
            if type(record) in rows:
                rows[type(record)].append(record)
    config = ReleaseConfig()
    write_questions(to_table(Question, rows[Question]), folder / "data", config)
    tables = {kind.TABLE: to_table(kind, rows[kind]) for kind in STAGE_KINDS}
    write_tables(tables, folder / "tables", config)
    return [row for row in rows[Question] if isinstance(row, Question)]


@pytest.mark.parametrize("pack", ["earshot", "r-avst"])
def test_every_answer_of_random_worlds_is_derived_again(pack, tmp_path):
    """All tasks and branches, several instances, joined windows, corrections, two segments."""
    worlds = [random_world(f"v{seed:04d}", random.Random(seed)) for seed in range(150)]
    questions = write_release(tmp_path, worlds, pack)
    kinds = Counter((row.task, row.branch) for row in questions)
    assert min(kinds.values()) > 5, kinds
    assert len(kinds) == 4
    assert other_answers(tmp_path) == []


def test_a_large_release_is_derived_part_by_part(tmp_path, monkeypatch):
    """The same answers are found to differ, and the reading of "when" is one for all parts."""
    worlds = [random_world(f"v{seed:04d}", random.Random(seed)) for seed in range(12)]
    questions = write_release(tmp_path, worlds, "earshot")
    wrong = [
        each.model_copy(update={"answer": each.answer.replace("0.", "1.")})
        if nth % 5 == 0
        else each
        for nth, each in enumerate(questions)
    ]
    write_questions(to_table(Question, wrong), tmp_path / "data", ReleaseConfig())
    whole = other_answers(tmp_path)
    assert whole
    for rows in (1, 7, len(questions)):
        monkeypatch.setattr(rederive, "PART_ROWS", rows)
        assert other_answers(tmp_path) == whole


def test_a_moved_box_is_found_wherever_it_is(tmp_path):
    """One number in one tube, or another time, changes exactly the answers that rest on it."""
    worlds = [random_world(f"v{seed:04d}", random.Random(seed)) for seed in range(8)]
    questions = write_release(tmp_path, worlds, "earshot")
    (row, *_) = [each for each in questions if each.task == "spatio_temporal"]
    wrong = row.answer.replace("0.3", "0.4", 1)
    changed = [
        each.model_copy(update={"answer": wrong}) if each == row else each for each in questions
    ]
    write_questions(to_table(Question, changed), tmp_path / "data", ReleaseConfig())
    assert other_answers(tmp_path) == [(row.question_id, wrong, row.answer)]


def test_an_answer_may_rest_on_a_revision_that_a_later_one_replaced(tmp_path):
    """Two events share a tube: both people moved it, and the later one's work was taken back."""
    dog = make_object("v1", "dog")
    bark, howl = make_event("v1", ((2.0, 6.0),), "bark"), make_event("v1", ((3.0, 5.0),), "howl")
    tube = tube_of(dog, (2.0, 6.0))
    first, second = (revision_of(tube, still(left)) for left in (0.05, 0.6))
    world = World(
        make_video("v1"), [bark, howl], [dog],
        [make_event_object(event, dog, sounding=event.segments) for event in (bark, howl)],
        [tube],
        [
            by_person(bark, [judged(tube, "fixed", first)], 0),
            by_person(howl, [judged(tube, "fixed", second)], 1),
            by_person(howl, [], 2, verdict="unsure"),
        ],
        [second],
        [ShownTube.of(Tube(**each.model_dump())) for each in (tube, first, second)],
    )  # fmt: skip
    questions = write_release(tmp_path, [world], "r-avst")
    assert any("[0.050, " in row.answer or "[32, " in row.answer for row in questions)
    assert other_answers(tmp_path) == []


def test_a_fix_stands_beside_a_later_ok_of_another_event(tmp_path):
    """Who called the shared tube ok was shown it as computed; the script says so too."""
    dog = make_object("v1", "dog")
    bark, howl = make_event("v1", ((2.0, 6.0),), "bark"), make_event("v1", ((3.0, 5.0),), "howl")
    tube = tube_of(dog, (2.0, 6.0))
    left = revision_of(tube, still(0.05))
    world = World(
        make_video("v1"), [bark, howl], [dog],
        [make_event_object(event, dog, sounding=event.segments) for event in (bark, howl)],
        [tube],
        [by_person(bark, [judged(tube, "fixed", left)], 0), by_person(howl, [judged(tube)], 1)],
        [left],
    )  # fmt: skip
    questions = write_release(tmp_path, [world], "earshot")
    boxed = [row.answer for row in questions if "<where>" in row.answer]
    assert boxed
    assert all("[0.050, " in answer for answer in boxed)
    assert other_answers(tmp_path) == []


def test_the_script_runs_where_nothing_of_ours_is(tmp_path):
    """As a reader of the release would: DuckDB, the script, the folder."""
    questions = write_release(tmp_path, [random_world("v1", random.Random(1))], "earshot")
    script = resources.files("earshot.tasks.publish_release").joinpath("rederive.sql")
    program = (
        "import sys, duckdb; c = duckdb.connect()\n"
        "c.execute('SET VARIABLE release = ?', [sys.argv[1]])\n"
        "c.execute(open(sys.argv[2]).read())\n"
        "print(c.sql('SELECT count(*) FROM rederived WHERE answer IN (by_segment, by_stretch)')"
        ".fetchall()[0][0])\n"
        "assert not any(name.split('.')[0] == 'earshot' for name in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(script)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert int(found.stdout) == len(questions) > 0

"""What people decided, through the real pipeline: force, recomputation, compaction, lost tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from earshot.errors import InputError, WorkspaceError
from earshot.media.sample_world import write_sample_world
from earshot.schemas.arrow import from_table
from earshot.schemas.config import Config, ReleaseConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.ids import inspection_id, video_of
from earshot.schemas.inspection import InspectedTube, Inspection
from earshot.schemas.question import Question
from earshot.schemas.request import BuildRequest
from earshot.schemas.tube import Box, RevisedTube, ShownTube, Tube
from earshot.store import parts as part_files
from earshot.store.gc import Kept, collect
from earshot.store.parts import list_parts, write_part
from earshot.store.reviewed import tubes_named, tubes_of
from earshot.store.workspace import Workspace
from earshot.tasks.build import run_build
from earshot.tasks.pipeline import Session, open_session
from earshot.tasks.track_objects.stage import TrackObjects

CONFIG = Config(release=ReleaseConfig(allow_empty=True))


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A manifest and a workspace, built, then inspected by a person."""
    folder = tmp_path_factory.mktemp("people")
    manifest = write_sample_world(folder / "world", 2, 3).manifest
    build(manifest, folder / "w")
    inspect(open_session(Workspace.open(folder / "w")))
    return manifest, folder / "w"


@pytest.fixture
def world(inspected: tuple[Path, Path], tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A copy of it that the test may break."""
    shutil.copytree(inspected[1], tmp_path / "w")
    yield inspected[0], tmp_path / "w"
    part_files._verify.cache_clear()


def build(manifest: Path, workspace: Path, **asked: object) -> Session:
    """Build without publishing, and open what was built."""
    values = {"input": str(manifest), "config": CONFIG, "publish": False, **asked}
    run_build(BuildRequest(workspace=str(workspace), **values))  # type: ignore[arg-type]
    return open_session(Workspace.open(workspace))


def rows(session: Session, kind: type) -> list:  # type: ignore[type-arg]
    """Current rows of a table."""
    return from_table(kind, session.snapshot.table(kind))


def inspect(session: Session) -> None:
    """Do what a person does with every event that has tubes: one box is moved, the rest is ok."""
    parts, tubes = rows(session, EventObject), rows(session, Tube)
    entries: dict[type, list] = {Inspection: [], RevisedTube: [], ShownTube: []}  # type: ignore[type-arg]
    for event in rows(session, Event):
        shown = tubes_of(event, parts, tubes)
        if not shown:
            continue
        fixed = revise(shown[0])
        verdicts = [verdict(tube, tube) for tube in shown[1:]] + [verdict(shown[0], fixed)]
        inspection = Inspection(
            inspection_id=inspection_id(event.event_id, "p", "t", "1"),
            event_id=event.event_id,
            verdict="ok",
            reasons=(),
            segments=event.segments,
            shown_segments=event.segments,
            tubes=tuple(verdicts),
            annotator="ann",
            at=datetime(2026, 3, 1, tzinfo=UTC),
            seconds=42,
            inspected_by="human",
            raw='{"id": 1}',
        )
        known = {tube.digest: tube for tube in (*shown, Tube(**fixed.model_dump()))}
        video_id = video_of(event.event_id)
        entries[Inspection].append((video_id, "", inspection))
        entries[RevisedTube].append((video_id, "", fixed))
        entries[ShownTube] += [(video_id, "", t) for t in tubes_named(inspection, known)]
    assert entries[Inspection]
    write_part(session.workspace, "inspect", [], [], entries, people_work=True)


def revise(tube: Tube) -> RevisedTube:
    """The tube with boxes as a person drew them."""
    boxes = tuple(box and Box(x1=0.1, y1=0.1, x2=0.4, y2=0.5) for box in tube.boxes)
    values = {**tube.model_dump(), "source": "human", "parent_digest": tube.digest}
    return RevisedTube(**{**values, "boxes": boxes})


def verdict(tube: Tube, left: Tube) -> InspectedTube:
    """Ok where it was left as it is, else fixed."""
    word = "ok" if left is tube else "fixed"
    return InspectedTube(
        tube_id=tube.tube_id, verdict=word, before_digest=tube.digest, after_digest=left.digest
    )


def by_people(session: Session) -> dict[str, str]:
    """Digests of the rows that people made, by id."""
    found = {r.inspection_id: r.digest for r in rows(session, Inspection) if r.is_original_work}
    return found | {r.tube_id: r.digest for r in rows(session, RevisedTube)}


def asked(session: Session) -> list[tuple[str, str, str]]:
    """Questions with who looked and what the answer is."""
    return sorted((q.question_id, q.inspected_by, q.answer) for q in rows(session, Question))


@pytest.fixture(scope="module")
def settled(inspected: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The questions that rest on what the person said."""
    workspace = tmp_path_factory.mktemp("settled") / "w"
    shutil.copytree(inspected[1], workspace)
    return build(inspected[0], workspace)


def force(manifest: Path, workspace: Path) -> Session:
    """Compute tubes and inspections again."""
    return build(manifest, workspace, force=("track", "inspect", "questions"))


def lose_tubes(manifest: Path, workspace: Path) -> Session:
    """Delete the tube table."""
    shutil.rmtree(workspace / "stages" / "track")
    return build(manifest, workspace)


def compact(manifest: Path, workspace: Path) -> Session:
    """Build, compact twice, build."""
    for _ in range(2):
        session = build(manifest, workspace)
        kept = Kept(frozenset({session.build.build_id}), (session.snapshot,))
        collect(session.workspace, kept, 0)
    assert sum(part.holds_people_work() for part in list_parts(session.workspace, "inspect")) == 1
    return build(manifest, workspace)


def compact_and_lose(manifest: Path, workspace: Path) -> Session:
    """All of it."""
    compact(manifest, workspace)
    lose_tubes(manifest, workspace)
    return force(manifest, workspace)


@pytest.mark.parametrize("disturb", [force, lose_tubes, compact_and_lose])
def test_inspections_survive(
    world: tuple[Path, Path], settled: Session, disturb: Callable[[Path, Path], Session]
) -> None:
    """Every row of a person is there as it was, and the questions still rest on it."""
    session = disturb(*world)
    assert by_people(session) == by_people(settled)
    assert asked(session) == asked(settled)
    assert {who for _, who, _ in asked(session)} >= {"human"}


@pytest.mark.parametrize(("shift", "is_carried"), [(0.0005, True), (0.2, False)])
def test_a_new_tracker_carries_over_or_asks_again(
    world: tuple[Path, Path],
    settled: Session,
    monkeypatch: pytest.MonkeyPatch,
    shift: float,
    is_carried: bool,
) -> None:
    """Tubes that moved a little keep their verdict, in a row of its own; others lose it."""
    real = TrackObjects._tube

    def moved(*args):  # type: ignore[no-untyped-def]
        tube = real(*args)
        boxes = [
            box and Box(x1=box.x1 + shift, x2=box.x2 + shift, y1=box.y1, y2=box.y2)
            for box in tube.boxes
        ]
        return tube.model_copy(update={"boxes": tuple(boxes)})

    monkeypatch.setattr(TrackObjects, "_tube", moved)
    monkeypatch.setattr(TrackObjects, "version", "moved")
    shutil.rmtree(world[1] / "stages" / "track")  # so that the tubes then are not here any more
    session = build(*world)
    assert by_people(session) == by_people(settled)
    carried = [row for row in rows(session, Inspection) if row.carried_from]
    originals = {row.inspection_id for row in rows(session, Inspection) if row.is_original_work}
    assert {row.carried_from for row in carried} == (originals if is_carried else set())
    assert ("human" in {who for _, who, _ in asked(session)}) == is_carried
    assert build(*world).snapshot.table(Inspection).num_rows == len(rows(session, Inspection))


def test_reopen_is_the_way_to_look_again(world: tuple[Path, Path]) -> None:
    """The verdict counts no more and is still there; doing it again in vain changes nothing."""
    manifest, workspace = world
    before = build(manifest, workspace)
    event_id = next(r.event_id for r in rows(before, Inspection) if r.is_original_work)
    session = build(manifest, workspace, reopen=(event_id,))
    (row,) = [row for row in rows(session, Inspection) if row.takes_back]
    assert (row.event_id, row.reasons) == (event_id, ("reopened",))
    assert by_people(before).items() < by_people(session).items()
    asked_of = [q for q in rows(session, Question) if event_id in q.event_ids]
    assert {question.inspected_by for question in asked_of} <= {"automatic"}
    assert by_people(build(manifest, workspace, reopen=(event_id,))) == by_people(session)
    with pytest.raises(InputError, match="no person has inspected"):
        build(manifest, workspace, reopen=("sample-3-00009/e-00000000",))


def test_a_damaged_part_of_peoples_work_stops_all(world: tuple[Path, Path]) -> None:
    """It is never given up as a miss: the message asks for the backup; restored, all goes on."""
    workspace = Workspace.open(world[1])
    (part,) = [p for p in list_parts(workspace, "inspect") if p.holds_people_work()]
    file = part.path / "inspections.parquet"
    data = file.read_bytes()
    file.write_bytes(data[:-9] + b"x" + data[-8:])
    part_files._verify.cache_clear()
    with pytest.raises(WorkspaceError, match="restore the file from a backup"):
        build(*world)
    file.write_bytes(data)
    part_files._verify.cache_clear()
    assert by_people(build(*world))

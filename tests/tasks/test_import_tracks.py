"""The backend `import`: our tables, MOT text and DAVIS masks become tubes of the named objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from earshot.errors import ConfigError
from earshot.geometry.tubes import ABSENT, VISIBLE, at
from earshot.media.frames import SourceInfo
from earshot.media.sample.truth import VideoTruth
from earshot.media.sample_world import write_sample_video
from earshot.schemas.arrow import to_table
from earshot.schemas.config import TrackConfig
from earshot.schemas.event import Event
from earshot.schemas.event_object import EventObject
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.stage import Outcome, Quarantined, StageContext, StageInput
from earshot.tasks.track_objects.stage import TrackObjects
from earshot.tasks.track_objects.track_files import read_davis, read_mot
from tests.factories import make_event, make_event_object, make_object, make_video

INFO = SourceInfo(duration_s=20.0, fps=25.0, width=640, height=360)
DOG, CAT = make_object(), make_object(name="cat")
EVENT = make_event(segments=((2.0, 4.0),))


def run(folder: Path, given: StageInput | None = None, **config: object) -> Outcome:
    """What the stage makes of a video that has a dog and a cat; there is no media."""
    stage = stage_of(folder, **config)
    (outcome,) = stage.run([given or plain_input()])
    return outcome


def stage_of(folder: Path, **config: object) -> TrackObjects:
    """The stage with its files in a folder."""
    settings = {"backend": "import", "import_path": "tracks", **config}
    context = StageContext(str(folder), folder / "cache")
    return TrackObjects(TrackConfig.model_validate(settings), context)


def plain_input() -> StageInput:
    """One event in which a dog sounds and a cat is seen."""
    parts = [
        make_event_object(EVENT, DOG),
        make_event_object(EVENT, CAT, audibility="visible_only", sounding=()),
    ]
    rows = {Video: [make_video()], Event: [EVENT], Object: [DOG, CAT], EventObject: parts}
    return StageInput("v1", rows)


def tubes_of(outcome: Outcome) -> list[Tube]:
    """The tubes of an outcome that is done."""
    assert outcome.status == "done", outcome
    return [row for row in outcome.records if isinstance(row, Tube)]


def write_mot(folder: Path, rows: Sequence[str]) -> None:
    """Put the rows where a video's MOT text is looked for."""
    (folder / "tracks").mkdir(exist_ok=True)
    (folder / "tracks" / "v1.txt").write_text("".join(f"{row}\n" for row in rows))


def mot_rows(track: int, first: int = 1, last: int = 200, kind: int = 1) -> list[str]:
    """A still box of 64 x 36 pixels at the frame's corner, frame by frame."""
    return [f"{frame},{track},1,1,64,36,0.5,{kind},1" for frame in range(first, last + 1)]


def test_mot_tracks_get_the_names_that_the_config_gives(tmp_path: Path) -> None:
    """Ids or classes name objects; boxes count from 1, times are frames over fps, scores stay."""
    write_mot(tmp_path, [*mot_rows(3), *mot_rows(9, kind=7), *mot_rows(12, kind=8)])
    outcome = run(tmp_path, import_format="mot", import_names=("3=The dog", "class 7=cat"))
    tubes = {tube.object_id: tube for tube in tubes_of(outcome)}
    assert set(tubes) == {DOG.object_id, CAT.object_id}
    tube = tubes[DOG.object_id]
    assert (tube.source, tube.backend, tube.box_space, tube.synchrony) == (
        "imported", "import", "norm", None,
    )  # fmt: skip
    assert tube.window.pair == (2.0, 4.0)
    assert tube.times_s[0] == pytest.approx(2.0, abs=0.021)
    assert np.diff(tube.times_s) == pytest.approx(1 / 25)
    assert tube.boxes[0] is not None
    assert tube.boxes[0].xyxy == pytest.approx((0, 0, 0.1, 0.1))
    assert set(tube.score) == {0.5}


@pytest.mark.parametrize("kind", ["mot", "davis"])
def test_a_missing_file_is_a_fault_and_an_empty_one_has_no_track(tmp_path: Path, kind: str) -> None:
    """A mistyped import_path quarantines: it never reads as a video with nothing in it."""
    outcome = run(tmp_path, import_format=kind)
    assert (outcome.status, outcome.reason_code) == ("quarantined", "bad_tracks")  # type: ignore[attr-defined]
    assert "is not there; put it there" in str(outcome.message)  # type: ignore[attr-defined]
    if kind == "mot":
        write_mot(tmp_path, [])
    else:
        (tmp_path / "tracks" / "v1").mkdir(parents=True)
    assert tubes_of(run(tmp_path, import_format=kind)) == []


def test_a_name_can_be_of_one_video(tmp_path: Path) -> None:
    """DAVIS calls every object 255: what holds for a video goes before what holds for all."""
    write_mot(tmp_path, mot_rows(3))
    names = ("3=cat", "v1/3=dog", "v2/3=cow")
    (tube,) = tubes_of(run(tmp_path, import_format="mot", import_names=names))
    assert tube.object_id == DOG.object_id


def test_a_track_without_a_name_is_said(tmp_path: Path) -> None:
    """It becomes no tube, the outcome names it, and the objects say what they lack."""
    write_mot(tmp_path, [*mot_rows(3), *mot_rows(12)])
    outcome = run(tmp_path, import_format="mot", import_names=("3=dog",))
    assert "1 track(s) of the file are no object here: 12" in str(outcome.message)  # type: ignore[attr-defined]
    (cat,) = (item for item in outcome.items if item.item_id == CAT.object_id)
    assert (cat.status, cat.reason_code) == ("filtered", "not_detected")
    assert "track.import_names" in str(cat.message)


def test_mot_rows_that_are_to_be_ignored_are_absent(tmp_path: Path) -> None:
    """Confidence 0 marks them; frames of the file without a row of the track are absent too."""
    write_mot(tmp_path, [*mot_rows(1, 1, 60), "61,1,1,1,64,36,0,1,1", *mot_rows(2, 1, 200)])
    (tube,) = tubes_of(run(tmp_path, import_format="mot", import_names=("1=dog",)))
    _, states = at(*tube.arrays(), [2.2, 2.36, 2.4, 3.0])
    assert states.tolist() == [VISIBLE, VISIBLE, ABSENT, ABSENT]


def test_a_box_beyond_the_frame_is_cut(tmp_path: Path) -> None:
    """MOT boxes may leave the picture; what lies wholly outside is absent."""
    write_mot(tmp_path, ["1,1,-31,1,64,36,1,1,1", "2,1,-99,1,64,36,1,1,1"])
    (track,) = read_mot(tmp_path / "tracks" / "v1.txt", INFO)
    assert track.boxes[0] == pytest.approx([0, 0, 0.05, 0.1])
    assert track.states.tolist() == [VISIBLE, ABSENT]


@pytest.mark.parametrize(
    "row", ["one,1,1,1,5,5,1", "1,1,1,1,0,5,1", "0,1,1,1,5,5,1", "1,1,nan,1,5,5,1", "1,1,1"]
)
def test_a_bad_row_quarantines_its_video(tmp_path: Path, row: str) -> None:
    """The message has the line, the row and what was expected."""
    write_mot(tmp_path, [*mot_rows(1, 1, 3), row])
    outcome = run(tmp_path, import_format="mot", import_names=("1=dog",))
    assert isinstance(outcome, Quarantined)
    assert outcome.reason_code == "bad_tracks"
    assert "v1.txt, line 4" in outcome.message
    assert outcome.value == row


def write_mask(folder: Path, frame: int, mode: str, values: dict[int, tuple[int, ...]]) -> None:
    """A mask of 64 x 36 pixels with boxes (inclusive x1, y1, x2, y2) filled."""
    pixels = np.zeros((36, 64), np.uint8)
    for value, (x1, y1, x2, y2) in values.items():
        pixels[y1 : y2 + 1, x1 : x2 + 1] = value
    image = Image.fromarray(pixels)
    if mode == "P":
        image.putpalette([channel for index in range(256) for channel in (index,) * 3])
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{frame:05d}.png")


def test_masks_become_half_open_extents(tmp_path: Path) -> None:
    """Palette indices are objects, 255 is void; the last pixel belongs to the box."""
    folder = tmp_path / "tracks" / "v1"
    for frame in range(110):
        shapes = {1: (0, 0, 31, 17), 2: (32, 18, 63, 35), 255: (0, 30, 5, 35)}
        write_mask(folder, frame, "P", shapes if frame < 75 else {2: shapes[2]})
    outcome = run(tmp_path, import_format="davis", import_names=("1=dog", "2=cat"))
    tubes = {tube.object_id: tube for tube in tubes_of(outcome)}
    boxes, states = at(*tubes[DOG.object_id].arrays(), [2.5, 3.5])
    assert boxes[0] == pytest.approx([0, 0, 0.5, 0.5])
    assert states.tolist() == [VISIBLE, ABSENT]
    assert at(*tubes[CAT.object_id].arrays(), [2.5])[0][0] == pytest.approx([0.5, 0.5, 1, 1])


def test_a_grey_mask_has_one_object(tmp_path: Path) -> None:
    """In DAVIS 2016 the object has the value 255."""
    write_mask(tmp_path, 0, "L", {255: (0, 0, 15, 8)})
    (track,) = read_davis(tmp_path, INFO)
    assert track.label == "255"
    assert track.boxes[0] == pytest.approx([0, 0, 0.25, 0.25])


def test_masks_that_are_none_are_named(tmp_path: Path) -> None:
    """A file that is no picture quarantines its video."""
    folder = tmp_path / "tracks" / "v1"
    folder.mkdir(parents=True)
    (folder / "00000.png").write_text("no picture")
    outcome = run(tmp_path, import_format="davis", import_names=("1=dog",))
    assert isinstance(outcome, Quarantined)
    assert "00000.png" in outcome.message


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VideoTruth]:
    """A sample video with a silent mover, and its truth as tables in `tracks`."""
    folder = tmp_path_factory.mktemp("import")
    (folder / "videos").mkdir()
    (folder / "tracks").mkdir()
    truth = write_sample_video(folder / "videos", 3, 1)
    for kind, rows in ((Tube, truth.tubes), (Object, truth.objects), (Video, [truth.video])):
        pq.write_table(to_table(kind, rows), folder / "tracks" / f"{kind.TABLE}.parquet")  # type: ignore[type-var, arg-type]
    return folder, truth


def sample_input(truth: VideoTruth, objects: Sequence[Object]) -> StageInput:
    """The video's true events with other records of its objects."""
    ids = {old.object_id: new.object_id for old, new in zip(truth.objects, objects, strict=True)}
    parts = [p.model_copy(update={"object_id": ids[p.object_id]}) for p in truth.event_objects]
    rows = {
        Video: [truth.video],
        Event: list(truth.events),
        Object: list(objects),
        EventObject: parts,
    }
    return StageInput(truth.video.video_id, rows)


@pytest.mark.parametrize("by", ["id", "name"])
def test_our_own_tubes_come_back(sample: tuple[Path, VideoTruth], by: str) -> None:
    """By object id, or where ids differ by any accepted name of the objects beside the table."""
    folder, truth = sample
    objects = list(truth.objects)
    if by == "name":
        objects = [o.model_copy(update={"object_id": f"x/o-{i}", "name": o.accept[0]})
                   for i, o in enumerate(objects)]  # fmt: skip
    outcome = run(folder, sample_input(truth, objects))
    assert len(tubes_of(outcome)) == len(truth.tubes)
    for thing, row in zip(objects, truth.objects, strict=True):
        (ours,) = (tube for tube in tubes_of(outcome) if tube.object_id == thing.object_id)
        (true,) = (tube for tube in truth.tubes if tube.object_id == row.object_id)
        times_s = np.arange(ours.window.start_s, ours.window.end_s, 0.1)
        mine, theirs = at(*ours.arrays(), times_s), at(*true.arrays(), times_s)
        assert mine[1].tolist() == theirs[1].tolist()
        assert np.nan_to_num(mine[0]) == pytest.approx(np.nan_to_num(theirs[0]), abs=1e-5)


def test_the_files_are_in_the_key(tmp_path: Path) -> None:
    """Another content, another stamp; a missing file is told apart; other videos don't matter."""
    stage, given = stage_of(tmp_path, import_format="mot"), plain_input()
    assert stage.outside(given) == {"files": "missing"}
    write_mot(tmp_path, mot_rows(1))
    first = stage.outside(given)
    (tmp_path / "tracks" / "v2.txt").write_text("other")
    assert stage.outside(given) == first
    write_mot(tmp_path, mot_rows(2))
    assert stage.outside(given) != first


def test_a_table_is_in_the_key_by_the_videos_own_rows(sample: tuple[Path, VideoTruth]) -> None:
    """A video that the table does not have is `missing`; names are part of it."""
    folder, truth = sample
    stage = stage_of(folder)
    own = stage.outside(sample_input(truth, truth.objects))
    assert len(own["files"]) == 64
    assert stage.outside(plain_input()) == {"files": "missing"}


def test_no_media_and_no_estimate_are_needed(tmp_path: Path) -> None:
    """Nothing is decoded: the video's file need not be there, and no frame is counted."""
    write_mot(tmp_path, mot_rows(3))
    stage = stage_of(tmp_path, import_format="mot", import_names=("3=dog",))
    assert stage.estimate([plain_input()]).frames == 0
    assert len(tubes_of(next(iter(stage.run([plain_input()]))))) == 1


def test_a_wrong_setting_is_refused(tmp_path: Path) -> None:
    """No path, or a name without `=`: told before anything runs."""
    with pytest.raises(ValidationError, match=r"track\.import_path"):
        TrackConfig(backend="import")
    with pytest.raises(ConfigError, match="TRACK=NAME"):
        stage_of(tmp_path, import_names=("dog",)).digests()


def test_names_and_format_change_the_digest(tmp_path: Path) -> None:
    """The same file under another name gives other tubes."""
    plain, other = (
        stage_of(tmp_path, import_format="mot", import_names=names).digests().model
        for names in (("3=dog",), ("3=cat",))
    )
    assert plain != other


def test_real_sequences_are_read(shared_data: Path) -> None:
    """Masks give the published boxes, MOT text the published pedestrians, all in the frame."""
    folder = shared_data / "tracks"
    for sequence in sorted(folder.glob("davis16_*")):
        told = json.loads((sequence / "boxes.json").read_text())
        info = SourceInfo(told["frames"] / told["fps"], told["fps"], told["width"], told["height"])
        (track,) = read_davis(sequence / "masks", info)
        size = np.array([told["width"], told["height"]] * 2)
        expected = np.add(told["boxes"], [0, 0, 1, 1])
        assert track.boxes * size == pytest.approx(expected)
    mot = next(folder.glob("mot17*/gt/gt.txt"))
    tracks = read_mot(mot, SourceInfo(8 / 30, 30, 1920, 1080))
    people = [track for track in tracks if "class 1" in track.keys]
    assert len(people) == 42
    assert all(np.nanmax(track.boxes) <= 1 and np.nanmin(track.boxes) >= 0 for track in people)

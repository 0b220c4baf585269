"""Scoring tubes: what a perfect, a shifted, a swapped and an empty set get, and the command."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from earshot.cli import app
from earshot.errors import InputError
from earshot.schemas.arrow import to_table
from earshot.schemas.object import Object
from earshot.schemas.tube import Tube
from earshot.schemas.video import Video
from earshot.store.tube_files import TubeSet, read_tubes, tube_set
from earshot.tasks.score_tubes import TubeScore, score_tubes
from tests.factories import make_object, make_tube, make_video
from tests.worlds import BoxAt, revision_of, still, tube_of

DOG, CAT = make_object(accept=("dog", "hound")), make_object(name="cat")
WINDOW = (2.0, 6.0)
LEFT, RIGHT = still(0.1), still(0.6)


def named(*tubes: Tube, objects: Sequence[Object] = (DOG, CAT)) -> TubeSet:
    """Tubes of a dog and a cat."""
    return tube_set(tubes, objects=objects)


TRUTH = named(tube_of(DOG, WINDOW, LEFT), tube_of(CAT, WINDOW, RIGHT))


def total(found: TubeSet, truth: TubeSet = TRUTH) -> TubeScore:
    """The last row."""
    return score_tubes(truth, found)[-1]


def test_the_truth_scores_one() -> None:
    """Everything is right, and nothing changes hands."""
    score = total(TRUTH)
    assert (score.video_id, score.truths, score.tubes, score.matched) == ("total", 2, 2, 2)
    assert (score.mean_tube_iou, score.tube_recall, score.id_switches, score.idf1) == (1, 1, 0, 1)


def test_no_tube_scores_zero() -> None:
    """Every true tube counts, also where nothing was found at all."""
    score = total(named())
    assert (score.mean_tube_iou, score.tube_recall, score.id_switches, score.idf1) == (0, 0, 0, 0)


def test_half_an_overlap_is_a_third() -> None:
    """A box moved by half its width has IoU 1/3: tube IoU says so, recall and IDF1 are 0."""
    score = total(named(tube_of(DOG, WINDOW, still(0.2))), named(tube_of(DOG, WINDOW, LEFT)))
    assert score.mean_tube_iou == pytest.approx(1 / 3)
    assert (score.tube_recall, score.idf1) == (0, 0)


def test_names_decide_before_places() -> None:
    """Swapped names overlap with nobody of their own: no match, though IDF1 knows no names."""
    score = total(named(tube_of(DOG, WINDOW, RIGHT), tube_of(CAT, WINDOW, LEFT)))
    assert (score.matched, score.mean_tube_iou, score.idf1) == (0, 0, 1)


def test_any_accepted_name_will_do() -> None:
    """Objects of other ids are matched by what either side calls them."""
    hound = make_object(name="hound")
    score = total(
        named(tube_of(hound, WINDOW, LEFT), objects=[hound]), named(tube_of(DOG, WINDOW, LEFT))
    )
    assert score.mean_tube_iou == 1


def test_ids_match_without_any_names() -> None:
    """Two tables without objects beside them are compared by object id."""
    bare = tube_set([tube_of(DOG, WINDOW, LEFT)])
    assert total(bare, bare).mean_tube_iou == 1


def test_a_switch_is_counted() -> None:
    """Two tubes that exchange their places half way: one switch each, and IDF1 one half."""

    def crossing(first: BoxAt, then: BoxAt) -> BoxAt:
        return lambda time_s: first(time_s) if time_s < 4.0 else then(time_s)

    found = named(
        tube_of(DOG, WINDOW, crossing(LEFT, RIGHT)), tube_of(CAT, WINDOW, crossing(RIGHT, LEFT))
    )
    score = total(found)
    assert score.id_switches == 2
    assert score.idf1 == pytest.approx(0.5)
    assert score.mean_tube_iou == pytest.approx(0.5)


def test_of_two_instances_each_is_matched_once() -> None:
    """Two dogs found as one: half of the truths have a pair."""
    truth = named(tube_of(DOG, WINDOW, LEFT), tube_of(DOG, WINDOW, RIGHT, ordinal=1))
    score = total(named(tube_of(DOG, WINDOW, LEFT)), truth)
    assert (score.matched, score.mean_tube_iou) == (1, 0.5)
    assert score.idf1 == pytest.approx(2 / 3)


def test_time_that_nobody_looked_at_is_not_asked() -> None:
    """A truth of the whole video is asked for inside the windows of the found tubes only."""
    truth = named(tube_of(DOG, (0.0, 10.0), LEFT))
    assert total(named(tube_of(DOG, WINDOW, LEFT)), truth).mean_tube_iou == 1


def test_absence_is_part_of_the_overlap() -> None:
    """A tube that goes on where the thing is gone has the union against it."""
    truth = named(tube_of(DOG, WINDOW, LEFT, visible=[(2.0, 4.0)]))
    assert total(named(tube_of(DOG, WINDOW, LEFT)), truth).mean_tube_iou == pytest.approx(0.5)


def test_the_total_weighs_tubes_not_videos() -> None:
    """A row for each video with a truth; the total is over all true tubes."""
    other = make_object("v2")
    truth = tube_set([*TRUTH.tubes, tube_of(other, WINDOW, LEFT)], objects=[DOG, CAT, other])
    rows = score_tubes(truth, TRUTH)
    assert [row.video_id for row in rows] == ["v1", "v2", "total"]
    assert [row.mean_tube_iou for row in rows] == pytest.approx([1, 0, 2 / 3])


def test_random_boxes_keep_the_bounds() -> None:
    """All shares lie in [0, 1] and counts add up, whatever the tubes."""
    rng = np.random.default_rng(7)

    def anywhere() -> BoxAt:
        corners = {round(t / 5, 1): rng.uniform(0, 0.5, 2) for t in range(60)}
        return lambda t: (*corners[round(t, 1)], *(corners[round(t, 1)] + 0.4))

    for _ in range(5):
        found = named(*(tube_of(DOG, WINDOW, anywhere(), ordinal=n) for n in range(3)))
        score = total(found, named(*(tube_of(DOG, WINDOW, anywhere(), ordinal=n) for n in (0, 1))))
        assert (score.truths, score.tubes) == (2, 3)
        assert 0 <= (score.mean_tube_iou or math.nan) <= 1
        assert 0 <= (score.idf1 if score.idf1 is not None else math.nan) <= 1


def write(folder: Path, tubes: Sequence[Tube], **others: tuple[type, Sequence[object]]) -> Path:
    """Write a table of tubes, and others, into a folder."""
    folder.mkdir(parents=True)
    pq.write_table(to_table(Tube, tubes), folder / "tubes.parquet")
    for name, (kind, rows) in others.items():
        pq.write_table(to_table(kind, rows), folder / f"{name}.parquet")  # type: ignore[type-var, arg-type]
    return folder


def test_files_and_folders_are_read(tmp_path: Path) -> None:
    """A table, its folder, or a release with it in `tables/`; names and sizes lie beside it."""
    px = tube_of(DOG, WINDOW, lambda _: (64, 36, 128, 72), box_space="native_px")
    write(
        tmp_path / "release" / "tables",
        [px],
        objects=(Object, [DOG]),
        videos=(Video, [make_video()]),
    )
    for path in ("release", "release/tables", "release/tables/tubes.parquet"):
        tubes = read_tubes(tmp_path / path)
        assert tubes.names[DOG.object_id] == {"dog", "hound"}
        assert tubes.boxes_norm(tubes.tubes[0])[0] == pytest.approx([0.1, 0.1, 0.2, 0.2])


def test_a_table_from_before_a_column_is_read(tmp_path: Path) -> None:
    """A column that has a default may be missing: older tables have no `flags`."""
    folder = write(tmp_path / "old", [make_tube(DOG)])
    table = pq.read_table(folder / "tubes.parquet")
    pq.write_table(table.drop_columns(["flags"]), folder / "tubes.parquet")
    assert read_tubes(folder).tubes == (make_tube(DOG),)


def test_revisions_replace_what_they_correct() -> None:
    """A person's tube stands in the place of the one that it corrects."""
    tube = tube_of(DOG, WINDOW, LEFT)
    revised = revision_of(tube, RIGHT)
    assert tube_set([tube], [revised]).tubes == (revised,)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """No file, no or two tables, another table, pixels without a size: each says what to give."""
    with pytest.raises(InputError, match="is not there"):
        read_tubes(tmp_path / "none.parquet")
    with pytest.raises(InputError, match="0 files"):
        read_tubes(tmp_path)
    write(tmp_path / "a", [make_tube(DOG)])
    write(tmp_path / "b", [make_tube(DOG)])
    with pytest.raises(InputError, match="2 files"):
        read_tubes(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no column"):
        read_tubes(tmp_path / "x.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(InputError, match="can be read"):
        read_tubes(tmp_path / "text.parquet")
    bare = tube_set([tube_of(DOG, WINDOW, lambda _: (1, 1, 9, 9), box_space="native_px")])
    with pytest.raises(InputError, match=r"videos\.parquet"):
        bare.boxes_norm(bare.tubes[0])


def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    """One row a video and the total; JSON has the same numbers and nothing else."""
    truth = write(tmp_path / "truth", TRUTH.tubes, objects=(Object, [DOG, CAT]))
    tubes = write(tmp_path / "tubes", [tube_of(DOG, WINDOW, LEFT)], objects=(Object, [DOG, CAT]))
    arguments = ["score-tubes", "--truth", str(truth), "--tubes", str(tubes)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "total" in shown.output
    said = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert said["total"]["mean_tube_iou"] == 0.5
    assert [row["video_id"] for row in said["videos"]] == ["v1"]

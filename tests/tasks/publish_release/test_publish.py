"""Publishing as a whole: versions, immutability, all or nothing, and what readers see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import pytest

from earshot.errors import ReleaseError
from earshot.schemas.base import sha256_hex
from earshot.schemas.config import ReleaseConfig
from earshot.schemas.question import Question
from earshot.schemas.release import ReleaseManifest, RewardWeights
from earshot.schemas.video import Video
from earshot.tasks.publish_release.files import verify
from earshot.tasks.publish_release.publish import publish
from tests import factories

CONFIG = ReleaseConfig(name="yard")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_first_release_is_v1_and_the_next_content_v2(world, shelf):
    """Versions count up by themselves, under the configured name."""
    second = publish(world.source(world.rows(9)), shelf, world.config)
    assert second.version == 2
    assert sorted(path.name for path in shelf.iterdir()) == ["yard-v1", "yard-v2"]


def test_identical_content_publishes_nothing_and_says_so(world, shelf):
    """Row order, build and time make no new version."""
    source = world.source({kind: records[::-1] for kind, records in world.rows().items()})
    again = world.replace(source, build=factories.make_build(build_id="another"))
    published = publish(again, shelf, world.config)
    assert not published.is_new
    assert published.version == 1
    assert "nothing new" in published.message
    assert [path.name for path in shelf.iterdir()] == ["yard-v1"]


def test_another_licence_is_another_version(world, shelf):
    """The licence is part of what is published."""
    assert publish(world.source(), shelf, world.config.model_copy(update={"licence": "mit"})).is_new


def test_names_that_begin_alike_do_not_share_versions(world, shelf):
    """`yard-v1` and `yard-v1-v1` are versions of two data sets."""
    other = publish(world.source(), shelf, ReleaseConfig(name="yard-v1"))
    assert other.is_new
    assert other.version == 1


def test_a_published_folder_never_changes(world, shelf):
    """Later publications leave every byte of an earlier version, which is read-only."""
    before = _bytes(shelf / "yard-v1")
    publish(world.source(world.rows(9)), shelf, world.config)
    publish(world.source(world.rows(9)), shelf, world.config)
    assert _bytes(shelf / "yard-v1") == before
    files = [path for path in shelf.rglob("*") if path.is_file()]
    assert all(not path.stat().st_mode & 0o222 for path in files)


@pytest.mark.parametrize(
    "step",
    [
        "publish.write_questions",
        "publish.write_tables",
        "publish.compare",
        "plots.draw_all",
        "card.render",
    ],
)
def test_a_publication_that_breaks_off_leaves_nothing(world, tmp_path, step):
    """An error between any two files makes no version and leaves no folder."""

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"earshot.tasks.publish_release.{step}", stop)
        with pytest.raises(KeyboardInterrupt):
            publish(world.source(), tmp_path, CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_publication_left_is_cleaned_by_the_next(world, tmp_path):
    """A process that dies in the middle leaves a hidden folder, no release; it goes next time."""
    code = (
        "import os, sys; from earshot.tasks.publish_release.shelf import open_shelf\n"
        "with open_shelf(sys.argv[1], 'yard').staging() as folder:\n"
        "    (folder / 'data').mkdir(); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    (left,) = tmp_path.iterdir()
    assert done.returncode == 9
    assert left.name.startswith(".publishing~yard~")
    published = publish(world.source(), tmp_path, CONFIG)
    assert published.version == 1
    assert published.removed == (left.name,)
    assert [path.name for path in tmp_path.iterdir()] == ["yard-v1"]


def test_a_folder_without_a_manifest_is_no_release_and_is_not_overwritten(world, tmp_path):
    """It is named with what to do about it."""
    (tmp_path / "yard-v1").mkdir(parents=True)
    (tmp_path / "yard-v1" / "notes.txt").write_text("mine")
    with pytest.raises(ReleaseError, match=r"yard-v1 is there but was no release.*move it"):
        publish(world.source(), tmp_path, CONFIG)
    assert _bytes(tmp_path / "yard-v1") == {"notes.txt": b"mine"}


def test_the_manifest_names_every_file_with_its_digest(release):
    """Sizes, rows and sha256 are those of the files; nothing else lies in the folder."""
    manifest = ReleaseManifest.model_validate_json((release / "manifest.json").read_bytes())
    assert verify(release) == ()
    rows = {file.path: file.rows for file in manifest.files}
    assert rows["tables/videos.parquet"] == 8
    assert rows["README.md"] is None
    assert sum(n for path, n in rows.items() if path.startswith("data/")) == 24
    assert all((release / file.path).stat().st_size == file.bytes for file in manifest.files)


def test_the_manifest_says_what_the_rows_were_made_with(release):
    """Build, stage versions, upstream digests, schema digests, reward weights and counts."""
    manifest = ReleaseManifest.model_validate_json((release / "manifest.json").read_bytes())
    assert manifest.build == factories.make_build()
    assert manifest.upstream == {"input": "ab" * 32}
    assert manifest.reward_weights == RewardWeights()
    assert manifest.questions["test"] == {"spatial": 2, "spatio_temporal": 2, "temporal": 2}
    assert manifest.inspected_by == {"automatic": 24}
    assert len(manifest.schemas) == 14
    assert manifest.previous is None


def test_a_version_names_the_one_before_by_digest(world, shelf):
    """The chain of versions can be checked."""
    second = Path(publish(world.source(world.rows(9)), shelf, world.config).folder)
    manifest = ReleaseManifest.model_validate_json((second / "manifest.json").read_bytes())
    before = (shelf / "yard-v1" / "manifest.json").read_bytes()
    assert manifest.previous is not None
    assert manifest.previous.version == 1
    assert manifest.previous.manifest_sha256 == sha256_hex(before)


def test_splits_are_inherited_from_the_version_before(world, shelf):
    """A question stage that draws anew moves no published video; its digests stay true."""
    rows = world.rows(9)
    moved = [q.model_copy(update={"split": "test"}) for q in rows[Question]]
    source = world.source({**rows, Question: moved})
    folder = Path(publish(source, shelf, world.config).folder)
    diff = json.loads((folder / "diff.json").read_text())["tables"]["questions"]
    assert diff["changed"] == diff["removed"] == []
    assert diff["unchanged"] == 24
    assert {question.split("/")[0] for question in diff["added"]} == {"v008"}


def test_a_release_without_questions_is_an_error_unless_allowed(world, tmp_path):
    """With `allow_empty` it is published with a warning in manifest and card."""
    rows = {**world.rows(2), Question: []}
    with pytest.raises(ReleaseError, match=r"allow_empty[\s\S]*no question in it"):
        publish(world.source(rows), tmp_path, CONFIG)
    allowed = CONFIG.model_copy(update={"allow_empty": True})
    published = publish(world.source(rows), tmp_path, allowed)
    assert published.warnings == ("There is no question in this version.",)
    assert "> There is no question" in (Path(published.folder) / "README.md").read_text()


def test_videos_without_question_and_reason_are_listed_as_absent(world, tmp_path):
    """Every source video is either asked about or in absent.parquet."""
    rows = world.rows(3)
    rows[Video].append(factories.make_video("quiet"))
    folder = Path(publish(world.source(rows), tmp_path, CONFIG).folder)
    absent = pd.read_parquet(folder / "absent.parquet")
    assert absent["video_id"].tolist() == ["gone", "quiet"]
    assert absent["reason_code"].tolist() == ["unreadable", "empty"]


def test_pandas_and_duckdb_read_a_release_without_our_code(release):
    """Splits by folder, nested columns as they are, absent values as null."""
    frame = pd.read_parquet(release / "data" / "test")
    assert frame["split"].unique().tolist() == ["test"]
    assert frame.loc[frame["task"] == "temporal", "span"].isna().all()
    counts = duckdb.sql(
        f"SELECT split, count(*) FROM '{release}/data/*/*.parquet' GROUP BY split ORDER BY split"
    ).fetchall()
    assert counts == [("test", 6), ("train", 12), ("validation", 6)]
    boxes = duckdb.sql(
        f"SELECT count(*) FILTER (b IS NULL), min(b.x2 - b.x1) > 0 FROM "
        f"(SELECT unnest(boxes) AS b FROM '{release}/tables/tubes.parquet')"
    ).fetchall()
    assert boxes == [(8, True)]


def test_the_hugging_face_library_finds_splits_and_tables(release, tmp_path):
    """`load_dataset(folder)` needs nothing but the card's YAML and works without a network."""
    code = (
        "import sys; from datasets import load_dataset\n"
        "folder, cache = sys.argv[1:]\n"
        "asked = load_dataset(folder, cache_dir=cache)\n"
        "assert {s: len(rows) for s, rows in asked.items()} == "
        "{'train': 12, 'validation': 6, 'test': 6}, asked\n"
        "assert asked['test'][0]['grid']['step_s'] == 1.0\n"
        "tubes = load_dataset(folder, 'tubes', cache_dir=cache)['train']\n"
        "assert tubes[0]['boxes'][-1] is None and tubes[0]['boxes'][0]['x1'] >= 0\n"
    )
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(release), str(tmp_path / "cache")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_release_goes_to_any_fsspec_url(world):
    """On an object store the manifest comes last, and versions and diff work the same."""
    root = "memory://bucket/releases"
    first = publish(world.source(), root, CONFIG)
    assert not publish(world.source(), root, CONFIG).is_new
    second = publish(world.source(world.rows(9)), root, CONFIG)
    assert (first.version, second.version) == (1, 2)
    memory = fsspec.filesystem("memory")
    diff = json.loads(memory.cat_file("/bucket/releases/yard-v2/diff.json"))
    assert len(diff["tables"]["questions"]["added"]) == 3
    assert [n for n in memory.ls("/bucket/releases", detail=False) if ".publishing" in n] == []
    memory.rm("/bucket", recursive=True)

"""The whole pipeline in a plain loop: from videos to a release, again, and with faults."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from earshot.errors import FailureBudgetError, InputError, ReleaseError
from earshot.media.sample_world import write_sample_world
from earshot.schemas.config import Config, ObjectsConfig, QuestionsConfig, ReleaseConfig, RunConfig
from earshot.schemas.request import BuildRequest
from earshot.store.config_file import render_config
from earshot.store.plan import plan
from earshot.store.workspace import Workspace
from earshot.tasks.build import Report, conclude, run_build
from earshot.tasks.draw_contact_sheet import draw_contact_sheet
from earshot.tasks.pipeline import ORDER, STAGES, open_run
from earshot.tasks.releases import Release
from earshot.tasks.releases.verify import verify

SMALL = Config(release=ReleaseConfig(allow_empty=True), run=RunConfig(batch_size=2))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of five sample videos."""
    return write_sample_world(tmp_path_factory.mktemp("world"), 5, 7).manifest


@pytest.fixture(scope="module")
def built(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A workspace built from them."""
    workspace = tmp_path_factory.mktemp("built") / "w"
    request = BuildRequest(workspace=str(workspace), input=str(world), config=SMALL)
    return workspace, run_build(request)


def test_order_names_every_stage() -> None:
    """What the flows run, one after the other, is every stage in the order of the pipeline."""
    assert (*(stage.name for stage in STAGES), "release") == ORDER


HOLD = """
import sys, time
from earshot.store.lease import lease
from earshot.store.workspace import Workspace
with lease(Workspace.open(sys.argv[1]), "track", sys.argv[2:]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_shards_of_another_process_come_last(built: tuple[Path, Report], world: Path) -> None:
    """Builds side by side share the shards; alone, or beside its own leases, one goes in order."""
    config = SMALL.model_copy(update={"run": RunConfig(shard_size=1)})
    request = BuildRequest(workspace=str(built[0]), input=str(world), config=config)
    run = open_run(request, keep=False)
    shards = run.shards()
    with run.leased("track", shards[0]):
        assert list(run.in_turn()) == list(enumerate(shards, start=1))
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(built[0]), *shards[0], *shards[1]],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    numbers = [number for number, _ in run.in_turn()]
    other.kill()
    other.communicate()
    assert numbers[-2:] == [1, 2]
    assert sorted(numbers) == [1, 2, 3, 4, 5]


def test_every_video_is_accounted_for(built: tuple[Path, Report]) -> None:
    """Every stage adds up, and the videos without a question are in the release with a reason."""
    workspace, report = built
    assert all(count.adds_up and not count.pending for count in report.counts)
    assert report.publication is not None
    release = Path(report.publication.folder)
    assert release.parent == workspace / "releases"
    assert verify(Release(release)) == ()
    asked = {video for path in release.glob("data/*/*") for video in pd.read_parquet(path).video_id}
    absent = set(pd.read_parquet(release / "absent.parquet").video_id)
    assert len(asked | absent) == 5
    assert not asked & absent
    assert asked


def test_what_is_not_built_is_not_lost_from_a_release(
    built: tuple[Path, Report], world: Path, tmp_path: Path
) -> None:
    """Where only some videos are up to date the release says so, and of which it is silent."""
    shutil.copytree(built[0], tmp_path / "w")
    release = Path(built[1].publication.folder)  # type: ignore[union-attr]
    asked = {video for path in release.glob("data/*/*") for video in pd.read_parquet(path).video_id}
    only, *_ = sorted(asked)
    pack = {"questions": QuestionsConfig(pack="earshot"), "release": ReleaseConfig()}
    request = BuildRequest(
        workspace=str(tmp_path / "w"), input=str(world), config=SMALL.model_copy(update=pack)
    )
    missing = asked - {only}
    published = run_build(request.model_copy(update={"items": (only,)})).publication
    assert published is not None
    rows = pd.read_parquet(Path(published.folder) / "absent.parquet").set_index("video_id")
    stale = rows[rows.reason_code == "not_built"]
    assert missing <= set(stale.index)
    assert set(stale.stage) == {"questions"}
    assert published.warnings[0].startswith(f"{len(stale)} videos are not built up to date")
    other = pack | {"questions": QuestionsConfig(max_event_cover=0.5)}
    run = open_run(request.model_copy(update={"config": SMALL.model_copy(update=other)}))
    with pytest.raises(
        ReleaseError, match=r"no question in it; \d videos are not built up to date"
    ):
        conclude(run)


def test_what_is_told_of_publishing_holds_without_another_build(
    built: tuple[Path, Report], tmp_path: Path
) -> None:
    """Who puts a video on the takedown list and publishes has it out; other settings are told."""
    shutil.copytree(built[0], tmp_path / "w")
    before = Path(built[1].publication.folder)  # type: ignore[union-attr]
    asked = {video for path in before.glob("data/*/*") for video in pd.read_parquet(path).video_id}
    (tmp_path / "taken.txt").write_text(min(asked))
    config = SMALL.model_copy(
        update={
            "release": ReleaseConfig(allow_empty=True, takedown_list=str(tmp_path / "taken.txt")),
            "questions": QuestionsConfig(pack="earshot"),
        }
    )
    (tmp_path / "w" / "config.toml").write_text(render_config(config))
    report = conclude(open_run(BuildRequest(workspace=str(tmp_path / "w"), only="release")))
    assert report.publication is not None
    after = Release(report.publication.folder)
    assert set(after.read(columns=["video_id"])["video_id"].to_pylist()) == asked - {min(asked)}
    used = json.loads(after.manifest_bytes)["build"]["config"]["release"]
    assert used["takedown_list"] == config.release.takedown_list
    assert "differs from this build in questions: `earshot build --input" in report.notes[0]


def test_the_same_command_does_nothing(built: tuple[Path, Report], world: Path) -> None:
    """A second build finds everything fresh and publishes nothing new."""
    workspace, first = built
    report = run_build(BuildRequest(workspace=str(workspace), input=str(world), config=SMALL))
    assert report.was_fresh
    assert report.build_id == first.build_id
    assert report.publication is not None
    assert not report.publication.is_new


def test_a_setting_recomputes_its_stage_and_what_changes(
    built: tuple[Path, Report], world: Path
) -> None:
    """Another objects setting leaves probing and analysis alone."""
    workspace, _ = built
    config = SMALL.model_copy(update={"objects": ObjectsConfig(max_objects_per_event=1)})
    request = BuildRequest(workspace=str(workspace), input=str(world), config=config)
    run = open_run(request, keep=False)
    plans = {one.stage: one for one in plan(run.session.snapshot, run.selection, run.stages(ORDER))}
    assert not plans["analyse"].todo
    assert set(plans["objects"].stale) == {"config"}
    assert plans["track"].behind == len(plans["objects"].todo)


def test_a_contact_sheet_is_drawn(built: tuple[Path, Report], tmp_path: Path) -> None:
    """The current tubes of a workspace come out as a picture."""
    sheet = tmp_path / "sheet.png"
    assert draw_contact_sheet(built[0], sheet)
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_a_hopeless_input_stops_early(tmp_path: Path) -> None:
    """When the first videos all fail, the build stops and names the setting and the remedy."""
    manifest = tmp_path / "m.jsonl"
    rows = [{"video_id": f"v{n}", "uri": f"{n}.mp4", "captions": []} for n in range(30)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Config(run=RunConfig(batch_size=5, failure_first=10))
    request = BuildRequest(workspace=str(tmp_path / "w"), input=str(manifest), config=config)
    with pytest.raises(FailureBudgetError, match="first 10 videos all failed"):
        run_build(request)
    log = next((tmp_path / "w" / "logs").glob("*.jsonl")).read_text()
    assert log.count('"video_done"') == 10


def test_too_many_faults_fail_the_build_and_publish_nothing(world: Path, tmp_path: Path) -> None:
    """More quarantined videos than the share end the build after everything else was done."""
    manifest = tmp_path / "m.jsonl"
    good = [json.loads(line) for line in world.read_text().splitlines()][:2]
    for row in good:
        row["uri"] = str(world.parent / row["uri"])
    rows = [*good, {"video_id": "gone", "uri": "gone.mp4", "captions": []}]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = BuildRequest(workspace=str(tmp_path / "w"), input=str(manifest), config=SMALL)
    with pytest.raises(FailureBudgetError, match=r"1 of 3 videos are in quarantine"):
        run_build(request)
    assert not (tmp_path / "w" / "releases").exists()
    assert (tmp_path / "w" / "stages" / "questions").exists()


def test_without_input_the_latest_build_goes_on(tmp_path: Path) -> None:
    """A request without input needs a workspace with a build, and says so."""
    Workspace.open(tmp_path / "w", create=True)
    with pytest.raises(InputError, match="has no build yet"):
        run_build(BuildRequest(workspace=str(tmp_path / "w")))


def test_real_input_is_accounted_for(shared_data: Path, tmp_path: Path) -> None:
    """All twelve real clips have an end, none is lost, and there is a release."""
    request = BuildRequest(workspace=str(tmp_path / "w"), input=str(shared_data / "input.jsonl"))
    report = run_build(request.model_copy(update={"config": SMALL}))
    assert report.counts[0].n_in == 12
    assert all(count.adds_up and not count.pending for count in report.counts)
    assert report.publication is not None
    release = Path(report.publication.folder)
    asked = {video for path in release.glob("data/*/*") for video in pd.read_parquet(path).video_id}
    assert len(asked | set(pd.read_parquet(release / "absent.parquet").video_id)) == 12

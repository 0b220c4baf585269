"""The plan of the real pipeline tells the truth: after one change it names what is stale and why,
and the build does exactly that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from earshot.media.sample_world import write_sample_world
from earshot.schemas.config import Config, InspectConfig, QuestionsConfig, ReleaseConfig, RunConfig
from earshot.schemas.request import BuildRequest
from earshot.tasks.analyse_captions import stage as analyse_stage
from earshot.tasks.build import run_build
from earshot.tasks.extract_objects.stage import ExtractObjects
from earshot.tasks.pipeline import STAGES, open_run

STALE = ("probe", "captions", "filter", "analyse", "objects", "track", "inspect", "questions")


@dataclass(frozen=True)
class Place:
    """An input folder with its workspace; `pack` is the question pack, a file of its own."""

    root: Path

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.root / "world" / "input" / "manifest.jsonl"

    @property
    def pack(self) -> Path:
        """The question pack."""
        return self.root / "pack.yaml"

    def request(self, **config: Any) -> BuildRequest:
        """A request to build here, with some sections changed."""
        sections = {
            "questions": QuestionsConfig(pack=str(self.pack)),
            "run": RunConfig(isolate=()),
            **config,
        }
        return BuildRequest(
            workspace=str(self.root / "w"),
            input=str(self.manifest),
            config=Config(**sections),
            publish=False,
        )

    def rows(self) -> list[dict[str, Any]]:
        """The manifest's rows."""
        return [json.loads(line) for line in self.manifest.read_text().splitlines()]

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Write other rows into the manifest."""
        self.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two sample videos, built."""
    root = tmp_path_factory.mktemp("built")
    write_sample_world(root / "world", 2, 7)
    pack = resources.files("earshot.prompts.questions") / "r-avst.yaml"
    (root / "pack.yaml").write_bytes(pack.read_bytes())
    place = Place(root)
    run_build(place.request())
    return place


@pytest.fixture
def place(built: Place, tmp_path: Path) -> Place:
    """The same in the same place for a test to change: put back as it was afterwards."""
    kept = tmp_path / "kept"
    shutil.copytree(built.root, kept)
    yield built
    shutil.rmtree(built.root)
    shutil.copytree(kept, built.root)


def planned(request: BuildRequest) -> tuple[dict[str, dict[str, str]], dict[str, set[str]]]:
    """What a plan names: {stage: {video: why}} of stale videos, and {stage: videos} to do."""
    plans = open_run(request, keep=False).plan()
    for one in plans:
        assert sum(one.stale.values()) == len(one.why)
        assert not one.missing
    return {p.stage: p.why for p in plans if p.why}, {p.stage: set(p.todo) for p in plans}


def does_as_planned(request: BuildRequest) -> dict[str, set[str]]:
    """Build, and hold that what ran is what the plan named, and behind it nothing else."""
    _, todo = planned(request)
    report = run_build(request)
    ran: dict[str, list[str]] = defaultdict(list)
    for line in Path(report.log).read_text().splitlines():
        said = json.loads(line)
        if said["event"] == "video_done":
            ran[said["stage"]].append(said["video_id"])
    upstream: set[str] = set()
    for stage in STALE:
        assert len(ran[stage]) == len(set(ran[stage]))
        assert todo[stage] <= set(ran[stage]) <= todo[stage] | upstream
        upstream |= set(ran[stage])
    assert not any(planned(request)[1].values())
    return {stage: set(videos) for stage, videos in ran.items() if videos}


def test_nothing_changed_is_nothing_to_do(built: Place) -> None:
    """A plan over a finished build is empty, and the build runs nothing."""
    assert planned(built.request()) == ({}, {stage: set() for stage in STALE})
    assert does_as_planned(built.request()) == {}


def test_a_prompt_makes_its_stage_stale(place: Place) -> None:
    """Another wording in the question pack: the questions are stale because of the prompt."""
    text = place.pack.read_text()
    place.pack.write_text(text.replace("{object}", "the {object}"))
    videos = {row["video_id"] for row in place.rows()}
    stale, _ = planned(place.request())
    assert stale == {"questions": dict.fromkeys(videos, "prompt")}
    assert does_as_planned(place.request()) == {"questions": videos}


def test_a_lexicon_makes_the_analysis_stale(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lexicon that changes no row stops the chain at the analysis."""
    monkeypatch.setattr(analyse_stage, "lexicon_digest", lambda: "0" * 64)
    stale, _ = planned(place.request())
    assert set(stale) == {"analyse"}
    assert set(stale["analyse"].values()) == {"prompt"}
    assert set(does_as_planned(place.request())) == {"analyse"}


def test_a_threshold_makes_its_stage_stale(place: Place) -> None:
    """A limit of the inspection: inspected again because of the config, tracking stays."""
    request = place.request(inspect=InspectConfig(min_visible_share=0.25))
    stale, _ = planned(request)
    assert set(stale) == {"inspect"}
    assert set(stale["inspect"].values()) == {"config"}
    assert set(does_as_planned(request)) <= {"inspect", "questions"}


def test_a_field_that_no_stage_reads_changes_nothing(place: Place) -> None:
    """How a build runs and what the release is called are in no key."""
    request = place.request(
        run=RunConfig(isolate=(), batch_size=1, workers=7), release=ReleaseConfig(name="other")
    )
    assert planned(request) == ({}, {stage: set() for stage in STALE})
    assert does_as_planned(request) == {}


def test_a_caption_makes_its_own_video_stale(place: Place) -> None:
    """One caption: one video's captions are stale because of the input, other videos stay."""
    rows = place.rows()
    rows[1]["captions"][0]["text"] += " A dog barks."
    place.write(rows)
    stale, _ = planned(place.request())
    assert stale == {"captions": {rows[1]["video_id"]: "input"}}
    ran = does_as_planned(place.request())
    assert {"captions", "analyse"} <= set(ran)
    assert set().union(*ran.values()) == {rows[1]["video_id"]}


def test_a_note_that_no_stage_reads_changes_nothing_but_its_row(place: Place) -> None:
    """A source is kept in the video's row: probed again, and nothing behind it runs."""
    rows = place.rows()
    rows[0]["source"] = "somewhere else"
    place.write(rows)
    stale, _ = planned(place.request())
    assert stale == {"probe": {rows[0]["video_id"]: "input"}}
    assert does_as_planned(place.request()) == {"probe": {rows[0]["video_id"]}}


def test_a_video_file_makes_its_own_video_stale(place: Place) -> None:
    """Another file in its place: that video is probed and tracked again, the others stay."""
    rows = place.rows()
    one, other = (place.manifest.parent / row["uri"] for row in rows[:2])
    shutil.copy(one, other)
    stale, _ = planned(place.request())
    assert stale == {"probe": {rows[1]["video_id"]: "input"}}
    ran = does_as_planned(place.request())
    assert "probe" in ran
    assert set().union(*ran.values()) == {rows[1]["video_id"]}


def test_a_stage_version_makes_its_stage_stale(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New code of one stage: stale because of the code; equal rows leave what follows fresh."""
    monkeypatch.setattr(ExtractObjects, "version", "next")
    stale, _ = planned(place.request())
    assert set(stale) == {"objects"}
    assert set(stale["objects"].values()) == {"code"}
    assert set(does_as_planned(place.request())) == {"objects"}


KEYS = """
import json, sys
from earshot.schemas.request import BuildRequest
from earshot.tasks.pipeline import open_run
snapshot = open_run(BuildRequest.model_validate_json(sys.argv[1]), keep=False).session.snapshot
keys = {name: snapshot.keys(name, snapshot.entries) for name in snapshot.stages}
print(json.dumps({n: {v: key.key for v, key in of.items()} for n, of in keys.items()}))
"""


def test_keys_depend_on_neither_process_nor_folder(built: Place, tmp_path: Path) -> None:
    """Every stage's keys are equal under another PYTHONHASHSEED and where all was moved to."""
    moved = Place(tmp_path / "moved")
    shutil.copytree(built.root, moved.root)
    found = []
    for here, seed in ((built, "0"), (built, "1"), (moved, "2")):
        done = subprocess.run(
            [sys.executable, "-c", KEYS, here.request().model_dump_json()],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == found[2]
    assert [*found[0]] == [stage.name for stage in STAGES if stage.name != "caption"]
    assert all(len(keys) == 2 for keys in found[0].values())


def test_a_moved_workspace_is_fresh(built: Place, tmp_path: Path) -> None:
    """Input and workspace in another folder: nothing is computed again."""
    moved = Place(tmp_path / "moved")
    shutil.copytree(built.root, moved.root)
    assert planned(moved.request()) == ({}, {stage: set() for stage in STALE})


def test_only_with_stale_upstream_says_so_and_leaves_the_video(place: Place) -> None:
    """`--only analyse` with one changed caption: that video waits for captions, none runs."""
    rows = place.rows()
    rows[0]["captions"][0]["text"] += " A car passes."
    place.write(rows)
    request = place.request().model_copy(update={"only": "analyse"})
    (plan,) = open_run(request, keep=False).plan()
    assert (plan.blocked, plan.todo) == ({"captions": 1}, ())
    report = run_build(request)
    assert report.was_fresh
    assert report.notes == (
        "analyse: 1 video need captions first, which is not selected; nothing is done for them",
    )

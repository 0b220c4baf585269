"""What tests of language models share: a server with its key, an analyser, whole worlds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from earshot.schemas.caption import Caption
from earshot.schemas.config import Config, LlmConfig
from earshot.schemas.event import Event
from earshot.schemas.request import BuildRequest
from earshot.store.config_file import load_config, render_config
from earshot.tasks.analyse_captions.llm import LlmAnalyser
from earshot.tasks.analyse_captions.protocol import Analysed, VideoCaptions
from earshot.tasks.build import run_build
from earshot.tasks.pipeline import open_run
from tests.llm_server import LlmServer, serving

KEY = "sk-test-6f1c-do-not-show"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    """A server, and its key in the environment."""
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    with serving() as server:
        yield server


@pytest.fixture
def llm(server: LlmServer) -> Callable[..., LlmConfig]:
    """Makes a configuration that reaches the server."""

    def make(**changes: Any) -> LlmConfig:
        values = {
            "endpoint": server.url,
            "key_env": "TEST_LLM_KEY",
            "longest_wait_s": 0.05,
            "timeout_s": 20,
            **changes,
        }
        return LlmConfig(**values)

    return make


@pytest.fixture
def analyse(llm: Callable[..., LlmConfig], tmp_path: Path) -> Callable[..., dict[str, Analysed]]:
    """Analyses videos; the request cache stays from call to call."""

    def run(
        *videos: VideoCaptions, categories: tuple[str, ...] = (), **changes: Any
    ) -> dict[str, Analysed]:
        analyser = LlmAnalyser(llm(**changes), tmp_path / "requests")
        return {each.video_id: each for each in analyser.analyse_all(videos, categories)}

    return run


def caption(video_id: str, number: int, text: str, start_s: float = 0, end_s: float = 4) -> Caption:
    """A given caption."""
    return Caption(
        caption_id=f"{video_id}/c{number}", video_id=video_id, start_s=start_s, end_s=end_s,
        text=text, caption_source="given",
    )  # fmt: skip


def video(
    video_id: str, *texts: str, events: tuple[Event, ...] = (), attempt: int = 1
) -> VideoCaptions:
    """A video with captions of 0 to 4 s."""
    captions = tuple(caption(video_id, n, text) for n, text in enumerate(texts))
    return VideoCaptions(video_id, captions, events, attempt)


def thing(evidence: str, **changes: Any) -> dict[str, Any]:
    """An object of an answer that is seen and heard from 0 to 4 s."""
    return {
        "evidence": evidence, "name": evidence.split()[-1].lower(),
        "audibility": "visible_and_audible", "count": 1, "is_group": False,
        "sounding": [{"start_s": 0, "end_s": 4}], "confidence": 0.9, **changes,
    }  # fmt: skip


def event(*objects: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An event of an answer from 0 to 4 s."""
    return {
        "event": None, "label": "a label", "segments": [{"start_s": 0, "end_s": 4}],
        "objects": list(objects), **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 20 s without anything in it."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width, stream.height = 64, 48
        for index in range(40):
            picture = np.full((48, 64, 3), 5 * index, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


class World:
    """A manifest of videos with captions, a workspace, and the command line over both."""

    def __init__(self, folder: Path, clip: Path, url: str) -> None:
        self.folder, self.clip, self.url = folder, clip, url
        self.workspace = folder / "w"
        self.manifest = folder / "m.jsonl"
        self.config = folder / "c.toml"
        self.set()

    def videos(self, count: int, captions: int = 1) -> None:
        """Write the manifest: no two captions are equal."""
        rows = [
            {
                "video_id": f"v{n:03}", "uri": str(self.clip),
                "captions": [
                    {"start_s": 0, "end_s": 19, "text": f"A dog{n}x{k} barks at the gate."}
                    for k in range(captions)
                ],
            }
            for n in range(count)
        ]  # fmt: skip
        self.manifest.write_text("\n".join(map(json.dumps, rows)) + "\n")

    def set(
        self, run: dict[str, Any] | None = None, captions: dict[str, Any] | None = None, **llm: Any
    ) -> None:
        """Write the configuration."""
        told = {"endpoint": self.url, "key_env": "TEST_LLM_KEY", "longest_wait_s": 0.05, **llm}
        config = Config.model_validate(
            {
                "analyse": {"backend": "openai"},
                "llm": told,
                "run": {"failure_share": 1, **(run or {})},
                "captions": captions or {},
            }
        )
        self.config.write_text(render_config(config))

    def command(self, name: str, *more: str) -> list[str]:
        """The command line."""
        return [
            sys.executable, "-m", "earshot.cli", name, "-i", str(self.manifest),
            "-w", str(self.workspace), "-c", str(self.config), *more,
        ]  # fmt: skip

    def run(self, name: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        return subprocess.run(
            self.command(name, *more), capture_output=True, text=True, timeout=300, check=False
        )

    def build(self, **more: Any) -> dict[str, Any]:
        """Build up to the objects in a plain loop; return what `--json` would print."""
        return run_build(self.request(**more)).to_json()

    def plan(self) -> dict[str, Any]:
        """What the plan says of the analysis."""
        plans = open_run(self.request(), keep=False).plan()
        return next(one.to_json() for one in plans if one.stage == "analyse")

    def request(self, mode: str = "live", force: tuple[str, ...] = ()) -> BuildRequest:
        """What the command line asks for."""
        config = load_config(self.config)
        llm = config.llm.model_copy(update={"mode": mode})
        return BuildRequest(
            workspace=str(self.workspace), input=str(self.manifest), end="objects", force=force,
            config=config.model_copy(update={"llm": llm}),
        )  # fmt: skip

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Query the workspace's parts; `{stage}` names a folder of parts."""
        return duckdb.sql(query.replace("{stages}", str(self.workspace / "stages"))).fetchall()


@pytest.fixture
def world(tmp_path: Path, clip: Path, server: LlmServer) -> World:
    """A world of eight videos."""
    world = World(tmp_path, clip, server.url)
    world.videos(8)
    return world


def count(said: dict[str, Any], stage: str, kind: str = "video") -> dict[str, Any]:
    """The counts of a stage in a build's JSON."""
    return next(s for s in said["stages"] if (s["stage"], s["item_kind"]) == (stage, kind))

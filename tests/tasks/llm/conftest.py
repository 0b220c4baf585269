"""What tests of language models share: a server, a key in the environment, an analyser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from earshot.schemas.caption import Caption
from earshot.schemas.config import LlmConfig
from earshot.schemas.event import Event
from earshot.tasks.analyse_captions.llm import LlmAnalyser
from earshot.tasks.analyse_captions.protocol import Analysed, VideoCaptions
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

"""A model that knows the truth of the sample world: what it scores, and what its release states."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from earshot.cli import app
from earshot.media.sample_world import write_sample_world
from earshot.schemas.config import AnalyseConfig, Config, LlmConfig, ReleaseConfig, RunConfig
from earshot.schemas.request import BuildRequest
from earshot.store.config_file import render_config
from earshot.tasks.build import run_build
from earshot.tasks.evaluate_captions.sentences import Labelled, sample_sentences
from tests.llm_server import LlmServer, Reply, caption_of, event_numbers, times_of

VIDEOS, SEED = 2, 7


@pytest.fixture
def config(llm: Callable[..., LlmConfig], server: LlmServer) -> Config:
    """A configuration whose model answers from the truth."""
    known = {each.text: each.objects for each in sample_sentences(VIDEOS, SEED)}
    server.answer = lambda body: Reply(truth(body, known[caption_of(body)]))
    return Config(
        analyse=AnalyseConfig(backend="openai"),
        llm=llm(),
        release=ReleaseConfig(allow_empty=True),
        run=RunConfig(failure_share=1),
    )


def truth(body: dict[str, Any], objects: tuple[Labelled, ...]) -> str:
    """The answer that holds all that is true of a caption, as long as it lasts."""
    start_s, end_s = times_of(body)
    whole = {"start_s": start_s, "end_s": end_s}
    text = caption_of(body)

    def thing(each: Labelled, span: dict[str, float]) -> dict[str, Any]:
        found = re.search(rf"\b{re.escape(each.head)}\b", text, re.IGNORECASE)
        assert found, (each, text)
        audibility = (
            "visible_only" if not each.heard
            else "visible_and_audible" if each.seen
            else "audible_only"
        )  # fmt: skip
        return {
            "evidence": found[0], "name": each.head, "audibility": audibility, "count": None,
            "is_group": False, "sounding": [span] if each.heard else [], "confidence": 1,
        }  # fmt: skip

    events: list[dict[str, Any]] = [
        {
            "event": number,
            "label": None,
            "segments": [],
            "objects": [thing(each, {"start_s": a, "end_s": b}) for each in objects],
        }
        for number, a, b in event_numbers(body)
    ]
    if not events and any(each.heard for each in objects):
        things = [thing(each, whole) for each in objects]
        events = [{"event": None, "label": None, "segments": [whole], "objects": things}]
    return json.dumps({"events": events})


def test_a_release_states_what_its_questions_cost(
    config: Config, server: LlmServer, tmp_path: Path
) -> None:
    """Run report, manifest and card agree on the money, in all and for a published question."""
    world = write_sample_world(tmp_path / "world", VIDEOS, SEED)
    request = BuildRequest(workspace=str(tmp_path / "w"), input=str(world.manifest), config=config)
    said = run_build(request).to_json()
    assert len(server.requests) == len(set(server.captions)) > 0
    release = Path(said["release"])
    cost = json.loads((release / "manifest.json").read_text())["cost"]
    assert cost == said["cost"]
    questions = pq.ParquetDataset(release / "data").read(columns=["question_id"]).num_rows
    assert cost["usd_per_question"] == pytest.approx(cost["usd"] / questions)
    each = f"{cost['usd_per_question']:.4f} USD per published question"
    assert f"{cost['usd']:.4f} USD: {each}." in (release / "README.md").read_text()
    file = tmp_path / "c.toml"
    file.write_text(render_config(config))
    command = ["build", "-i", request.input, "-w", request.workspace, "-c", str(file)]
    assert each in CliRunner().invoke(app, [*command, "--no-prefect"]).output
    assert len(server.requests) == len(set(server.captions))


def test_evaluate_captions_prints_a_table_of_a_model(
    config: Config, server: LlmServer, tmp_path: Path
) -> None:
    """A model that says what is true scores all of it; a second run asks nothing."""
    file = tmp_path / "c.toml"
    file.write_text(render_config(config))
    command = [
        "evaluate", "captions", "--analyser", "openai", "--sample-videos", str(VIDEOS), "--seed",
        str(SEED), "-w", str(tmp_path / "scores"), "-c", str(file),
    ]  # fmt: skip
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert all(word in shown.output for word in ("openai", "baseline", "sample world", "F1"))
    count = len(server.requests)
    ours, baseline = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert len(server.requests) == count
    (source,) = ours["sources"]
    assert source["f1"] == source["audible_recall"] == 1
    assert baseline["sources"][0]["f1"] < 1

"""A model that sees the questions alone is scored as a blind answer, against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from earshot.cli import app
from earshot.errors import EndpointError, ReleaseError
from earshot.schemas.config import LlmConfig, Price, ReleaseConfig
from earshot.schemas.question import Question
from earshot.tasks.publish_release.publish import publish
from earshot.tasks.publish_release.text_only import TextOnly
from tests.llm_server import LlmServer, Reply, error
from tests.tasks.publish_release.conftest import make_rows, make_source

Make = Callable[..., LlmConfig]
CONFIG = ReleaseConfig(name="yard", text_only_questions=2)
ROWS = make_rows(16)
ROWS[Question] = [
    row.model_copy(update={"question": f"In clip {number}, {row.question}"})
    for number, row in enumerate(ROWS[Question])
]
TEST = [row for row in ROWS[Question] if row.split == "test"]


def _asked(body: dict[str, Any]) -> str:
    return str(body["messages"][1]["content"])


def _says(completion: str) -> Reply:
    return Reply(json.dumps({"completion": completion}))


def _publish(llm: LlmConfig, folder: Path, **changes: Any) -> str:
    config = CONFIG.model_copy(update=changes)
    text_only = TextOnly(llm, folder / "requests")
    published = publish(make_source(ROWS), folder / "out", config, text_only=text_only)
    return (Path(published.folder) / "README.md").read_text()


def _rows(card: str) -> dict[tuple[str, str], str]:
    lines = [line.strip("| ").split(" | ") for line in card.splitlines() if "| text only:" in line]
    return {(task.strip("`"), metric): score for task, _, metric, score, *_ in lines}


def test_the_card_says_what_a_model_without_the_video_scores(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """Two questions a task, a row a metric, and the limit; neither frames nor truth leave."""
    server.answer = lambda body: _says("<answer>\n<object>dog</object>\n</answer>")
    card = _publish(llm(model="small"), tmp_path)
    rows = _rows(card)
    assert set(rows) == {
        ("temporal", "m_tIoU"), ("spatial", "object_f1"), ("spatial", "m_vIoU"),
        ("spatio_temporal", "m_tIoU"), ("spatio_temporal", "m_vIoU"),
    }  # fmt: skip
    assert (rows["spatial", "object_f1"], rows["temporal", "m_tIoU"]) == ("1.000", "0.000")
    assert "text only: small reads the question and sees no video" in card
    assert "a model that reads the question alone 0.5." in card
    assert len(server.requests) == 6
    assert all(isinstance(m["content"], str) for b in server.requests for m in b["messages"])
    sent = json.dumps(server.requests)
    assert not any(json.dumps(row.answer)[1:-1] in sent or row.truth_json in sent for row in TEST)


def test_publishing_again_asks_nothing_again(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """The answers are in the request cache; more questions ask only the new ones."""
    server.answer = lambda body: _says("no idea")
    for most, requests in ((1, 3), (1, 3), (2, 6)):
        _publish(llm(), tmp_path, text_only_questions=most)
        assert len(server.requests) == requests


def test_a_release_that_a_model_answers_blindly_is_refused(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """Above its limit, with enough test questions, the gate `blind` names model and setting."""
    server.answer = lambda body: _says("<answer>\n<object>dog</object>\n</answer>")
    with pytest.raises(ReleaseError, match=r"(?s)text only .*object_f1 1\.000.*max_text_only is"):
        _publish(llm(), tmp_path, min_baseline_questions=2, max_common_object_f1=1)
    assert not list((tmp_path / "out").glob("yard-v*"))


def test_a_question_without_an_answer_scores_nothing_and_is_counted(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """A refusal, an answer in no form: 0, and the card says how many."""
    server.answer = lambda body: Reply(refusal="I can't see the video.")
    card = _publish(llm(), tmp_path)
    assert "sees no video, no answer to 2 of them" in card
    assert set(_rows(card).values()) == {"0.000"}


def test_nothing_is_published_while_answers_are_to_come(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """A spent budget makes no zeros: it says so, and which setting does without."""
    prices = (Price(model="m", input_usd=1, cached_usd=1, output_usd=1, batch_share=1),)
    poor = llm(model="m", prices=prices, max_budget_usd=0)
    with pytest.raises(
        ReleaseError, match=r"6 text-only answers .*release.text_only_questions = 0"
    ):
        _publish(poor, tmp_path)
    assert server.requests == []


def test_an_endpoint_that_refuses_all_fails_the_release(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """A wrong key is no guess."""
    server.answer = lambda body: error(401, "wrong key")
    with pytest.raises(EndpointError):
        _publish(llm(), tmp_path)


def test_without_the_setting_nobody_is_asked(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """Off by default, and the card says so."""
    card = _publish(llm(), tmp_path, text_only_questions=0)
    assert server.requests == []
    assert "(none was asked: `release.text_only_questions` is 0)" in card


@pytest.fixture
def command(server: LlmServer, tmp_path: Path) -> Callable[..., str]:
    """The command line over a sample world all of whose videos are of test."""
    assert CliRunner().invoke(
        app, ["sample", "--out", str(tmp_path / "sample"), "--videos", "2"]
    ).exit_code == 0  # fmt: skip
    (tmp_path / "c.toml").write_text(
        "[questions]\ntest_share = 0.999\nvalidation_share = 0\n"
        "[release]\ntext_only_questions = 2\n"
        f'[llm]\nendpoint = "{server.url}"\nkey_env = "TEST_LLM_KEY"\nmodel = "gpt-4o-mini"\n'
    )
    server.answer = lambda body: _says("no idea")

    def run(name: str, *more: str) -> str:
        manifest = tmp_path / "sample/input/manifest.jsonl"
        options = ["-i", str(manifest), "-w", str(tmp_path / "w"), "-c", str(tmp_path / "c.toml")]
        done = CliRunner().invoke(app, [name, *options, *more])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_plan_says_what_publication_will_ask(
    command: Callable[..., str], server: LlmServer, tmp_path: Path
) -> None:
    """A bound before there are questions, then just so many calls, then none; nothing where off."""

    def planned() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(command("plan", "--json"))["text_only"]
        return told

    first = planned()
    assert (first["videos"], first["cost"]["calls"], first["cost_behind"]["calls"]) == (2, 0, 6)
    shown = command("plan")
    assert "release, text only: costs at most, for what comes behind, 6 calls, " in shown
    assert "up to 2 videos still get their questions" in shown
    assert "text_only" not in json.loads(command("plan", "--json", "--to", "questions"))
    assert "text only" not in command("plan", "--to", "questions")

    command("build", "--no-prefect", "--no-release")
    then = planned()
    cost = then["cost"]
    assert (then["videos"], then["cost_behind"]["calls"]) == (0, 0)
    assert 0 < cost["usd_low"] < cost["usd"] < cost["usd_high"] < first["cost_behind"]["usd_high"]
    shown = command("plan")
    assert f"release, text only: costs {cost['calls']} calls, {cost['tokens']} tokens, " in shown
    assert "nothing to do" not in shown
    assert server.requests == []

    command("build", "--no-prefect")
    assert len(server.requests) == cost["calls"] > 0
    assert planned()["cost"]["calls"] == 0
    shown = command("plan")
    assert "release, text only: costs 0 calls" in shown
    assert "nothing to do" in shown

    (tmp_path / "w/releases/earshot-v1/manifest.json").write_text("torn")
    shown = command("plan")
    assert "release, text only: costs at most, for what comes behind, 6 calls, " in shown
    assert "release, text only: the questions that there are could not be looked at: " in shown

"""Whole builds that ask a model: plan, resume, budget, secrets, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import traceback
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earshot.cli import app
from earshot.errors import EndpointError
from earshot.store.requests import RequestStore
from tests.llm_server import LlmServer, Reply, caption_of, error, good_answer
from tests.tasks.llm.conftest import KEY, World, count


def test_a_build_pays_once_and_says_what(world: World, server: LlmServer) -> None:
    """Rows carry prompt and answer; plan, run report and ledger agree on calls and money."""
    before = world.plan()
    assert (before["todo"], before["cost_behind"]["calls"]) == ([], 8)
    cost = before["cost_behind"]
    assert 0 < cost["usd_low"] < cost["usd"] < cost["usd_high"]
    assert "assumed 4 bytes a token" in cost["basis"]
    said = world.build()
    assert count(said, "analyse")["done"] == 8
    assert said["requests"]["sent"] == len(server.requests) == 8
    assert said["cost"]["tokens"] > 8 * 500
    ledger = world.rows(
        "SELECT sum(cost_usd), sum(tokens) FROM '{stages}/analyse/*/ledger.parquet'"
    )
    assert ledger[0] == (pytest.approx(said["cost"]["usd"]), said["cost"]["tokens"])
    digests = world.rows("SELECT DISTINCT prompt_digest FROM '{stages}/analyse/*/mentions.parquet'")
    assert len(digests) == 1
    again = world.build(force=("analyse",))
    assert again["requests"]["sent"] == 0
    assert again["cost"] == said["cost"]
    assert len(server.requests) == 8
    assert world.plan()["cost"]["calls"] == 0


def test_the_estimate_learns_from_what_was_used(world: World) -> None:
    """After 24 answers the plan for more videos rests on their tokens, and comes out right."""
    world.videos(24)
    paid = world.build()["cost"]["usd"]
    world.videos(48)
    cost = world.plan()["cost_behind"]
    assert cost["calls"] == 24
    assert "learned from 24 answers" in cost["basis"]
    assert cost["usd"] == pytest.approx(paid, rel=0.05)


def test_the_plan_prints_calls_tokens_money_and_a_range(world: World) -> None:
    """People read one line: calls, tokens, USD with a range, and what it rests on."""
    shown = CliRunner().invoke(app, world.command("plan")[3:]).stdout
    assert "analyse: costs at most, for what comes behind, 8 calls, " in shown
    assert " USD (" in shown
    assert "assumed 4 bytes a token and 250 tokens an answer" in shown


def test_an_answer_that_can_not_be_used_quarantines_its_video_alone(
    world: World, server: LlmServer
) -> None:
    """The caption has its code in the ledger; `quarantine retry` asks the model once more."""
    server.answer = lambda body: (
        Reply(None, refusal="no") if "dog3x" in caption_of(body) else Reply(good_answer(body))
    )
    said = world.build()
    assert count(said, "analyse")["quarantined"] == 1
    assert count(said, "analyse", "caption")["reasons"] == {"refused": 1}
    assert count(said, "objects")["in"] == 7
    row = world.rows(
        "SELECT item_id, message, value FROM '{stages}/analyse/*/ledger.parquet' "
        "WHERE reason_code = 'refused' AND item_kind = 'video'"
    )[0]
    assert row[0] == "v003"
    assert "the raw answer has the key" in row[1]
    assert "refusal" in row[2]
    world.build()
    assert len(server.requests) == 8
    retried = CliRunner().invoke(app, ["quarantine", "retry", "-w", str(world.workspace)])
    assert retried.exit_code == 0, retried.output
    server.answer = lambda body: Reply(good_answer(body))
    assert count(world.build(), "analyse")["done"] == 8
    assert len(server.requests) == 9


def test_a_words_that_no_caption_has_ends_in_the_ledger(world: World, server: LlmServer) -> None:
    """An invented object is `not_in_caption` among the objects; the build goes on."""
    server.answer = lambda body: Reply(good_answer(body).replace('"A dog', '"A wolf'))
    said = world.build()
    assert count(said, "objects", "object")["reasons"] == {"not_in_caption": 8}


def test_the_budget_holds_a_build_and_a_later_one_goes_on(world: World, server: LlmServer) -> None:
    """Videos behind the limit wait with the reason; nothing that was answered is asked again."""
    world.set(max_budget_usd=0.0025, in_flight=2)
    said = world.build()
    waiting = count(said, "analyse")["waiting"]
    assert 0 < waiting < 8
    assert count(said, "analyse")["reasons"]["budget"] == waiting
    assert said["cost"]["usd"] <= 0.0025
    world.set(max_budget_usd=1)
    assert count(world.build(), "analyse")["done"] == 8
    assert len(server.requests) == 8


def test_a_batch_spans_builds(world: World, server: LlmServer) -> None:
    """`--llm-mode batch`: the first build leaves its videos waiting, the next collects them."""
    said = world.build(mode="batch")
    assert count(said, "analyse")["reasons"] == {"for_batch": 8}
    said = world.build(mode="batch")
    assert count(said, "analyse")["done"] == 8
    assert (len(server.batches), server.requests) == (1, [])


def test_prompt_and_model_are_in_the_key(world: World) -> None:
    """Another model makes the analysis stale and says why; another endpoint does not."""
    world.build()
    world.set(endpoint="http://127.0.0.1:9/v1")
    assert world.plan()["todo"] == []
    world.set(model="gpt-5-mini")
    assert world.plan()["stale"] == {"model": 8}
    assert world.plan()["cost"]["calls"] == 8


WRONG = {
    "no key": ({"key_env": "NOT_SET_ANYWHERE"}, None, "NOT_SET_ANYWHERE is not set"),
    "address": ({"endpoint": "http://127.0.0.1:9/v1"}, None, "set llm.endpoint"),
    "model": ({}, error(404, "no such model"), "set llm.model"),
    "key": ({}, error(401, f"wrong key {KEY}"), "set TEST_LLM_KEY to a valid key"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_for_all_stops_the_build(name: str, world: World, server: LlmServer) -> None:
    """One line says what to set; no video is quarantined, and a mended build goes on."""
    changes, reply, message = WRONG[name]
    if reply is not None:
        server.answer = lambda _: reply
    world.set(**changes)
    with pytest.raises(EndpointError) as raised:
        world.build()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert KEY not in "".join(traceback.format_exception(raised.value))
    world.set()
    server.answer = lambda body: Reply(good_answer(body))
    assert count(world.build(), "analyse")["done"] == 8


def test_a_missing_key_is_one_line_before_a_video_is_opened(world: World) -> None:
    """Nobody waits an hour of probing for that message."""
    world.set(key_env="NOT_SET_ANYWHERE")
    done = world.run("build", "--no-prefect")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: the environment variable NOT_SET_ANYWHERE is not set: set it")
    assert not (world.workspace / "stages" / "probe").exists()


def test_the_key_is_in_no_file_and_no_process_list(world: World, server: LlmServer) -> None:
    """Not in the workspace, on the terminal, in arguments: only in the environment."""
    server.answer = lambda body: (
        Reply(status=400, raw=f'{{"error": {{"message": "bad {KEY}"}}}}')
        if "dog1x" in caption_of(body)
        else Reply(f"my key is {KEY}", delay_s=0.3)
        if "dog2x" in caption_of(body)
        else Reply(good_answer(body), delay_s=0.3)
    )
    child = subprocess.Popen(
        world.command("build", "--no-prefect", "--to", "objects"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    arguments = b""
    while child.poll() is None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                arguments += (process / "cmdline").read_bytes()
            except OSError:
                continue
        time.sleep(0.1)
    assert child.stdout is not None
    shown = child.stdout.read()
    child.stdout.close()
    assert KEY not in shown
    assert KEY.encode() not in arguments
    files = [file for file in world.folder.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert f"Bearer {KEY}" in server.keys
    assert KEY not in world.request().model_dump_json()


@pytest.mark.slow
@pytest.mark.parametrize("at", [40, 250])
def test_a_kill_in_the_middle_of_500_calls_costs_what_was_in_flight(
    at: int, world: World, server: LlmServer
) -> None:
    """No call whose answer had arrived is made again; the repeated ones are at most the bound."""
    world.videos(50, captions=10)
    world.set(in_flight=16, run={"batch_size": 20, "workers": 1})
    server.latency_s = 0.1
    child = subprocess.Popen(
        world.command("build", "--no-prefect", "--to", "objects"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while len(server.requests) < at:
        assert child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(0.5)
    arrived = len(RequestStore(world.workspace / "requests"))
    sent = len(server.requests)
    assert at - 16 <= arrived < 500
    said = world.build()
    assert count(said, "analyse")["done"] == 50
    repeated = len(server.requests) - 500
    assert 0 <= repeated <= 16
    assert repeated == sent - arrived
    # Counted are also those that were noted and had not left yet.
    assert repeated <= said["requests"]["repeated"] <= 16
    assert said["requests"]["sent"] == 500 - arrived
    asked_twice = [c for c in set(server.captions) if server.captions.count(c) > 1]
    assert len(asked_twice) == repeated


def test_evaluate_captions_scores_the_model(world: World, server: LlmServer) -> None:
    """The model's scores stand beside the baseline's; a second run asks nothing."""
    labels = world.folder / "labels.jsonl"
    said = {"head": "dog", "audible": "yes", "visible": "yes"}
    rows = [
        {"source": "yard", "text": f"A dog barks {n} times.", "objects": [said]} for n in range(5)
    ]
    labels.write_text("\n".join(map(json.dumps, rows)))
    command = [
        "evaluate", "captions", "--analyser", "openai", "--data", str(labels), "--sample-videos",
        "0", "-w", str(world.folder / "scores"), "-c", str(world.config), "--json",
    ]  # fmt: skip
    for _ in range(2):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        ours, baseline = json.loads(result.stdout)
        assert (ours["backend"], baseline["backend"]) == ("openai", "baseline")
        assert ours["sources"][0]["f1"] == ours["sources"][0]["audible_recall"] == 1.0
    assert len(server.requests) == 5
    server.answer = lambda _: Reply(None, refusal="no")
    labels.write_text(labels.read_text().replace("barks 3", "barks 33"))
    result = CliRunner().invoke(app, command)
    assert "1 of 5 sentences have no answer" in str(result.exception)
    result = CliRunner().invoke(app, [*command[:-5], "-c", str(world.config)])
    assert "expected --workspace" in str(result.exception)

"""The Batch API on the same path: half the price, one cache, nothing created or paid twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from earshot.errors import EndpointError
from earshot.schemas.config import LlmConfig
from earshot.store.requests import request_store
from earshot.tasks.analyse_captions.protocol import Analysed, Analysis, VideoCaptions
from earshot.tasks.llm import batch as batch_module
from earshot.tasks.llm.trouble import Trouble
from tests.llm_server import LlmServer, Reply, error, good_answer
from tests.tasks.llm.conftest import KEY, video

Analyse = Callable[..., dict[str, Analysed]]
WORDS = ("dog", "cat", "bird", "cow", "horse")


def videos(count: int = 5, attempt: int = 1) -> list[VideoCaptions]:
    """Videos with one caption each."""
    return [video(f"v{n}", f"A {WORDS[n]} calls.", attempt=attempt) for n in range(count)]


def codes(said: dict[str, Analysed]) -> list[str]:
    """What became of each video in order: `done` or the reason code."""
    return [
        each.said.code if isinstance(each.said, Trouble) else "done"
        for _, each in sorted(said.items())
    ]


def lines(server: LlmServer, batch_id: str) -> list[dict[str, object]]:
    """The requests of a batch."""
    file = server.files[str(server.batches[batch_id]["input_file_id"])]
    return [json.loads(line) for line in file.splitlines()]


def test_a_batch_is_sent_then_collected(analyse: Analyse, server: LlmServer) -> None:
    """One build sends, a later one collects into the cache; then nothing is left to ask."""
    server.batch_status = "in_progress"
    assert codes(analyse(*videos(), mode="batch")) == ["for_batch"] * 5
    assert codes(analyse(*videos(), mode="batch")) == ["for_batch"] * 5
    assert len(server.batches) == 1
    assert len(lines(server, "batch-0")) == 5
    server.batch_status = "completed"
    said = analyse(*videos(), mode="batch")
    assert codes(said) == ["done"] * 5
    live = analyse(*videos(), revision="live")
    for name, each in said.items():
        assert isinstance(each.said, Analysis)
        assert each.said.events[0].event_id == live[name].said.events[0].event_id
        assert each.cost_usd == pytest.approx(live[name].cost_usd / 2)
    count = len(server.requests)
    assert codes(analyse(*videos())) == ["done"] * 5
    assert len(server.requests) == count == 5


def test_the_lines_are_what_a_live_request_sends(analyse: Analyse, server: LlmServer) -> None:
    """Same builder, same body; the custom id is the key in the cache."""
    analyse(*videos(1), mode="batch")
    (line,) = lines(server, "batch-0")
    analyse(*videos(1), revision="live")
    assert line["body"] == server.requests[0]
    assert line["url"] == "/v1/chat/completions"
    assert len(str(line["custom_id"])) == 64


def test_a_batch_that_was_made_and_not_noted_is_found_again(
    analyse: Analyse, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind `create`: its digest in the metadata is looked up before another is made."""
    server.batch_status = "in_progress"
    with monkeypatch.context() as patched:
        patched.setattr(batch_module.Batches, "_sent", _interrupted)
        with pytest.raises(InterruptedError):
            analyse(*videos(), mode="batch")
    assert len(server.batches) == 1
    assert server.batches["batch-0"]["metadata"]
    assert codes(analyse(*videos(), mode="batch")) == ["for_batch"] * 5
    server.batch_status = "completed"
    assert codes(analyse(*videos(), mode="batch")) == ["done"] * 5
    assert len(server.batches) == 1


def _interrupted(*_: object) -> None:
    raise InterruptedError


def test_killed_before_a_batch_was_made_it_is_made_once(
    analyse: Analyse, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note without a batch behind it is dropped, and its requests are sent."""
    with monkeypatch.context() as patched:
        patched.setattr(batch_module, "_line", _interrupted)
        patched.setattr(batch_module, "_pieces", lambda asks, dialect: [asks])
        with pytest.raises(InterruptedError):
            analyse(*videos(), mode="batch")
    assert not server.batches
    assert codes(analyse(*videos(), mode="batch")) == ["for_batch"] * 5
    assert codes(analyse(*videos(), mode="batch")) == ["done"] * 5
    assert len(server.batches) == 1


def test_killed_while_collecting_nothing_is_lost_or_doubled(
    analyse: Analyse, server: LlmServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The files are kept as they came: the rest is taken in by the next build."""
    analyse(*videos(), mode="batch")
    taken = batch_module.Batches._answer

    def some(self, note, key, status, body):
        if len(self._store) == 2:
            raise InterruptedError
        return taken(self, note, key, status, body)

    with monkeypatch.context() as patched:
        patched.setattr(batch_module.Batches, "_answer", some)
        with pytest.raises(InterruptedError):
            analyse(*videos(), mode="batch")
    assert codes(analyse(*videos(), mode="batch")) == ["done"] * 5
    assert len(request_store(tmp_path / "requests")) == 5
    assert len(server.batches) == 1


def test_what_a_batch_leaves_out_goes_into_the_next(analyse: Analyse, server: LlmServer) -> None:
    """Lines that expire or fail at the server are sent again, those answered are not."""
    server.batch_status = "expired"
    server.batch_answer = lambda body: (
        None
        if "cat" in str(body["messages"][-1])
        else error(500, "oops")
        if "cow" in str(body["messages"][-1])
        else Reply(good_answer(body))
    )
    analyse(*videos(), mode="batch")
    expected = ["done", "for_batch", "done", "for_batch", "done"]
    assert codes(analyse(*videos(), mode="batch")) == expected
    assert len(lines(server, "batch-1")) == 2
    server.batch_answer = lambda body: Reply(good_answer(body))
    assert codes(analyse(*videos(), mode="batch")) == ["done"] * 5


def test_what_never_comes_back_is_quarantined(analyse: Analyse, server: LlmServer) -> None:
    """After four batches a request is given up, and a second try of the video asks four more."""
    server.batch_answer = lambda _: None
    for _ in range(4):
        assert codes(analyse(*videos(1), mode="batch")) == ["for_batch"]
    assert codes(analyse(*videos(1), mode="batch")) == ["no_reply"]
    assert len(server.batches) == 4
    assert codes(analyse(*videos(1, attempt=2), mode="batch")) == ["for_batch"]
    assert len(server.batches) == 5


def test_a_refused_line_is_an_answer(analyse: Analyse, server: LlmServer) -> None:
    """A 400 that no other dialect would mend is the caption's own fault, and costs one round."""
    server.batch_answer = lambda _: error(400, "this content_filter does not like it")
    analyse(*videos(1), mode="batch")
    assert codes(analyse(*videos(1), mode="batch")) == ["content_filter"]
    assert len(server.batches) == 1


def test_a_batch_gives_way_where_schemas_are_not_taken(analyse: Analyse, server: LlmServer) -> None:
    """The next batch asks for less; after it the endpoint's dialect is known."""

    def answer(body: dict[str, object]) -> Reply:
        kind = dict(body.get("response_format", {})).get("type")  # type: ignore[call-overload]
        return error(400, "no json_schema") if kind == "json_schema" else Reply(good_answer(body))

    server.batch_answer = answer
    analyse(*videos(2), mode="batch")
    assert codes(analyse(*videos(2), mode="batch")) == ["for_batch"] * 2
    assert codes(analyse(*videos(2), mode="batch")) == ["done"] * 2
    assert len(server.batches) == 2


def test_repairs_go_into_a_batch_too(analyse: Analyse, server: LlmServer) -> None:
    """An answer that breaks a rule is asked again by the next batch, with the reason."""
    server.batch_answer = lambda body: Reply(
        good_answer(body) if len(body["messages"]) > 2 else "no JSON"
    )
    analyse(*videos(2), mode="batch")
    assert codes(analyse(*videos(2), mode="batch")) == ["for_batch"] * 2
    assert "no JSON object" in json.dumps(lines(server, "batch-1")[0])
    assert codes(analyse(*videos(2), mode="batch")) == ["done"] * 2


def test_live_mode_waits_for_what_a_batch_owes(analyse: Analyse, server: LlmServer) -> None:
    """Switched back to live, what is in a batch is not paid again; the rest is asked."""
    server.batch_status = "in_progress"
    analyse(*videos(3), mode="batch")
    assert codes(analyse(*videos(5))) == ["for_batch"] * 3 + ["done"] * 2
    assert len(server.requests) == 2
    server.batch_status = "completed"
    assert codes(analyse(*videos(5))) == ["done"] * 5
    assert len(server.requests) == 2


def test_the_budget_holds_for_batches(
    analyse: Analyse, llm: Callable[..., LlmConfig], server: LlmServer, tmp_path: Path
) -> None:
    """Only what can be paid in the worst case goes into the file; the rest waits, saying why."""
    analyse(*videos(1), mode="batch", revision="dear")
    worst = request_store(tmp_path / "requests").open_usd
    said = analyse(*videos(5), mode="batch", max_budget_usd=worst + 2.5 * worst)
    assert sorted(codes(said)) == ["budget"] * 3 + ["for_batch"] * 2
    assert len(lines(server, "batch-1")) == 2


def test_large_sets_are_cut_into_several_files(
    analyse: Analyse, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file has more requests than the API takes."""
    monkeypatch.setattr(batch_module, "MAX_REQUESTS", 2)
    analyse(*videos(5), mode="batch")
    assert [len(lines(server, batch_id)) for batch_id in server.batches] == [2, 2, 1]


def test_an_endpoint_without_batches_says_so(
    llm: Callable[..., LlmConfig], analyse: Analyse, server: LlmServer
) -> None:
    """A server that has no such address is named, with the way out."""
    wrong = server.url.replace("/v1", "/v9")
    with pytest.raises(EndpointError, match=r"uploading a batch: 404.*llm\.mode"):
        analyse(*videos(1), mode="batch", endpoint=wrong)


def test_the_key_is_in_no_note(analyse: Analyse, server: LlmServer, tmp_path: Path) -> None:
    """Neither notes nor kept files hold the key."""
    analyse(*videos(2), mode="batch")
    analyse(*videos(2), mode="batch")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 3
    assert all(KEY.encode() not in file.read_bytes() for file in files)

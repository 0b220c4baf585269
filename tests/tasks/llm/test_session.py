"""The client against a real server: patience, limits, money, dialects, and the key's secrecy."""

from __future__ import annotations

import logging
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from earshot.errors import EndpointError, ItemError
from earshot.schemas.config import LlmConfig, Price
from earshot.store.requests import request_store
from earshot.tasks.analyse_captions import asked
from earshot.tasks.llm.ask import Ask
from earshot.tasks.llm.limits import retry_after_s
from earshot.tasks.llm.money import BudgetReachedError, worst_usd
from earshot.tasks.llm.reply import text_of
from earshot.tasks.llm.session import open_session
from tests.llm_server import LlmServer, Reply, error
from tests.tasks.llm.conftest import KEY, caption

Make = Callable[..., LlmConfig]


def ask_of(llm: LlmConfig, number: int = 0) -> Ask:
    """A request about a caption."""
    return asked.ask_about(caption("v", number, f"A dog{number} barks."), (), (), llm)


def send(llm: LlmConfig, folder: Path, *numbers: int) -> list[object]:
    """What becomes of requests that are sent at the same time."""
    asks = [ask_of(llm, number) for number in numbers]
    with open_session(llm, folder) as session:
        futures = [session.submit(session.complete(ask, ask.digest)) for ask in asks]
        return [future.exception() or future.result() for future in futures]


PASSING = {
    "429": error(429, "slow", Retry_After="0.01"),
    "429 without a time": error(429, "slow"),
    "429 in a minute": error(429, "slow", Retry_After="3000"),
    "500": error(500, "oops"),
    "503": Reply(status=503, raw="<html>"),
    "408": error(408, "timeout"),
    "dropped": Reply(drop=True),
    "no JSON": Reply(raw="<html>wait</html>"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again(
    name: str, llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """The answer behind two faults is kept; what came back is counted by its reason."""
    server.first.extend([PASSING[name], PASSING[name]])
    (kept,) = send(llm(), tmp_path, 0)
    assert "dog0" in text_of(kept)
    assert len(server.requests) == 3
    assert sum(request_store(tmp_path).counts().faults.values()) == 2


def test_a_slow_answer_is_given_up_in_time(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """A request without an answer in `timeout_s` is sent again."""
    server.first.append(Reply("{}", delay_s=30))
    (kept,) = send(llm(timeout_s=0.5), tmp_path, 0)
    assert "dog0" in text_of(kept)
    assert request_store(tmp_path).counts().faults == {"lost": 1}


def test_the_sdk_does_not_retry_beside_us(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """Tries are counted by one layer: an endpoint that stays broken is asked `attempts` times."""
    send(llm(), tmp_path, 0)
    server.answer = lambda _: error(500, "oops")
    (fault,) = send(llm(attempts=4), tmp_path, 1)
    # Nobody is answered in this session: it is not this request's fault.
    assert isinstance(fault, EndpointError)
    assert "build again later" in str(fault)
    assert len(server.requests) == 1 + 4


def test_one_request_that_gets_no_answer_is_an_items_fault(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """Others are answered at the same endpoint, so the build goes on."""
    server.answer = lambda body: (
        error(500, "oops") if "dog1" in str(body["messages"][-1]) else Reply("{}")
    )
    with open_session(llm(attempts=3), tmp_path) as session:
        good, bad = ask_of(session.llm, 0), ask_of(session.llm, 1)
        session.submit(session.complete(good, good.digest)).result()
        fault = session.submit(session.complete(bad, bad.digest)).exception()
    assert isinstance(fault, ItemError)
    assert (fault.code, "500" in str(fault)) == ("no_reply", True)


REFUSED = {
    "wrong key": (error(401, "Incorrect API key"), "set TEST_LLM_KEY to a valid key"),
    "unknown model": (error(404, "The model does not exist"), "set llm.model or llm.endpoint"),
    "no credit": (error(429, "quota", "insufficient_quota"), "no credit left"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_will_not_pass_stops_everything_in_one_line(
    name: str, llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """One line says what to set, and no further request is sent."""
    reply, remedy = REFUSED[name]
    server.answer = lambda _: reply
    said = send(llm(in_flight=1), tmp_path, *range(5))
    assert all(isinstance(each, EndpointError) for each in said)
    assert remedy in str(said[0])
    assert "\n" not in str(said[0])
    assert len(server.requests) == 1


def test_a_wrong_address_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there: the message names the setting."""
    monkeypatch.setenv("TEST_LLM_KEY", KEY)
    llm = LlmConfig(endpoint="http://127.0.0.1:9/v1", key_env="TEST_LLM_KEY", longest_wait_s=0.01)
    (fault,) = send(llm, tmp_path, 0)
    assert isinstance(fault, EndpointError)
    assert "set llm.endpoint" in str(fault)
    assert "\n" not in str(fault)


def test_a_missing_key_is_told_before_anything_is_sent(
    llm: Make, server: LlmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable, and the way out for servers that want no key."""
    monkeypatch.delenv("TEST_LLM_KEY")
    with pytest.raises(EndpointError, match=r'TEST_LLM_KEY is not set.*llm\.key_env to ""'):
        send(llm(), tmp_path, 0)
    send(llm(key_env=""), tmp_path, 0)
    assert server.keys == ["Bearer none"]


@pytest.mark.parametrize(
    ("formats", "settled"),
    [
        (("json_schema", "json_object"), "json_schema"),
        (("json_object",), "json_object"),
        ((), None),
    ],
)
def test_the_response_format_is_found_out_once(
    formats: tuple[str, ...], settled: str | None, llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """The strictest that the endpoint takes is used from then on, in later runs too."""
    server.formats = formats
    send(llm(in_flight=4), tmp_path, *range(8))
    send(llm(in_flight=4), tmp_path, 8)
    kinds = [body.get("response_format", {}).get("type") for body in server.requests]
    assert len(kinds) == 9 + (2 - len(formats))
    assert set(kinds[2 - len(formats) :]) == {settled}


def test_an_endpoint_that_wants_other_fields_is_given_way(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """A refusal that names temperature or the token limit changes that and keeps the schema."""

    def answer(body: dict[str, object]) -> Reply:
        if "temperature" in body:
            return error(400, "Unsupported value: 'temperature'")
        if "max_completion_tokens" in body:
            return error(400, "unknown field max_completion_tokens")
        return Reply("{}")

    server.answer = answer
    send(llm(), tmp_path, 0)
    last = server.requests[-1]
    assert last["max_tokens"] == 1500
    assert last["response_format"]["type"] == "json_schema"


def test_a_cached_answer_outlives_the_dialect(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """What was answered in plain text is not asked again when schemas are taken."""
    send(llm(response_format="text"), tmp_path, 0)
    send(llm(response_format="json_schema"), tmp_path, 0)
    assert len(server.requests) == 1


def test_no_more_requests_are_open_than_allowed(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """`in_flight` holds for everyone who asks at the same time."""
    server.latency_s = 0.05
    send(llm(in_flight=5), tmp_path, *range(40))
    assert server.most_at_once == 5


def test_no_burst_goes_over_the_limit(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """A server that takes 20 a second and means it refuses nothing: 600 a minute is kept to."""
    server.limit, server.limit_s = 20, 1.0
    send(llm(in_flight=64, requests_per_minute=600), tmp_path, *range(30))
    assert server.over_limit == 0
    assert len(server.requests) == 30


def test_limits_that_the_endpoint_tells_are_kept(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """Without a configured limit the first answer's headers are one."""
    server.limit, server.limit_s = 20, 1.0
    server.answer = lambda _: Reply("{}", headers={"x-ratelimit-limit-requests": "600"})
    send(llm(in_flight=64), tmp_path, *range(30))
    assert server.over_limit == 0


def test_after_429_everybody_waits_and_nobody_storms(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """With no known limit a 429 holds all back for its time, then they come one by one."""
    server.limit, server.limit_s = 10, 0.5
    said = send(llm(in_flight=24, attempts=12, longest_wait_s=5), tmp_path, *range(48))
    assert not [each for each in said if isinstance(each, Exception)]
    # Of 48 requests in bursts of 24 a storm would be refused for longer than it is served.
    assert server.over_limit < len(server.requests) / 2


def test_tokens_a_minute_are_kept(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """Requests of about 1,900 tokens at 120,000 a minute wait, but for the first few."""
    started = time.monotonic()
    send(llm(tokens_per_minute=120_000), tmp_path, *range(6))
    assert time.monotonic() - started > 1.0  # about 2 s; without a limit 0.1


def test_retry_after_is_read_in_every_form() -> None:
    """Seconds, milliseconds, a date; nonsense is as good as nothing."""
    assert retry_after_s({"retry-after": "1.5"}) == 1.5
    assert retry_after_s({"retry-after-ms": "250"}) == 0.25
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


# Money


def test_the_budget_stops_before_the_crossing_request(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """What is sent can never cost more than the budget, however many are in flight."""
    server.latency_s = 0.05
    worst = worst_usd(llm().price, ask_of(llm()), "live")
    limited = llm(max_budget_usd=3.5 * worst, in_flight=16)
    said = send(limited, tmp_path, *range(60))
    store = request_store(tmp_path)
    stopped = [each for each in said if isinstance(each, BudgetReachedError)]
    assert 0 < len(stopped) < 57
    assert store.settled_usd <= 3.5 * worst
    assert store.settled_usd + worst > 3.5 * worst  # and not a request too early
    assert server.most_at_once <= 3
    assert "raise it and build again" in str(stopped[0])
    count = len(server.requests)
    send(llm(), tmp_path, *range(60))
    assert len(server.requests) == 60
    assert count == 60 - len(stopped)


def test_what_lost_requests_may_have_cost_counts(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """An answer that never arrived may be on the bill: the worst of it stays booked."""
    send(llm(), tmp_path, 0)
    with open_session(llm(), tmp_path) as session:
        first, second = ask_of(session.llm, 1), ask_of(session.llm, 2)
        session.submit(session.complete(first, first.digest)).result()
        before = session.store.settled_usd
        server.first.append(Reply(drop=True))
        kept = session.submit(session.complete(second, second.digest)).result()
        worst = worst_usd(session.llm.price, second, "live")
        assert session.store.settled_usd == pytest.approx(before + worst + kept.cost_usd)


def test_costs_follow_the_price_table(llm: Make, server: LlmServer, tmp_path: Path) -> None:
    """Fresh input, cached input and output have a price each; a dated snapshot has its model's."""
    price = Price(model="m", input_usd=1, cached_usd=0.1, output_usd=10)
    config = llm(model="m-2026-01-02", prices=(price,))
    (kept,) = send(config, tmp_path, 0)
    usage = kept.usage
    fresh = usage.input - usage.cached
    expected = (fresh * 1 + usage.cached * 0.1 + usage.output * 10) / 1e6
    assert kept.cost_usd == pytest.approx(expected)
    (unknown,) = send(llm(model="other", prices=(price,)), tmp_path, 0)
    assert unknown.cost_usd is None
    with pytest.raises(ValueError, match="no row for model 'other'"):
        llm(model="other", prices=(price,), max_budget_usd=1)


def test_an_endpoint_without_usage_is_charged_the_worst(
    llm: Make, server: LlmServer, tmp_path: Path
) -> None:
    """A budget that nobody counts against would be none."""
    server.answer = lambda _: Reply("{}", usage=False)
    (kept,) = send(llm(), tmp_path, 0)
    assert kept.cost_usd == worst_usd(llm().price, ask_of(llm()), "live")


# The key


def test_the_key_stands_nowhere(
    llm: Make, server: LlmServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs, files, exceptions or their tracebacks, though the endpoint repeats it."""
    caplog.set_level(logging.DEBUG)
    server.first = deque([error(400, f"bad {KEY}")] * 3)
    said = send(llm(), tmp_path, 0)
    server.first = deque([Reply(f"your key is {KEY}")])
    said += send(llm(), tmp_path, 1)
    server.first = deque([error(500, f"oops {KEY}")] * 6)
    said += send(llm(), tmp_path, 2)
    server.first = deque([error(401, f"Incorrect key {KEY}")])
    said += send(llm(), tmp_path, 3)
    shown = "".join(
        "".join(traceback.format_exception(each)) if isinstance(each, Exception) else str(each)
        for each in said
    )
    assert "***" in shown
    assert sum(isinstance(each, EndpointError) for each in said) == 2
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"bad ***" in files
    for text in (shown, caplog.text, files.decode(), repr(llm()), llm().model_dump_json()):
        assert KEY not in text
    assert set(server.keys) == {f"Bearer {KEY}"}

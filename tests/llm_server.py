"""An OpenAI-compatible server on the loopback for captions: scripted, real HTTP, batches too.

`python -m tests.llm_server --latency 1` serves until it is ended, for benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Reply:
    """What the server sends back for one request.

    `drop` closes the connection without a word; `raw` is sent instead of a chat completion.
    """

    content: str | None = None
    finish_reason: str = "stop"
    refusal: str | None = None
    status: int = 200
    raw: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drop: bool = False
    usage: bool = True


def error(status: int, message: str, code: str = "", **headers: str) -> Reply:
    """An error as OpenAI words it."""
    raw = json.dumps({"error": {"message": message, "code": code}})
    return Reply(
        status=status, raw=raw, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def caption_of(body: dict[str, Any]) -> str:
    """The caption that a request is about."""
    return str(_asked(body)).partition("\nCaption: ")[2]


def _asked(body: dict[str, Any]) -> str:
    users = [m["content"] for m in body["messages"] if m["role"] == "user"]
    return str(users[0])


def times_of(body: dict[str, Any]) -> tuple[float, float]:
    """Start and end of the caption that a request is about."""
    found = re.search(r"Time of the caption: (\S+) to (\S+) s", _asked(body))
    assert found, body
    return float(found[1]), float(found[2])


def event_numbers(body: dict[str, Any]) -> list[tuple[int, float, float]]:
    """The given events of a request: number, start and end of the first segment."""
    found = re.findall(r'(\d+): "[^"]*", (\S+) to (\S+) s', _asked(body))
    return [(int(number), float(a), float(b)) for number, a, b in found]


def good_answer(body: dict[str, Any]) -> str:
    """A right answer: the first two words of the caption sound all the time."""
    start_s, end_s = times_of(body)
    times = {"start_s": start_s, "end_s": end_s}
    given = event_numbers(body)
    evidence = " ".join(caption_of(body).split()[:2])
    name = re.sub(r"\W", "", evidence.split()[-1]).lower()

    def thing(pair: dict[str, float]) -> dict[str, Any]:
        return {
            "evidence": evidence, "name": name, "audibility": "visible_and_audible", "count": 1,
            "is_group": False, "sounding": [pair], "confidence": 0.9,
        }  # fmt: skip

    events: list[dict[str, Any]] = [
        {
            "event": number,
            "label": None,
            "segments": [],
            "objects": [thing({"start_s": a, "end_s": b})],
        }
        for number, a, b in given
    ]
    if not given:
        events = [
            {"event": None, "label": f"{name} sounding", "segments": [times],
             "objects": [thing(times)]}
        ]  # fmt: skip
    return json.dumps({"events": events})


@dataclass
class LlmServer:
    """What the server does and saw; changed by tests while it runs.

    Attributes:
        answer: gives the reply to a request; default: a right answer.
        first: replies before that, in order, whatever is asked.
        formats: response formats that it takes; others are a 400.
        limit: requests that it takes within `limit_s`; more are a 429 with Retry-After.
        requests: bodies, `times` when they came (monotonic), `keys` their Authorization headers.
        over_limit: how many requests it had to refuse.
        batch_answer: as `answer`, for lines of a batch; None as a reply: the line expires.
        batch_status: what a batch says of itself when it is looked at.
        hold_at: at this moment of a batch the server says nothing more, and `held` is set.
    """

    answer: Callable[[dict[str, Any]], Reply] = lambda body: Reply(good_answer(body))
    first: deque[Reply] = field(default_factory=deque)
    formats: tuple[str, ...] = ("json_schema", "json_object")
    latency_s: float = 0.0
    limit: int | None = None
    limit_s: float = 1.0
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    over_limit: int = 0
    most_at_once: int = 0
    open_now: int = 0
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch_answer: Callable[[dict[str, Any]], Reply | None] = lambda body: Reply(good_answer(body))
    batch_status: str = "completed"
    hold_at: str = ""
    held: threading.Event = field(default_factory=threading.Event)

    @property
    def captions(self) -> list[str]:
        """What was asked about, in the order in which it came."""
        return [caption_of(body) for body in self.requests]

    # Live requests

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.times.append(time.monotonic())
        self.keys.append(request.headers.get("Authorization"))
        self.open_now += 1
        self.most_at_once = max(self.most_at_once, self.open_now)
        try:
            reply = self._reply(body)
            await asyncio.sleep(self.latency_s + reply.delay_s)
        finally:
            self.open_now -= 1
        if reply.drop:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        return web.Response(
            status=reply.status, text=sent(reply, body), headers=reply.headers,
            content_type="application/json",
        )  # fmt: skip

    def _reply(self, body: dict[str, Any]) -> Reply:
        if self.limit is not None:
            recent = [t for t in self.times[:-1] if t > self.times[-1] - self.limit_s]
            if len(recent) >= self.limit:
                self.over_limit += 1
                return error(429, "slow down", Retry_After=str(self.limit_s))
        if self.first:
            return self.first.popleft()
        kind = body.get("response_format", {"type": "text"})["type"]
        if kind not in (*self.formats, "text"):
            return error(400, f"response_format {kind} is not supported")
        return self.answer(body)

    # Batches

    async def _hold(self, moment: str) -> None:
        if moment == self.hold_at:
            self.held.set()
            while self.hold_at:
                await asyncio.sleep(0.01)
            raise ConnectionResetError("whoever asked was killed")

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = file.file.read().decode()
        await self._hold("uploaded")
        return web.json_response({"id": file_id, "object": "file", "bytes": 1, "created_at": 0,
                                  "filename": file.filename, "purpose": "batch",
                                  "status": "processed"})  # fmt: skip

    async def content(self, request: web.Request) -> web.Response:
        await self._hold("asked for its answers")
        return web.Response(text=self.files[request.match_info["file"]])

    async def create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        batch_id = f"batch-{len(self.batches)}"
        self.batches[batch_id] = {
            "id": batch_id, "object": "batch", "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"], "completion_window": "24h",
            "status": "in_progress", "created_at": int(time.time()),
            "metadata": asked.get("metadata"),
        }  # fmt: skip
        await self._hold("created")
        return web.json_response(self.batches[batch_id])

    async def list(self, request: web.Request) -> web.Response:
        rows = list(reversed(self.batches.values()))
        return web.json_response({"object": "list", "data": rows, "has_more": False})

    async def retrieve(self, request: web.Request) -> web.Response:
        await self._hold("asked for its state")
        batch = self.batches[request.match_info["batch"]]
        if batch["status"] == "in_progress":
            batch["status"] = self.batch_status
            if self.batch_status in ("completed", "expired"):
                self._work_off(batch)
        return web.json_response(batch)

    def _work_off(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            asked = json.loads(line)
            reply = self.batch_answer(asked["body"])
            if reply is None:
                bad.append({"id": "r", "custom_id": asked["custom_id"], "response": None,
                            "error": {"code": "batch_expired", "message": "expired"}})  # fmt: skip
                continue
            body = json.loads(sent(reply, asked["body"]))
            row = {"id": "r", "custom_id": asked["custom_id"], "error": None,
                   "response": {"status_code": reply.status, "body": body}}  # fmt: skip
            (good if reply.status == 200 else bad).append(row)
        for name, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                file_id = f"file-{len(self.files)}"
                self.files[file_id] = "\n".join(map(json.dumps, rows)) + "\n"
                batch[name] = file_id

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/files", self.upload)
        app.router.add_get("/v1/files/{file}/content", self.content)
        app.router.add_post("/v1/batches", self.create)
        app.router.add_get("/v1/batches", self.list)
        app.router.add_get("/v1/batches/{batch}", self.retrieve)
        return app


def sent(reply: Reply, body: dict[str, Any]) -> str:
    """The text of a reply."""
    if reply.raw is not None:
        return reply.raw
    message = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
    said: dict[str, Any] = {
        "id": "c", "object": "chat.completion", "created": 0, "model": body["model"],
        "choices": [choice],
    }  # fmt: skip
    if reply.usage:
        # About 5 bytes a token: not what an estimate assumes, so that it has something to learn.
        tokens = sum(len(str(m["content"])) for m in body["messages"]) // 5
        said["usage"] = {
            "prompt_tokens": tokens, "completion_tokens": len(reply.content or "") // 4,
            "total_tokens": 0, "prompt_tokens_details": {"cached_tokens": tokens // 2},
        }  # fmt: skip
    return json.dumps(said)


@contextmanager
def serving(server: LlmServer | None = None) -> Iterator[LlmServer]:
    """Serve in a thread until the block ends."""
    server = server or LlmServer()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main() -> None:
    """Serve until ended; print the address first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=1.0)
    server = LlmServer(latency_s=parser.parse_args().latency)
    with serving(server):
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()

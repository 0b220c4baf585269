"""The Batch API: many requests in one file, half the price, answers within a day.

Takes requests that the cache misses; gives which of them wait. A batch is noted in the workspace
before it is made and carries the digest of its requests, so that a killed run finds its own again
instead of paying for another. Answers go into the same request cache as live ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from openai.types import Batch
from pydantic import Field

from earshot.schemas.base import Frozen, digest_of
from earshot.store.requests import RequestStore
from earshot.store.workspace import write_atomic
from earshot.tasks.llm.ask import Ask
from earshot.tasks.llm.dialect import Dialect
from earshot.tasks.llm.money import budget_message, check_budget, cost_usd, worst_usd
from earshot.tasks.llm.reply import error_text, shorten, usage_of
from earshot.tasks.llm.session import Session

MAX_REQUESTS, MAX_BYTES = 50_000, 100_000_000
MAX_ROUNDS = 4
"""In so many batches may one request come back without an answer before it is given up."""
_METADATA = "earshot_requests"
_OVER = frozenset({"completed", "expired", "cancelled", "failed"})
_LOOK_BACK = 500


class BatchNote(Frozen):
    """One batch as the workspace knows it."""

    digest: str = Field(description="of its requests; also in the batch's metadata")
    step: str
    model: str
    keys: dict[str, int] = Field(description="key of each request, and its bytes of text")
    worst: dict[str, float] = Field(description="the most that each may cost, in USD")
    dialect: dict[str, Any]
    has_sound: bool = Field(False, description="some of its requests have sound")
    batch_id: str | None = Field(None, description="null: about to be made")
    status: Literal["open", "over"] = "open"
    ended_as: str | None = None
    at: datetime


@dataclass(frozen=True)
class Standing:
    """What became of some requests.

    Attributes:
        waiting: keys that are in a batch which is not over, and which one.
        given_up: keys without an answer after `MAX_ROUNDS` batches, with the last reason.
        unpaid: keys that the budget does not reach, with the reason.
    """

    waiting: Mapping[str, str]
    given_up: Mapping[str, str]
    unpaid: Mapping[str, str]


def has_open_batches(folder: Path) -> bool:
    """Whether any batch of a folder of requests is not over."""
    return any(note.status == "open" for note in _notes(folder))


class Batches:
    """The batches of one workspace at one endpoint.

    Args:
        session: the endpoint.
        folder: of the request cache.
    """

    def __init__(self, session: Session, folder: Path) -> None:
        self._session = session
        self._store: RequestStore = session.store
        self._folder = folder

    async def collect(self, keys: Iterable[str]) -> None:
        """Take into the cache what batches that hold any of these keys have to give.

        Raises:
            EndpointError: if the endpoint refuses or does not answer.
            WorkspaceError: when the disk fails.
        """
        wanted = set(keys)
        async with self._session.batching:
            for note in _notes(self._folder):
                if note.status == "open" and wanted & note.keys.keys():
                    await self._collect(note)

    async def send(
        self, asks: Mapping[str, Ask], rounds: int = MAX_ROUNDS, *, may_create: bool = True
    ) -> Standing:
        """Put requests into batches, those that are in none yet, and say where all stand.

        Args:
            asks: requests by key, none of them in the cache.
            rounds: after so many batches without an answer a request is given up.
            may_create: whether new batches are made; without, only `waiting` and `given_up` are
                told.
        """
        async with self._session.batching:
            return await self._send(asks, rounds, may_create=may_create)

    async def _send(self, asks: Mapping[str, Ask], rounds: int, *, may_create: bool) -> Standing:
        notes = _notes(self._folder)
        waiting = {
            key: note.batch_id or ""
            for note in notes
            if note.status == "open"
            for key in note.keys
            if key in asks
        }
        given_up = self._given_up(notes, asks, rounds)
        unpaid: dict[str, str] = {}
        fresh: dict[str, Ask] = {}
        reserved = 0.0
        for key, ask in asks.items():
            if key in waiting or key in given_up or not may_create:
                continue
            worst = worst_usd(self._session.llm.price, ask, "batch")
            if check_budget(self._session.llm, self._store, reserved + worst):
                fresh[key] = ask
                reserved += worst
            else:
                unpaid[key] = budget_message(self._session.llm, self._store, worst)
        for piece in _pieces(fresh, self._session.dialect):
            batch_id = await self._create(piece)
            waiting.update(dict.fromkeys(piece, batch_id))
        return Standing(waiting, given_up, unpaid)

    def _given_up(
        self, notes: Sequence[BatchNote], asks: Mapping[str, Ask], rounds: int
    ) -> dict[str, str]:
        tries: dict[str, list[str]] = {}
        for note in notes:
            if note.status == "over":
                for key in note.keys.keys() & asks.keys():
                    tries.setdefault(key, []).append(note.ended_as or "")
        return {
            key: f"no answer in {len(ends)} batches, the last ended as {ends[-1]!r}"
            for key, ends in tries.items()
            if len(ends) >= rounds
        }

    # One batch

    async def _create(self, asks: Mapping[str, Ask]) -> str:
        session = self._session
        first = next(iter(asks.values()))
        digest = digest_of(sorted(asks))
        note = BatchNote(
            digest=digest,
            step=first.step,
            model=first.model,
            keys={key: ask.text_bytes for key, ask in asks.items()},
            worst={key: worst_usd(session.llm.price, ask, "batch") for key, ask in asks.items()},
            dialect=vars(session.dialect),
            has_sound=any(ask.has_sound for ask in asks.values()),
            at=datetime.now(UTC),
        )
        self._keep(note)
        data = b"".join(_line(key, ask, session.dialect) for key, ask in asks.items())
        name = f"earshot-{digest[:16]}.jsonl"
        client = session.endpoint.client
        file = await session.request(
            lambda: client.files.create(file=(name, data), purpose="batch"), "uploading a batch"
        )
        batch = await session.request(
            lambda: client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_METADATA: digest},
            ),
            "creating a batch",
        )
        self._sent(note, batch.id)
        return batch.id

    def _sent(self, note: BatchNote, batch_id: str) -> BatchNote:
        note = note.model_copy(update={"batch_id": batch_id})
        self._keep(note)
        for key in note.keys:
            if not self._store.is_open(key):
                self._store.sent(key, note.worst[key], "batch")
        return note

    async def _collect(self, note: BatchNote) -> None:
        session, client = self._session, self._session.endpoint.client
        if note.batch_id is None:
            found = await self._lost(note)
            if found is None:  # killed before it was made: nothing is paid
                self._file(note).unlink(missing_ok=True)
                return
            note = self._sent(note, found)
        batch_id = str(note.batch_id)
        batch = await session.request(
            lambda: client.batches.retrieve(batch_id), "looking at a batch"
        )
        if batch.status not in _OVER:
            return
        answered: set[str] = set()
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is not None:
                answered |= self._take(note, await self._downloaded(note, file_id))
        for key in note.keys.keys() - answered:
            self._store.fault(key, f"batch_{batch.status}")
        ended = {"status": "over", "ended_as": f"{batch.status}{_why(batch)}"}
        self._keep(note.model_copy(update=ended))

    async def _lost(self, note: BatchNote) -> str | None:
        """Return the batch that a killed run made before it could note its id, if it did."""
        known = {each.batch_id for each in _notes(self._folder)}
        client = self._session.endpoint.client

        async def look() -> str | None:
            seen = 0
            async for batch in client.batches.list(limit=100):
                if (batch.metadata or {}).get(_METADATA) == note.digest and batch.id not in known:
                    return batch.id
                seen += 1
                if seen >= _LOOK_BACK:
                    break
            return None

        return await self._session.request(look, "looking for a batch")

    async def _downloaded(self, note: BatchNote, file_id: str) -> str:
        """Return a file of answers, kept as it came before anything of it is read."""
        client = self._session.endpoint.client
        kept = self._folder / "batches" / f"{note.batch_id}-{file_id}.jsonl"
        if not kept.exists():
            response = await self._session.request(
                lambda: client.files.content(file_id), "fetching a batch's answers"
            )
            write_atomic(kept, response.content)
        return kept.read_text(encoding="utf-8")

    def _take(self, note: BatchNote, text: str) -> set[str]:
        """Put the answers of a file into the cache; return the keys that have one now."""
        taken: set[str] = set()
        for line in text.splitlines():
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                said = json.loads(line)
                key, response = said["custom_id"], said.get("response") or {}
                if key not in note.keys:
                    continue
                status = int(response.get("status_code") or 0)
                body = json.dumps(response.get("body"), ensure_ascii=False)
                if self._answer(note, key, status, body):
                    taken.add(key)
        return taken

    def _answer(self, note: BatchNote, key: str, status: int, body: str) -> bool:
        if key in self._store:  # a run was killed while it collected
            return True
        dialect = Dialect(**note.dialect)
        if status == 200:
            self._session.learn_dialect(dialect)
            usage, price = usage_of(body), self._session.llm.price
            cost = cost_usd(price, usage, "batch")
            self._store.answer(
                key, body, step=note.step, model=note.model, usage=usage, mode="batch",
                cost_usd=note.worst[key] if cost is None and price else cost,
                sent_bytes=note.keys[key],
            )  # fmt: skip
            return True
        if status not in (400, 413, 422):
            return False
        is_fixed = self._session.llm.response_format != "auto"
        weaker = dialect.weaker(body, is_fixed=is_fixed, has_sound=note.has_sound)
        if weaker is not None:
            if self._session.dialect == dialect:
                self._session.learn_dialect(weaker)
            return False
        self._store.answer(
            key, body, step=note.step, model=note.model, status=status, mode="batch", cost_usd=0.0
        )
        return True

    # Notes

    def _file(self, note: BatchNote) -> Path:
        stamp = f"{note.at:%Y%m%dT%H%M%S%f}"
        return self._folder / "batches" / f"{stamp}-{note.digest[:16]}.json"

    def _keep(self, note: BatchNote) -> None:
        write_atomic(self._file(note), note.model_dump_json().encode())


def _notes(folder: Path) -> list[BatchNote]:
    """Return the notes of all batches, the oldest first."""
    files = sorted((folder / "batches").glob("[0-9]*.json"))
    return [BatchNote.model_validate_json(file.read_bytes()) for file in files]


def _line(key: str, ask: Ask, dialect: Dialect) -> bytes:
    said = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps(said).encode()[:-1] + b', "body": ' + ask.body(dialect) + b"}\n"


def _pieces(asks: Mapping[str, Ask], dialect: Dialect) -> list[dict[str, Ask]]:
    """Cut requests into files that the API takes."""
    pieces: list[dict[str, Ask]] = []
    size = MAX_BYTES
    for key, ask in asks.items():
        length = len(_line(key, ask, dialect))
        if size + length > MAX_BYTES or len(pieces[-1]) >= MAX_REQUESTS:
            pieces.append({})
            size = 0
        pieces[-1][key] = ask
        size += length
    return pieces


def _why(batch: Batch) -> str:
    errors = (batch.errors.data if batch.errors else None) or []
    said = "; ".join(shorten(error_text({"error": error.to_dict()}, "")) for error in errors[:3])
    return f" ({said})" if said else ""

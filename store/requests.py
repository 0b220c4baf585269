"""The request cache: every answer that a language model gave, raw, under the digest of its request.

Lies below the stages, in `requests/*.jsonl` of the workspace: append-only, one file a process, one
line an event (`sent`, `answer`, `fault`), each written in one piece before anyone reads it for
meaning. A torn last line, as a killed process leaves it, is a miss. Knows nothing of any client.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from earshot.errors import WorkspaceError
from earshot.store.workspace import disk_fault, place

Mode = Literal["live", "batch"]
_SYNC_S = 1.0


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer, as the endpoint counts them; `cached` of the `input` cost less."""

    input: int
    output: int
    cached: int = 0


@dataclass(frozen=True)
class Kept:
    """One answer as it was kept: the endpoint's body, unchanged.

    Attributes:
        status: HTTP status; a 400 is an answer too: the endpoint refuses this request for good.
        usage: None where the endpoint does not say.
        cost_usd: None where the price is not known.
    """

    key: str
    status: int
    body: str
    usage: Usage | None
    cost_usd: float | None


@dataclass
class Totals:
    """What the answers of one step and model came to: what an estimate can learn from."""

    calls: int = 0
    sent_bytes: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    outputs: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class RequestCounts:
    """What a process sent: requests, those of them that an earlier process had in flight, answers.

    `faults` counts requests that came back without an answer, by reason.
    """

    sent: int
    repeated: int
    answered: int
    faults: dict[str, int]

    def __sub__(self, before: RequestCounts) -> RequestCounts:
        """What came on top since then."""
        faults = {why: n - before.faults.get(why, 0) for why, n in self.faults.items()}
        return RequestCounts(
            self.sent - before.sent,
            self.repeated - before.repeated,
            self.answered - before.answered,
            {why: n for why, n in faults.items() if n},
        )

    @property
    def line(self) -> str:
        """The counts for people."""
        said = [f"{self.sent} sent", f"{self.answered} answered"]
        if self.repeated:
            said.append(f"{self.repeated} repeated that were in flight when a run was stopped")
        said += [f"{number} came back with {why}" for why, number in sorted(self.faults.items())]
        return ", ".join(said)


@dataclass(frozen=True)
class _Place:
    file: Path
    start: int
    length: int


class RequestStore:
    """The request cache of one workspace; for many threads, and beside other processes.

    Attributes:
        settled_usd: what the answers cost, and the worst that lost requests may have cost.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settled_usd = 0.0
        self._own_counts: Counter[str] = Counter()
        self._own_faults: Counter[str] = Counter()
        self._places: dict[str, _Place] = {}
        self._open: dict[str, float] = {}
        self._over: dict[str, str] = {}
        self._totals: dict[tuple[str, str], Totals] = {}
        self._read: dict[Path, int] = {}
        self._handles: dict[Path, int] = {}
        self._own: Path | None = None
        self._synced = 0.0
        self._lock = threading.RLock()
        self.refresh()

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        """Whether a request has an answer."""
        return key in self._places

    @property
    def is_gone(self) -> bool:
        """Whether the files that were read or written are there no more."""
        return bool(self._read) and not self.folder.exists()

    @property
    def open_usd(self) -> float:
        """The worst that all requests in flight may cost."""
        with self._lock:
            return sum(self._open.values())

    @property
    def booked_usd(self) -> float:
        """What is spent, and what may become spent."""
        return self.settled_usd + self.open_usd

    def refresh(self) -> None:
        """Read what other processes appended since the last time."""
        with self._lock:
            for file in sorted(self.folder.glob("*.jsonl")):
                for start, line in self._new_lines(file):
                    self._take(file, start, line)

    def get(self, key: str) -> Kept | None:
        """Return the answer to a request, or None."""
        found = self._places.get(key)
        if found is None:
            return None
        line = os.pread(self._handle(found.file), found.length, found.start)
        return _kept(json.loads(line.decode("utf-8", "surrogatepass")))

    def is_open(self, key: str) -> bool:
        """Whether a request was sent and has neither answer nor fault."""
        return key in self._open

    def totals(self, step: str, model: str) -> Totals:
        """Return what the answers so far came to."""
        with self._lock:
            return self._totals.get((step, model), Totals())

    def sent(self, key: str, worst_usd: float, mode: Mode = "live") -> None:
        """Note that a request leaves, before it does, with the worst that it may cost.

        Raises:
            WorkspaceError: when the disk is full, read-only or forbidden.
        """
        self._append({"kind": "sent", "key": key, "worst_usd": worst_usd, "mode": mode})

    def answer(
        self,
        key: str,
        body: str,
        *,
        step: str,
        model: str,
        status: int = 200,
        usage: Usage | None = None,
        cost_usd: float | None = None,
        sent_bytes: int = 0,
        mode: Mode = "live",
    ) -> Kept:
        """Keep an answer.

        Raises:
            WorkspaceError: when the disk is full, read-only or forbidden.
        """
        said = {
            "kind": "answer",
            "key": key,
            "step": step,
            "model": model,
            "mode": mode,
            "status": status,
            "usage": vars(usage) if usage else None,
            "cost_usd": cost_usd,
            "sent_bytes": sent_bytes,
            "body": body,
        }
        self._append(said)
        return _kept(said)

    def fault(self, key: str, why: str, cost_usd: float = 0.0) -> None:
        """Note that a request came back without an answer; `cost_usd`: what it may have cost.

        Raises:
            WorkspaceError: when the disk is full, read-only or forbidden.
        """
        self._append({"kind": "fault", "key": key, "why": why, "cost_usd": cost_usd})

    def counts(self) -> RequestCounts:
        """Return what this process sent."""
        own = self._own_counts
        return RequestCounts(
            own["sent"], own["repeated"], own["answer"], dict(sorted(self._own_faults.items()))
        )

    def close(self) -> None:
        """Close the files; the store opens them again when it is used."""
        with self._lock:
            if self._own is not None:
                os.fdatasync(self._handles[self._own])
            for handle in self._handles.values():
                os.close(handle)
            self._handles.clear()
            self._own = None

    # Lines

    def _append(self, said: dict[str, Any]) -> None:
        said["at"] = datetime.now(UTC).isoformat(timespec="microseconds")
        line = json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        with self._lock:
            file = self._own or self._new_file()
            try:
                written = os.write(self._handles[file], line)
            except OSError as error:
                raise disk_fault(file, error) from error
            self._sync(self._handles[file])
            start, self._read[file] = self._read[file], self._read[file] + written
            if written != len(line):
                self._own = None  # its last line is torn: nothing may follow it
                raise WorkspaceError(
                    f"can't write {file}: {written} of {len(line)} bytes; free some space, then "
                    "run the same command again"
                )
            self._count(said)
            self._take(file, start, line, said)

    def _count(self, said: dict[str, Any]) -> None:
        self._own_counts[said["kind"]] += 1
        if said["kind"] == "sent" and said["key"] in self._open:
            self._own_counts["repeated"] += 1
        if said["kind"] == "fault":
            self._own_faults[said["why"]] += 1

    def _sync(self, handle: int) -> None:
        """Bring answers to the disk once a second: a power cut costs a second's, a kill none."""
        if time.monotonic() - self._synced > _SYNC_S:
            os.fdatasync(handle)
            self._synced = time.monotonic()

    def _new_file(self) -> Path:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{place()}-{os.getpid()}-{secrets.token_hex(4)}"
        file = self.folder / f"{name}.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._handles[file] = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise disk_fault(file, error) from error
        self._read[file] = 0
        self._own = file
        return file

    def _handle(self, file: Path) -> int:
        with self._lock:
            if file not in self._handles:
                self._handles[file] = os.open(file, os.O_RDONLY)
            return self._handles[file]

    def _new_lines(self, file: Path) -> Iterator[tuple[int, bytes]]:
        start = self._read.get(file, 0)
        if file == self._own or file.stat().st_size <= start:
            return
        with file.open("rb") as stream:
            stream.seek(start)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._read[file] = start + len(line)
                yield start, line
                start += len(line)

    def _take(
        self, file: Path, start: int, line: bytes, said: dict[str, Any] | None = None
    ) -> None:
        said = said or json.loads(line)
        key = said["key"]
        if said["kind"] == "sent":
            # Files are read one after the other: what came back may stand before what was sent.
            if said["at"] < self._over.get(key, ""):
                return
            if key in self._open:  # whoever sent it before died, and may have to pay for it
                self.settled_usd += self._open[key]
            self._open[key] = said["worst_usd"]
            return
        self._open.pop(key, None)
        self._over[key] = max(said["at"], self._over.get(key, ""))
        self.settled_usd += said["cost_usd"] or 0.0
        if said["kind"] == "fault":
            return
        self._places[key] = _Place(file, start, len(line))
        if (usage := said["usage"]) is not None and said["status"] == 200:
            total = self._totals.setdefault((said["step"], said["model"]), Totals())
            total.calls += 1
            total.sent_bytes += said["sent_bytes"]
            total.input_tokens += usage["input"]
            total.cached_tokens += usage["cached"]
            total.outputs.append(usage["output"])


def _kept(said: dict[str, Any]) -> Kept:
    usage = said["usage"]
    return Kept(
        said["key"],
        said["status"],
        said["body"],
        Usage(**usage) if usage else None,
        said["cost_usd"],
    )


_STORES: dict[Path, RequestStore] = {}
_STORES_LOCK = threading.Lock()


def request_store(folder: Path) -> RequestStore:
    """Return the process's one store of a folder, with what others wrote meanwhile."""
    with _STORES_LOCK:
        store = _STORES.get(folder)
        if store is None or store.is_gone:
            if store is not None:
                store.close()
            store = _STORES[folder] = RequestStore(folder)
            return store
    store.refresh()
    return store

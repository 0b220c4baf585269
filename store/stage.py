"""The stage protocol: what a step declares, takes and gives (CONTRACTS 9).

A stage is a function over a batch of videos that says for each what became of it. It never reads
or writes the workspace: the runner hands it the declared fields and stores what it returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exception
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from earshot.errors import ItemError
from earshot.places import without_secrets
from earshot.schemas.base import Record
from earshot.schemas.config import FetchConfig, LlmConfig, Section
from earshot.schemas.ledger import ItemKind, Status
from earshot.schemas.manifest import ManifestEntry

R = TypeVar("R", bound=Record)
C = TypeVar("C", bound=Section)


@dataclass(frozen=True)
class Reads:
    """A table that a stage reads.

    Attributes:
        kind: the record class.
        fields: what the stage's key depends on; `digest` stands for the whole row.
        beside: fields that the stage may use and that change nothing about its result, such as
            the place of a file whose sha256 is among `fields`.
    """

    kind: type[Record]
    fields: tuple[str, ...]
    beside: tuple[str, ...] = ()


class StageInput:
    """What one video brings into a stage: the rows of the declared tables.

    Reading a field that the stage did not declare raises AttributeError: it would make results
    depend on something that their key does not know. `attempt` counts the tries of this video under
    this key, from 1: what failed on the first may be asked again on the second.
    """

    def __init__(
        self, video_id: str, rows: Mapping[type[Record], Sequence[Record]], attempt: int = 1
    ) -> None:
        self.video_id = video_id
        self.attempt = attempt
        self._rows = rows

    def all(self, kind: type[R]) -> list[R]:
        """Return the video's rows of a table, sorted by their key."""
        return list(self._rows[kind])  # type: ignore[arg-type]

    def one(self, kind: type[R]) -> R:
        """Return the video's only row of a table."""
        (row,) = self.all(kind)
        return row


@dataclass(frozen=True)
class Item:
    """What became of one item (a caption, an event, an object, a tube, a question) of a video."""

    item_id: str
    status: Status = "done"
    reason_code: str | None = None
    message: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one video in a stage; use one of the sub-classes."""

    status: ClassVar[Status]
    video_id: str
    items: tuple[Item, ...] = ()
    tokens: int | None = None
    cost_usd: float | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """Rows to store; only `Done` and `Waiting` have any."""
        return ()


@dataclass(frozen=True)
class Done(Outcome):
    """The stage is through with the video; `rows` may be empty, with `reason_code` `empty`."""

    status: ClassVar[Status] = "done"
    rows: tuple[Record, ...] = ()
    reason_code: str | None = None
    message: str | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """Rows to store."""
        return self.rows


@dataclass(frozen=True)
class _Reasoned(Outcome):
    reason_code: str = ""
    message: str = ""
    value: str | None = None


@dataclass(frozen=True)
class Filtered(_Reasoned):
    """A rule leaves the video out; later stages don't see it."""

    status: ClassVar[Status] = "filtered"


@dataclass(frozen=True)
class Rejected(_Reasoned):
    """A person or the automatic inspector rejected the video; later stages don't see it."""

    status: ClassVar[Status] = "rejected"


@dataclass(frozen=True)
class Quarantined(_Reasoned):
    """A fault stopped the video; `traceback` is kept in a file of the workspace."""

    status: ClassVar[Status] = "quarantined"
    traceback: str | None = None

    @classmethod
    def by(cls, fault: ItemError, video_id: str) -> Self:
        """Return what a fault makes of a video: its code, message and value, its traceback too."""
        return cls(
            video_id,
            reason_code=fault.code,
            message=str(fault),
            value=fault.value,
            traceback=without_secrets("".join(format_exception(fault))),
        )


@dataclass(frozen=True)
class Waiting(_Reasoned):
    """The video waits for people or for a batch answer; asked again by the next build."""

    status: ClassVar[Status] = "waiting"
    rows: tuple[Record, ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """Rows to store."""
        return self.rows


@dataclass(frozen=True)
class Digests:
    """What besides code, config and input decides a stage's result."""

    prompt: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Estimate:
    """What some videos will cost in a stage, before it runs.

    `usd` lies between `usd_low` and `usd_high`; `basis` says in words what the estimate rests on.
    """

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    frames: int = 0
    detector_frames: int = 0
    gpu_s: float = 0.0
    annotator_s: float = 0.0
    usd_low: float = 0.0
    usd_high: float = 0.0
    basis: str = ""

    def __add__(self, other: Estimate) -> Estimate:
        """Sum of two estimates."""
        return Estimate(
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
            self.frames + other.frames,
            self.detector_frames + other.detector_frames,
            self.gpu_s + other.gpu_s,
            self.annotator_s + other.annotator_s,
            self.usd_low + other.usd_low,
            self.usd_high + other.usd_high,
            self.basis or other.basis,
        )

    def scaled(self, factor: float, basis: str) -> Estimate:
        """Return `factor` times as much, with `basis` before what is said already."""
        return Estimate(
            round(self.calls * factor),
            round(self.tokens * factor),
            self.usd * factor,
            round(self.frames * factor),
            round(self.detector_frames * factor),
            self.gpu_s * factor,
            self.annotator_s * factor,
            self.usd_low * factor,
            self.usd_high * factor,
            f"{basis}; {self.basis}" if self.basis else basis,
        )


@dataclass(frozen=True)
class StageContext:
    """Where a stage finds what is not in tables.

    Attributes:
        input_base: folder or URL that the manifest's relative uris start from.
        cache: folder for fetched media and digests.
        limit_s: wall limit of a child process for one video or frame; in no key.
        fetch: how remote media are brought here; in no key.
        llm: the language model for stages that ask one; what of it belongs to a key is for their
            `digests` to say.
        requests: folder of the request cache; None where no model can be asked.
    """

    input_base: str
    cache: Path
    limit_s: float = 120.0
    fetch: FetchConfig = field(default_factory=FetchConfig)
    llm: LlmConfig = field(default_factory=LlmConfig)
    requests: Path | None = None


class Stage(ABC, Generic[C]):
    """One step of the pipeline.

    Class attributes:
        name: as in tables, ledger and CLI.
        version: changes by hand whenever code, prompt or records change what comes out.
        section: the part of `Config` that the stage gets, and nothing else of it.
        reads, writes: tables in and out.
        item_kind: the kind of item that `items` accounts for beside the video; None where the
            video itself is the item.
        batch: which batch size of `RunConfig` applies.
        outside_waits: `outside` asks slow places of nothing but the manifest: many are asked at
            once, in threads.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    section: ClassVar[str]
    reads: ClassVar[tuple[Reads, ...]]
    writes: ClassVar[tuple[type[Record], ...]]
    item_kind: ClassVar[ItemKind | None] = None
    batch: ClassVar[Literal["batch_size", "track_batch_size"]] = "batch_size"
    outside_waits: ClassVar[bool] = False

    def __init__(self, config: C, context: StageContext) -> None:
        self.config = config
        self.context = context

    def digests(self) -> Digests:
        """Digests of the prompt and of the model weights, where there are any."""
        return Digests()

    def keyed_config(self) -> dict[str, Any]:
        """What of the configuration belongs to the key: JSON values.

        A path does not where `digests` or `outside` tell what lies there: a moved file is the same.
        """
        return self.config.model_dump(mode="json")

    def outside(self, given: StageInput) -> dict[str, Any]:
        """Facts from outside the tables that belong to the key (a file's sha256): JSON values."""
        return {}

    def outside_of_all(self) -> dict[str, Any] | None:
        """What `outside` returns of whatever video; None where each has to be asked."""
        return {} if type(self).outside is Stage.outside else None

    def items(self, given: StageInput) -> tuple[str, ...]:
        """Ids of `item_kind` in this video: the outcome has to account for each of them."""
        return ()

    @classmethod
    def is_on(cls, config: C) -> bool:  # noqa: ARG003 - hooks keep their signature
        """Whether the pipeline has this stage under a configuration."""
        return True

    @property
    def is_remote(self) -> bool:
        """Whether its work is done elsewhere: then it waits here, in no child with a time limit."""
        return False

    def ready(self) -> None:
        """Raise what keeps the stage from running at all, such as a missing key.

        Raises:
            EarshotError: with the remedy.
        """

    @abstractmethod
    def run(self, batch: Sequence[StageInput]) -> Iterator[Outcome]:
        """Yield one outcome for each video of the batch, in any order.

        An `ItemError` raised here quarantines the whole rest of the batch: catch what one video
        does and yield `Quarantined` for it.
        """

    def estimate(self, batch: Sequence[StageInput]) -> Estimate:
        """What the batch will cost; called by `plan`, so it opens no media and calls nobody."""
        return Estimate()

    def estimate_unseen(self, entries: Sequence[ManifestEntry]) -> Estimate:
        """At most what videos will cost whose input is not made yet, by the manifest alone."""
        return Estimate()

"""Training rows as the files of a trainer: one module a trainer, each with `write` (CONTRACTS 9).

Contents of messages are plain strings with tags: as parts with different keys, Arrow fills what is
missing with nulls, and chat templates then drop the question or count a video twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from earshot.schemas.training import DialectName, ExportConfig
from earshot.tasks.grpo.dialects import ms_swift, trl, verl
from earshot.tasks.grpo.dialects.made import Batch


@dataclass(frozen=True)
class Dialect:
    """A trainer's files.

    Attributes:
        write: takes batches of rows in order, the folder and the configuration; returns the names
            of the files written.
        adapter: module of `earshot.tasks.grpo.adapters` that stands beside the data.
    """

    write: Callable[[Iterable[Batch], Path, ExportConfig], list[str]]
    adapter: str


DIALECTS: Mapping[DialectName, Dialect] = MappingProxyType(
    {
        "verl": Dialect(verl.write, "reward_verl"),
        "ms-swift": Dialect(ms_swift.write, "reward_ms_swift"),
        "trl": Dialect(trl.write, "reward_trl"),
    }
)

"""Stage keys: what a video's result in a stage depends on, as one sha256.

A key is made of stage name, stage version, config section, prompt and model digests, and the
digests of the declared fields of the video's input rows. Such a digest is a *view*: it is computed
once, when the rows are committed, and lies beside them, so that a key costs two short hashes.
Takes records and digests; never touches a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from earshot.schemas.base import Record, canonical_json, digest_of, sha256_hex
from earshot.store.stage import Reads, Stage

VIEW_HEX = 32
"""Hex digits of a view's digest."""


class Key(NamedTuple):
    """A stage key with the parts it was made of."""

    key: str
    stage_version: str
    config_digest: str
    prompt_digest: str | None
    model_digest: str | None
    input_digest: str


class View(NamedTuple):
    """Fields of a table that some stage declares to read."""

    kind: type[Record]
    fields: tuple[str, ...]

    @classmethod
    def of(cls, reads: Reads) -> View:
        """Return the view that a stage declares; equal ones of several stages are one."""
        return cls(reads.kind, tuple(sorted(set(reads.fields))))

    @property
    def name(self) -> str:
        """Table and fields: where a declaration changes, no stored digest fits any more."""
        return f"{self.kind.TABLE}:{','.join(self.fields)}"

    def digest(self, records: Iterable[Record]) -> str:
        """Return the digest of a video's rows, in whatever order they come."""
        names = list(dict.fromkeys((*self.kind.KEY, *self.fields)))
        stored = {name for name in names if name != "digest"}
        rows = []
        for record in records:
            told: dict[str, Any] = record.model_dump(mode="json", include=stored)
            rows.append([record.digest if name == "digest" else told[name] for name in names])
        rows.sort(key=lambda row: row[: len(self.kind.KEY)])
        text = json.dumps(rows, separators=(",", ":"), allow_nan=False)
        return sha256_hex(text.encode())[:VIEW_HEX]


def views_of(stages: Sequence[Stage[Any]]) -> dict[str, tuple[View, ...]]:
    """Return, for each stage, the views that the stages declare of the tables it writes."""
    declared = sorted(
        {View.of(reads) for stage in stages for reads in stage.reads if reads.fields},
        key=lambda view: view.name,
    )
    return {
        stage.name: tuple(view for view in declared if view.kind in stage.writes)
        for stage in stages
    }


def hand_on(views: Sequence[View], records: Sequence[Record]) -> tuple[str, str]:
    """Return the names and the digests of some views of a video's new rows, as a state has them."""
    digests = [
        view.digest(record for record in records if type(record) is view.kind) for view in views
    ]
    return " ".join(view.name for view in views), "".join(digests)


@lru_cache(maxsize=4096)
def place_of(view_name: str, views: str) -> int:
    """Return where the digest of a view begins in a state's `view_digests`; -1: not there."""
    names = views.split(" ")
    return names.index(view_name) * VIEW_HEX if view_name in names else -1


class KeyMaker:
    """Makes the keys of one stage."""

    def __init__(self, stage: Stage[Any]) -> None:
        digests = stage.digests()
        config_digest = digest_of(stage.keyed_config())
        self.views = tuple(View.of(reads) for reads in stage.reads if reads.fields)
        self.made_of = (stage.version, config_digest, digests.prompt, digests.model)
        names = [view.name for view in self.views]
        self._begun = hashlib.sha256(canonical_json([stage.name, *self.made_of, names]))

    def key(self, digests: Iterable[str], outside: str = "") -> Key:
        """Return the key of a video.

        Args:
            digests: of `views`, in their order.
            outside: digest of what is not in tables.
        """
        return self.whole(self.many([[digest] for digest in digests], [outside])[0])

    def many(
        self, digests: Sequence[Sequence[str]], outside: Sequence[str]
    ) -> list[tuple[str, bytes]]:
        """Return the input digest and the key's 32 bytes of many videos.

        Args:
            digests: of `views`, in their order; in each, of the videos.
            outside: of each video, the digest of what is not in tables.
        """
        begun, sha256 = self._begun, hashlib.sha256
        made = []
        for told in zip(*digests, outside, strict=True):
            input_digest = sha256(" ".join(told).encode()).hexdigest()
            whole = begun.copy()
            whole.update(input_digest.encode())
            made.append((input_digest, whole.digest()))
        return made

    def whole(self, made: tuple[str, bytes]) -> Key:
        """Return one of `many` with the parts it was made of."""
        return Key(made[1].hex(), *self.made_of, made[0])

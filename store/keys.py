"""Stage keys: what a video's result in a stage depends on, as one sha256.

A key is made of stage name, stage version, config section, prompt and model digests, and the
digests of the declared fields of the video's input rows. Such a digest is a *view*: it is computed
once, when the rows are committed, and lies beside them, so that a key costs two short hashes.
Takes records and digests; never touches a file.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

    def many(
        self, digests: Sequence[NDArray[np.uint8]], outside: Sequence[str]
    ) -> tuple[bytes, bytes]:
        """Return the input digests and the keys of many videos, 32 bytes each, end to end.

        Args:
            digests: of `views`, in their order; in each, [n, 16], of the videos.
            outside: of each video the digest of what is not in tables, or empty of all.
        """
        # A hundred thousand texts a stage would cost more than their hashes.
        beside = np.frombuffer("".join(outside).encode(), np.uint8).reshape(len(outside), -1)
        space = np.full((len(outside), 1), ord(" "), np.uint8)
        told = [piece for each in digests for piece in (_hex(each), space)]
        texts = np.concatenate([*told, beside], axis=1)
        sha256, begun = hashlib.sha256, self._begun
        inputs = b"".join([sha256(text).digest() for text in _cut(texts)])
        keys = []
        for text in _cut(_hex(np.frombuffer(inputs, np.uint8).reshape(len(outside), -1))):
            whole = begun.copy()
            whole.update(text)
            keys.append(whole.digest())
        return inputs, b"".join(keys)

    def whole(self, input_digest: bytes, key: bytes) -> Key:
        """Return a key with the parts it was made of."""
        return Key(key.hex(), *self.made_of, input_digest.hex())


def _hex(digests: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the hex digits of digests, [n, bytes], as characters."""
    text = binascii.hexlify(np.ascontiguousarray(digests).data)
    return np.frombuffer(text, np.uint8).reshape(len(digests), -1)


def _cut(texts: NDArray[np.uint8]) -> Iterator[bytes]:
    whole, width = texts.tobytes(), texts.shape[1]
    return (whole[at : at + width] for at in range(0, len(whole), width or 1))

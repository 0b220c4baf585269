"""Why a step got no answer about a video; imports no client, so that any step may say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Trouble:
    """Why not all that is asked about one video is answered.

    One caption without an answer leaves the whole video out: what it names could sound, and silence
    would be a substitute.

    Attributes:
        status: `waiting` where a later build goes on by itself.
        code: reason code of the ledger.
        value: the raw answer, shortened.
        faults: {what is asked about, such as a caption_id: (code, message)}, where at fault.
    """

    status: Literal["quarantined", "waiting"]
    code: str
    message: str
    value: str | None = None
    faults: Mapping[str, tuple[str, str]] = field(default_factory=dict)

"""What users decide about quarantined videos: try again, or drop.

A decision is a small immutable file about exactly one state (stage, video, key, attempt): once the
video was computed again it speaks of nothing any more. Compaction leaves it valid.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Literal

from earshot.store.workspace import Workspace, write_atomic

Action = Literal["retry", "drop"]


@dataclass(frozen=True)
class Decision:
    """Retry or drop one quarantined state."""

    action: Action
    stage: str
    video_id: str
    key: str
    attempt: int


def decide(workspace: Workspace, decision: Decision) -> None:
    """Write a decision; the next build follows it."""
    # The name sorts by nothing on purpose: a later decision on one state overwrites the earlier.
    name = f"{decision.stage}-{decision.video_id}-{decision.key[:16]}-{decision.attempt}.json"
    write_atomic(workspace.quarantine / "decisions" / name, json.dumps(asdict(decision)).encode())


def read_decisions(workspace: Workspace) -> dict[tuple[str, str, str, int], Decision]:
    """Return all decisions by (stage, video_id, key, attempt)."""
    folder = workspace.quarantine / "decisions"
    decisions = {}
    for path in sorted(folder.glob("[!.]*.json")) if folder.exists() else ():
        decision = Decision(**json.loads(path.read_text()))
        at = (decision.stage, decision.video_id, decision.key, decision.attempt)
        decisions[at] = decision
    return decisions


def keep_traceback(workspace: Workspace, stage: str, video_id: str, text: str) -> str:
    """Write a traceback and return its path relative to the workspace."""
    path = workspace.quarantine / "tracebacks" / stage / f"{video_id}-{secrets.token_hex(4)}.txt"
    write_atomic(path, text.encode())
    return path.relative_to(workspace.root).as_posix()

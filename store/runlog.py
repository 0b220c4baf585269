"""The log of one run: JSON lines in the workspace, and listeners such as a progress bar.

Says what happened; decides nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from earshot.store.workspace import Workspace, disk_fault

Listener = Callable[[str, dict[str, Any]], None]
_LISTENERS: dict[str, list[Listener]] = {}


def listen_to(run_id: str, listener: Listener) -> None:
    """Call `listener(event, fields)` for every line of a run's log in this process from now on."""
    _LISTENERS.setdefault(run_id, []).append(listener)


class RunLog:
    """Writes `logs/<run_id>.jsonl`; every line has `at`, `event` and the event's own fields.

    Events: stage_started (total), part_committed, video_done (stage, video_id, status,
    reason_code, seconds; the video is committed), stage_finished, waiting_for_lease, run_finished.
    Listeners are also told `video_ran`, before the commit.
    """

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        self.path = workspace.logs / f"{run_id}.jsonl"
        self._run_id = run_id
        self._lock = threading.Lock()

    def write(self, event: str, **fields: Any) -> None:
        """Append one line and tell the listeners.

        Raises:
            WorkspaceError: when the disk is full, read-only or forbidden.
        """
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **fields,
        }
        with self._lock:
            self._tell(event, fields)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
            except OSError as error:
                raise disk_fault(self.path, error) from error

    def tell(self, event: str, **fields: Any) -> None:
        """Tell the listeners alone: nothing that a log has to hold."""
        with self._lock:
            self._tell(event, fields)

    def _tell(self, event: str, fields: dict[str, Any]) -> None:
        for listener in _LISTENERS.get(self._run_id, ()):
            listener(event, fields)

"""Stores what a trainer's model said, and what it was worth, while its rewards are computed.

Takes rows as reward functions are given them; appends JSON Lines of sample_id, completion and
reward to the folder that the variable EARSHOT_ROLLOUTS names, a file a process, as `earshot grpo
difficulty` reads them. Without the variable nothing is written.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from earshot.rewards.functions import Reward, score_once, text_of
from earshot.rewards.grammar import Task
from earshot.rewards.result import WEIGHTS

FOLDER = "EARSHOT_ROLLOUTS"


def store(sample_id: str | None, completion: object, reward: float) -> None:
    """Append one rollout, if the variable names a folder; what is no text is stored as null.

    A folder that can't be written to is warned of: training is worth more than its log.

    Raises:
        ValueError: the row has no sample_id, so that nobody could say whose rollout it is.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    if sample_id is None:
        raise ValueError(
            f"{FOLDER} is set and a row has no sample_id; keep that column of the export, or unset "
            "the variable"
        )
    said = completion if isinstance(completion, str) else None
    line = json.dumps({"sample_id": sample_id, "completion": said, "reward": reward})
    path = Path(folder) / f"{socket.gethostname()}-{os.getpid()}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one piece: trainers score in threads.
        with path.open("ab", buffering=0) as file:
            file.write(line.encode() + b"\n")
    except OSError as error:
        warnings.warn(f"rollouts are not stored: {error}; {FOLDER} is {folder}", stacklevel=2)


def storing(reward: Reward) -> Reward:
    """Return the reward function, which then stores the whole score of each of our rows too."""

    @functools.wraps(reward)
    def stored(
        completions: Sequence[object],
        task: Sequence[str],
        truth_json: Sequence[str],
        **columns: object,
    ) -> list[float | None]:
        found = reward(completions, task, truth_json, **columns)
        if os.environ.get(FOLDER):
            ids = cast("Sequence[str]", columns.get("sample_id") or [None] * len(completions))
            for sample_id, said, each, truth in zip(
                ids, completions, task, truth_json, strict=True
            ):
                if each in WEIGHTS:
                    text = text_of(said)
                    scored = score_once(cast("Task", each), text, truth, "strict")
                    store(sample_id, text, scored.total)
        return found

    return cast("Reward", stored)

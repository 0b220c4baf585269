"""Rewards for verl, from earshot: `pip install --no-deps earshot` in the trainer's environment.

reward.custom_reward_function.path=.../reward_verl.py
reward.custom_reward_function.name=compute_score
"""

from __future__ import annotations

from typing import Any

from earshot.rewards import score, store


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    **_options: object,
) -> dict[str, float]:
    """Return `score` (format + task reward, 0 to 2) and its parts, which verl logs.

    Args:
        data_source: `earshot/<task>`.
        solution_str: the completion.
        ground_truth: the row's truth as JSON.
        extra_info: the row's; its sample_id is stored with the completion and the score where
            EARSHOT_ROLLOUTS names a folder.

    Raises:
        ValueError: the row is none of earshot's, or its truth is broken: training would go on
            with a reward of 0, and nobody would see why.
    """
    owner, _, task = data_source.partition("/")
    if owner != "earshot":
        raise ValueError(f"data_source {data_source!r}: expected earshot/<task>")
    found = score(task, solution_str, ground_truth)  # type: ignore[arg-type]
    if found.status == "bad_truth":
        raise ValueError(f"ground_truth of {data_source} can't be read: {ground_truth!r:.200}")
    store((extra_info or {}).get("sample_id"), solution_str, found.total)
    # verl averages every key over all rows: only what applies to every task stands here.
    in_format = found.format or 0.0
    return {"score": found.total, "format": in_format, "task": found.total - in_format}

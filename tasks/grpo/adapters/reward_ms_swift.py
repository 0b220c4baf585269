"""Rewards for ms-swift, from earshot: `pip install --no-deps earshot` in its environment.

    swift rlhf --rlhf_type grpo --external_plugins .../reward_ms_swift.py \
        --reward_funcs earshot_format earshot_task --reward_weights 1 1

They read the columns `task` and `truth_json` of the data; None = does not apply to this row. Where
EARSHOT_ROLLOUTS names a folder, each completion is stored there with its score.
"""

from __future__ import annotations

from earshot.rewards import reward_functions, storing

try:
    from swift.rewards import ORM, orms
except ImportError:  # before ms-swift 4
    from swift.plugin import ORM, orms

_PARTS = reward_functions()
_PARTS["task"] = storing(_PARTS["task"])


class _Earshot(ORM):  # type: ignore[misc]
    """One part of the score; a class a part, since ms-swift makes its rewards without arguments."""

    part = "format"

    def __call__(
        self, completions: list[str], task: list[str], truth_json: list[str], **columns: object
    ) -> list[float | None]:
        """Return the reward of each completion."""
        return _PARTS[self.part](completions, task, truth_json, **columns)  # type: ignore[index]


for _part in _PARTS:
    orms[f"earshot_{_part}"] = type(f"Earshot{_part.title()}", (_Earshot,), {"part": _part})

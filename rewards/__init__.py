"""Answer grammar, reward functions and metrics: takes answers and truths as text, gives numbers.

Importing the package loads nothing; `from earshot.rewards import score` loads what it names, and
no part needs more than NumPy, so it works inside any trainer's environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earshot.rewards.functions import (
        format_reward,
        object_reward,
        reward_functions,
        spatial_reward,
        task_reward,
        temporal_reward,
    )
    from earshot.rewards.result import WEIGHTS, Score
    from earshot.rewards.rollouts import store, storing
    from earshot.rewards.scoring import score

__all__ = [
    "WEIGHTS",
    "Score",
    "format_reward",
    "object_reward",
    "reward_functions",
    "score",
    "spatial_reward",
    "store",
    "storing",
    "task_reward",
    "temporal_reward",
]

_HOME = {
    "score": "scoring",
    "Score": "result",
    "WEIGHTS": "result",
    "store": "rollouts",
    "storing": "rollouts",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME.get(name, 'functions')}")
    return getattr(module, name)

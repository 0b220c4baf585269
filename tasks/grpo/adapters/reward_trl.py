"""Rewards for TRL, from earshot: `pip install --no-deps earshot` in the trainer's environment.

    from reward_trl import reward_funcs, reward_weights
    GRPOConfig(reward_weights=reward_weights, shuffle_dataset=False, ...)
    GRPOTrainer(reward_funcs=reward_funcs, ...)

They read the columns `task` and `truth_json` of the data. TRL has one weight a function and the
paper one a function and task, so that there are two: the format, and the task's own mean. Where
EARSHOT_ROLLOUTS names a folder, each completion is stored there with its score.
"""

from __future__ import annotations

from earshot.rewards import format_reward, storing, task_reward

reward_funcs = [format_reward, storing(task_reward)]
reward_weights = [1.0, 1.0]

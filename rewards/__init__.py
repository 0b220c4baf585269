"""Answer grammar, reward functions and metrics: takes answers and truths as text, gives numbers.

Imports nothing by itself, so that `earshot.rewards` loads inside any trainer's environment.
"""

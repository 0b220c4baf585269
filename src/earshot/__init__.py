"""earshot builds audio-visual spatio-temporal reasoning datasets from videos with captions.

Importing this package imports nothing else: `earshot.rewards` and `earshot.geometry` have to load
inside any trainer's environment with NumPy alone.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Give `earshot.Release`, which notebooks want short, without importing it before."""
    if name == "Release":
        return import_module("earshot.tasks.releases").Release
    raise AttributeError(f"module 'earshot' has no attribute {name!r}")

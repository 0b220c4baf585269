"""earshot builds audio-visual spatio-temporal reasoning datasets from videos with captions.

Importing this package imports nothing else: `earshot.rewards` and `earshot.geometry` have to load
inside any trainer's environment with NumPy alone.
"""

__version__ = "0.1.0"

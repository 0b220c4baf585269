"""What is done with releases that are there: read, list, check, compare, move, look at them."""

from earshot.tasks.releases.release import Release

__all__ = ["Release"]

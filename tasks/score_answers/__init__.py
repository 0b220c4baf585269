"""Scores what a model answered to a release's questions, with trivial answers beside it."""

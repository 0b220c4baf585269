"""Prefect flows, named by what they make: the only place that imports Prefect.

This module itself imports nothing, so that `earshot --help` and `--no-prefect` runs pay nothing.
"""

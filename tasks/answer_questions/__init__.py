"""Asks an OpenAI-compatible model the questions of a release."""

"""Scores caption analysers: what they find in labelled sentences, beside a naive baseline."""

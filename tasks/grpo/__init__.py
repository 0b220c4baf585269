"""Turns a release into training data: neutral rows, a plan of batches, a trainer's files."""

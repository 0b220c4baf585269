"""Video and audio in and out: fetch, probe, frame sources, envelopes and the sample world.

Imports nothing here, so that a decoder child pays only for what it uses.
"""

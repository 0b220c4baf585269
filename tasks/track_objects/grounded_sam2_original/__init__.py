"""Grounding DINO and SAM 2 by the packages groundingdino-py and sam2 (extra `original`).

`tracker` is the backend and needs no torch; `load` and what it imports need the extra.
"""

"""The backend `grounded_sam2`: Grounding DINO finds, SAM 2 follows, both of transformers.

`tracker` is the backend and imports no torch; `weights` finds the files; `load` makes the models;
`detector` and `propagator` run them; `sam2_batched` is SAM 2 with all objects in one call.
"""

"""The verbs: one file, or a folder where there are backends, a step. No step imports another."""

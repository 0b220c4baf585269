"""All that the annotator sees: labeling config, guide, the server's launcher, and the adapter.

The adapter (`labeling`, `clip`, `keys`, `show`, `read`) is pure: it neither asks a server nor reads
a workspace, and works without Label Studio being there.
"""

"""The page of `earshot release browse`: its HTML, its style and its program, as text."""

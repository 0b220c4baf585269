"""Files that an export puts beside its data: what each trainer loads to score completions.

They need `earshot.rewards` alone (`pip install --no-deps earshot`, NumPy) and their trainer.
"""

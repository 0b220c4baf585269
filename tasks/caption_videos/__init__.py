"""Writes captions for videos that have none: a model describes sampled frames, with times.

Takes probed videos whose manifest has no text; gives generated captions, marked so in every row. It
says nothing about objects or events: `earshot.tasks.analyse_captions` reads what is written here.
"""

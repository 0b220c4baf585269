"""Boxes, intervals, tubes, grids and rounding: the only place that writes this arithmetic.

NumPy only (`rounding` not even that), imports nothing else of earshot, and loads no sub-module
by itself: import what you need, as in `from earshot.geometry.boxes import box_iou`.
"""

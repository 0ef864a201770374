"""The criteria at run time: one kind per file, with its state, its value and its next due instant.

A criterion is a leaf of an audience's expression. All answer `holds(row, at)` and `next_due(row,
after)`; those on events also `record(row, time, at)`. Equal criteria of several audiences are one
object.

Start reading at `leaf.py`.
"""

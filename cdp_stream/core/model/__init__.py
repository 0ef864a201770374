"""The types of the domain: events, rows, criteria and definitions as the engine sees them.

Start reading at `definition.py`, then `row.py`.
"""

"""Reads criteria: every kind of criterion as it is written becomes one that the core has.

Start reading at `criteria.py`.
"""

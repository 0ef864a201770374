"""Reads criteria: each kind of written criterion becomes a criterion of the core.

Start reading at `criteria.py`.
"""

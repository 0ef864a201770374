"""Tests of definitions, as `cdp test` runs them: batches in, members and changes expected.

Source: docs/testing.md. Start reading at `run.py`.
"""

"""Warnings about definitions that may not do what was intended.

Start reading at `lint.py`.
"""

from cdp_stream.lint.lint import warnings_of

__all__ = ["warnings_of"]

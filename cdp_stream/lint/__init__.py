"""Warnings about definitions that may not mean what was meant.

Start reading at `lint.py`.
"""

from cdp_stream.lint.lint import warnings_of

__all__ = ["warnings_of"]

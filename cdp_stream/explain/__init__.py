"""Why a profile is, or is not, in an audience at an instant: the result of each criterion.

Start reading at `explanation.py`.
"""

from cdp_stream.explain.explanation import Explained, Explanation, explain
from cdp_stream.explain.history import History

__all__ = ["Explained", "Explanation", "History", "explain"]

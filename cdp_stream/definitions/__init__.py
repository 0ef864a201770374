"""From YAML files to compiled definitions, and every problem found on the way.

Start reading at `compile.py`.
"""

from cdp_stream.definitions.load import Loaded, load_files, load_text, load_texts
from cdp_stream.definitions.source.problems import CODES, Problem, Severity

__all__ = ["CODES", "Loaded", "Problem", "Severity", "load_files", "load_text", "load_texts"]

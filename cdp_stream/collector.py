"""Python's collector of reference cycles, for processes that keep millions of objects."""

from __future__ import annotations

import gc
from typing import Final

_YOUNG_OBJECTS: Final = 50_000


def calm_collector() -> None:
    """Let the collector look less often.

    A chunk makes tens of thousands of short-lived objects and rows live long; none of them are in
    cycles. At its defaults the collector walks through all rows again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)

"""The wall clock, read at the edges only: code that decides gets the time as an argument."""

import time

__all__ = ["wall_ms"]


def wall_ms() -> int:
    """The wall clock, epoch ms."""
    return time.time_ns() // 1_000_000

"""The wall clock, for the edges: what decides takes the time as an argument."""

import time

__all__ = ["wall_ms"]


def wall_ms() -> int:
    """The wall clock, epoch ms."""
    return time.time_ns() // 1_000_000

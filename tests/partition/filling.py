"""Batches that fill profiles."""

from __future__ import annotations

from tests.partition.records import Sent, sent


def filling(first: int, mpid: int) -> list[Sent]:
    """Records that fill a profile."""
    texts = ["x" * 4_000] * 25
    parts = [{f"{part}-{n}": text for n, text in enumerate(texts)} for part in range(4)]
    return [sent(first + n, mpid, 0, "play", user_attributes=part) for n, part in enumerate(parts)]

"""Which variant of an A/B test a profile belongs to.

It depends on the seed and the profile alone, so an edited definition keeps the split.

Source: docs/semantics.md, A/B tests.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cdp_stream.core.model.definition import AbTest

BUCKETS: Final = 10_000


def bucket_of(seed: str, mpid: int) -> int:
    """The profile's bucket, 0 to 9,999: the first 8 bytes of SHA-256(`seed:mpid`), big-endian."""
    return int.from_bytes(sha256(f"{seed}:{mpid}".encode()).digest()[:8], "big") % BUCKETS


def variant_of(test: AbTest, mpid: int) -> str:
    """The name of the first variant whose cumulative share exceeds the profile's bucket."""
    bucket = bucket_of(test.seed, mpid)
    return next(variant.name for variant in test.variants if bucket < variant.until)

"""How far a partition's time may go: never past its input (semantics.md, Instants).

While records wait, the partition's time is the greatest arrival applied, which the processor
computes. This module is the other half: once a partition has been read to its end, its time may
follow the wall clock, less a grace, but only as far as we *know* that the partition was at its end.
We know it from one fetch: its answer had nothing beyond what we had, and the broker sent it after
we sent the request. So the bound is the time of the request, however late the answer is read (a
stopped process may find an hour-old answer in its socket).
"""

from cdp_stream.core.model.row import FOREVER
from cdp_stream.formats.limits import CLOCK_SKEW_MS
from cdp_stream.kafka.aiokafka_patches.fetch_observer import EndSeen
from cdp_stream.settings import Clock

__all__ = ["latest_time", "time_limit"]


def latest_time(mode: Clock, now: int) -> int:
    """The instant beyond which no record moves the time of a partition, epoch ms.

    A record with a time in the future would make all records after it late, until the wall clock
    reaches that time: in a partition, time never moves back.

    Args:
        mode: Under ``stream`` records alone move time.
        now: The wall clock, epoch ms.
    """
    return FOREVER if mode == "stream" else now + CLOCK_SKEW_MS


def time_limit(mode: Clock, *, time: int, grace_ms: int, applied: int, end: EndSeen | None) -> int:
    """Return the instant up to which the partition's time may go now, epoch ms.

    Args:
        mode: Under ``stream`` time never follows the wall clock.
        time: The partition's time: the greatest arrival applied, marker or earlier limit.
        grace_ms: How long a record may be on its way.
        applied: Offset of the last record applied; -1 when none was.
        end: The newest answer that showed that the partition was read to its end.

    Returns:
        At least ``time``, even if the wall clock was set back.
    """
    if mode == "stream" or end is None or applied < end.after:
        return time
    return max(time, end.asked_at - grace_ms)

"""How far a partition's time may go: never past its input (semantics.md, Instants).

Records that wait in a partition hold its time at the greatest arrival that was applied; that is the
processor's own business. What is decided here is the other half: once a partition has been read to
its end, the wall clock may take over, less a grace, and only as far as we *know* that it was at its
end. What we know comes from one fetch: its answer says that nothing lay beyond what we had, and the
broker gave that answer after the request was sent. So the request's own start is the bound, however
late the answer is looked at (a stopped process may find an hour-old answer in its socket).
"""

from dataclasses import dataclass
from typing import Literal

from cdp_stream.core.model.row import FOREVER
from cdp_stream.formats.limits import CLOCK_SKEW_MS

__all__ = ["ClockMode", "EndSeen", "latest_time", "time_limit"]

ClockMode = Literal["wall", "stream"]


@dataclass(frozen=True, slots=True)
class EndSeen:
    """A fetch was answered with "nothing beyond what you have".

    Attributes:
        asked_at: Wall clock just before that fetch was sent, epoch ms.
        after: Offset of the last record that had been handed over by then; -1 when none had been.
            Offsets of transaction markers and of compacted records are never handed over, so this
            is compared, and not the partition's end offset.
        end: That end offset; whatever lies between `after` and it is handed to nobody.
    """

    asked_at: int
    after: int
    end: int = 0


def latest_time(mode: ClockMode, now: int) -> int:
    """The instant beyond which no record moves the time of a partition, epoch ms.

    A record that claims to come from the future would make all that follows late, for as long as
    the wall clock takes to get there: in a partition, time never moves back.

    Args:
        mode: Under ``stream`` records alone say what time it is.
        now: The wall clock, epoch ms.
    """
    return FOREVER if mode == "stream" else now + CLOCK_SKEW_MS


def time_limit(
    mode: ClockMode, *, time: int, grace_ms: int, applied: int, end: EndSeen | None
) -> int:
    """Return the instant up to which the partition's time may go now, epoch ms.

    Args:
        mode: ``stream`` never takes the wall clock.
        time: The partition's time: the greatest arrival applied, marker or earlier limit.
        grace_ms: How long a record may be on its way.
        applied: Offset of the last record applied; -1 when none was.
        end: The newest answer that said the partition was read to its end.

    Returns:
        At least ``time``: a wall clock that was set back moves nothing back.
    """
    if mode == "stream" or end is None or applied < end.after:
        return time
    return max(time, end.asked_at - grace_ms)

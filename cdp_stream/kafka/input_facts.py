"""What is wrong with the input as a whole, as opposed to one record of it: a producer's settings.

Each is a fact in the log as it is first seen, and then once a minute at most for as long as it
goes on, however many records it is about.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable

from cdp_stream.formats.rejects import Reason
from cdp_stream.kafka.log import log
from cdp_stream.partition.effects import Effects

__all__ = ["InputFacts"]

_EVERY_S = 60.0


class InputFacts:
    """The facts of one worker.

    Args:
        now: Seconds of a clock that only moves forward.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._misplaced: Counter[int] = Counter()
        self._logged_at = {self._log_misplaced: -_EVERY_S}

    def applied(self, partition: int, effects: Effects) -> None:
        """Look at a slice of records."""
        if effects.rejected:
            name = Reason.WRONG_PARTITION.value.encode()
            for _key, _value, headers in effects.rejected:
                self._misplaced[partition] += dict(headers).get("reason") == name

    def log_now_and_then(self) -> None:
        """Write what there is to say, if it is time."""
        now = self._now()
        for say, logged_at in self._logged_at.items():
            if now - logged_at >= _EVERY_S and say():
                self._logged_at[say] = now

    def _log_misplaced(self) -> bool:
        misplaced = +self._misplaced
        if not misplaced:
            return False
        log("records_misplaced", level=logging.WARNING, records=misplaced.total(),
            partitions=sorted(misplaced),
            reason="a producer places keys otherwise than murmur2 does; they are rejected",
            next="set its partitioner (docs/events.md, producers), then publish what was rejected "
                 "again")  # fmt: skip
        self._misplaced.clear()
        return True

"""What is wrong with the input as a whole, as opposed to one record of it: a producer's settings,
or its clock.

Each is a fact in the log as it is first seen, and then once a minute at most for as long as it
goes on, however many records it is about.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

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
        self._future: Counter[int] = Counter()
        self._implausible: Counter[str] = Counter()
        facts = (self._log_misplaced, self._log_future, self._log_implausible)
        self._logged_at = dict.fromkeys(facts, -_EVERY_S)

    def applied(self, partition: int, effects: Effects) -> None:
        """Look at a slice of records."""
        if effects.rejected:
            name = Reason.WRONG_PARTITION.value.encode()
            for _key, _value, headers in effects.rejected:
                self._misplaced[partition] += dict(headers).get("reason") == name
        if effects.future_records:
            self._future[partition] += effects.future_records
        if effects.implausible:
            self._implausible.update(effects.implausible)

    def log_now_and_then(self) -> None:
        """Write what there is to say, if it is time."""
        now = self._now()
        for say, logged_at in self._logged_at.items():
            if now - logged_at >= _EVERY_S and say():
                self._logged_at[say] = now

    def _log_misplaced(self) -> bool:
        return _log(
            "records_misplaced", "records", "partitions", self._misplaced,
            reason="a producer places keys otherwise than murmur2 does; they are rejected",
            next="set its partitioner (docs/events.md, producers), then publish what was rejected "
                 "again",
        )  # fmt: skip

    def _log_future(self) -> bool:
        return _log(
            "records_in_the_future", "records", "partitions", self._future,
            reason="they say that they come from more than an hour ahead of this worker's clock; "
                   "they move no time",
            next="look at the clocks of producers and of this machine; set "
                 "message.timestamp.after.max.ms on the topic, and brokers refuse such records",
        )  # fmt: skip

    def _log_implausible(self) -> bool:
        return _log(
            "times_implausible", "times", "inputs", self._implausible,
            reason="times of events lie before the year 2000; they are used as they are",
            next="send milliseconds since 1970, not seconds",
        )  # fmt: skip


def _log(fact: str, what: str, where: str, seen: Counter[Any], **said: str) -> bool:
    """Write a fact of what was seen since it was written last, if there was anything."""
    places = sorted(+seen)
    if not places:
        return False
    log(fact, level=logging.WARNING, **{what: seen.total(), where: places}, **said)
    seen.clear()
    return True

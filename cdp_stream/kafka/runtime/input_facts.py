"""What is wrong with the input as a whole, as opposed to one record of it: a producer's settings,
or its clock.

Each is logged when it first occurs, and then at most once a minute while it continues, however many
records it concerns.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from cdp_stream.formats.rejects import Reason
from cdp_stream.observability.log import log
from cdp_stream.partition.effects import Effects

__all__ = ["InputFacts"]

_EVERY_S = 60.0


class InputFacts:
    """The facts of one worker.

    Args:
        now: Seconds of a steady clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kinds: dict[str, tuple[str, str, Counter[Any], dict[str, str]]] = {}
        self._logged_at: dict[str, float] = {}
        self._misplaced = self._counter(
            "records_in_wrong_partition", "records", "partitions",
            reason="a producer does not place keys by murmur2; these records are rejected",
            next="set its partitioner (docs/events.md, producers), then publish what was rejected "
                 "again",
        )  # fmt: skip
        self._future = self._counter(
            "records_in_the_future", "records", "partitions",
            reason="their times are more than an hour ahead of this worker's clock; they do not "
                   "advance time",
            next="check the clocks of producers and of this machine; set "
                 "message.timestamp.after.max.ms on the topic, and brokers refuse such records",
        )  # fmt: skip
        self._implausible = self._counter(
            "times_implausible", "times", "inputs",
            reason="times of events are before the year 2000; they are used unchanged",
            next="send milliseconds since 1970, not seconds",
        )  # fmt: skip

    def applied(self, partition: int, effects: Effects) -> None:
        """Count what is wrong in a slice of records."""
        if effects.rejected:
            name = Reason.WRONG_PARTITION.value.encode()
            for _key, _value, headers in effects.rejected:
                self._misplaced[partition] += dict(headers).get("reason") == name
        if effects.future_records:
            self._future[partition] += effects.future_records
        if effects.implausible:
            self._implausible.update(effects.implausible)

    def log_now_and_then(self) -> None:
        """Log what has occurred since the last line, at most once a minute."""
        now = self._now()
        for fact, (counted, places, seen, texts) in self._kinds.items():
            where = sorted(+seen)
            if where and now - self._logged_at.get(fact, -_EVERY_S) >= _EVERY_S:
                self._logged_at[fact] = now
                log(fact, level=logging.WARNING, **{counted: seen.total(), places: where}, **texts)
                seen.clear()

    def _counter(self, fact: str, counted: str, places: str, **texts: str) -> Counter[Any]:
        """A counter by place, logged as a fact."""
        seen: Counter[Any] = Counter()
        self._kinds[fact] = counted, places, seen, texts
        return seen

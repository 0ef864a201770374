"""What one input partition reads, and what it returns: the seam between the engine and Kafka.

The Kafka edge reads records, gives them to the partition's `ProfileProcessor`, and delivers its
:class:`Effects`; it never looks inside a record or a row. A processor does no I/O. That is why a
run can be repeated: what a processor returns is a function of the calls made to it, in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cdp_stream.formats.rows import PARTITION_KEY

__all__ = ["META_ROW", "SLICE_BYTES", "Effects", "Record"]

META_ROW = PARTITION_KEY
"""Key of the row that holds a partition's time and its applied input position."""

SLICE_BYTES = 2 * 1024 * 1024
"""About the most that one call gives to be written; what the last record or profile makes may pass
it. A few full rows, or a thousand of the usual size and their messages."""

Headers = Sequence[tuple[str, bytes]]
Rejected = tuple[bytes | None, bytes | None, Headers]


class Record(Protocol):
    """One Kafka record, as the consumer returns it; ``timestamp`` is epoch ms."""

    @property
    def key(self) -> bytes | None:
        """The key as it came."""

    @property
    def value(self) -> bytes | None:
        """The value as it came."""

    @property
    def headers(self) -> Headers:
        """Names and values, in order."""

    @property
    def timestamp(self) -> int:
        """Epoch ms."""

    @property
    def offset(self) -> int:
        """Offset in its partition."""


@dataclass(slots=True)
class Effects:
    """What a slice of records, or of due instants, changes.

    Attributes:
        memberships: ``(mpid, JSON)`` for the memberships topic, in order.
        state: ``(audience:mpid, JSON or None)`` for the compacted state topic; ``None`` is a
            tombstone.
        outputs: ``(output id, mpid, JSON)`` for the topics of outputs, in order.
        rejected: ``(key, value, headers)`` of input that could not be used, as it came.
        rows: Changelog rows; ``None`` is a tombstone. The meta row comes last, so that a
            reader that has read it has read the whole write.
        events: How many events were in the batches applied.
        late_batches: How many batches were passed over, as the profiles that they would have begun
            had ended by live time.
        future_records: How many records moved no time, as they are too far ahead of the clock.
        implausible: How many times of events lie before the year 2000, by input.
        changes: How many membership changes per ``(audience id, action)``, for the metrics.
        unidentified: How many messages per output id were not sent, as the profile has none of the
            identities that the connector accepts; for the metrics.
        oversized: How many messages per output id were too large for Kafka with their shared
            attributes: they are sent without them, attribute updates not at all; for the metrics.
        started: Ids of the connections that a switch of definitions made active.
        stopped: Ids of those that it made inactive, or removed.
        more: After a tick: due instants up to its limit are still waiting.
    """

    memberships: list[tuple[bytes, bytes]] = field(default_factory=list)
    state: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    outputs: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    events: int = 0
    late_batches: int = 0
    future_records: int = 0
    implausible: dict[str, int] = field(default_factory=dict)
    changes: dict[tuple[str, str], int] = field(default_factory=dict)
    unidentified: dict[str, int] = field(default_factory=dict)
    oversized: dict[str, int] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    more: bool = False

    @property
    def size(self) -> int:
        """Bytes of all that is to be delivered, keys and headers aside."""
        size = sum(len(value) for value in self.rows.values() if value is not None)
        size += sum(len(value) for _, value in self.memberships)
        size += sum(len(value) for _, value in self.state if value is not None)
        size += sum(len(value) for _, _, value in self.outputs)
        return size + sum(len(value) for _, value, _ in self.rejected if value is not None)

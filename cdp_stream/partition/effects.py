"""What one input partition is told, and what it answers: the seam between the engine and Kafka.

The Kafka edge reads records, asks the partition's :class:`Processor`, and delivers its
:class:`Effects`; it never looks inside a record or a row. A processor never does I/O. That is why a
run can be repeated: a processor's answers are a function of the calls made to it, in their order.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cdp_stream.core.definition import Account
from cdp_stream.core.row import FOREVER
from cdp_stream.formats.rows import PARTITION_KEY
from cdp_stream.partition.definitions import Definitions

if TYPE_CHECKING:
    from cdp_stream.partition.backfill import Backfill

__all__ = ["META_ROW", "SLICE_BYTES", "Effects", "Processor", "Record"]

META_ROW = PARTITION_KEY
"""Key of the row that holds a partition's time and its applied input position."""

SLICE_BYTES = 2 * 1024 * 1024
"""About the most that one call gives to be written; what the last record or profile makes may pass
it. A few full rows, or a thousand of the usual size and their messages."""

Headers = Sequence[tuple[str, bytes]]
Rejected = tuple[bytes | None, bytes | None, Headers]


class Record(Protocol):
    """One Kafka record as the consumer hands it over; ``timestamp`` is epoch ms."""

    @property
    def key(self) -> bytes | None:
        """The key as it came."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value as it came."""
        ...

    @property
    def headers(self) -> Headers:
        """Names and values, in order."""
        ...

    @property
    def timestamp(self) -> int:
        """Epoch ms."""
        ...

    @property
    def offset(self) -> int:
        """Offset in its partition."""
        ...


@dataclass(slots=True)
class Effects:
    """What a slice of records, or of due instants, changes.

    Attributes:
        memberships: ``(mpid, JSON)`` for the memberships topic, in order.
        state: ``(audience:mpid, JSON or None)`` for the compacted state topic; ``None`` is a
            tombstone.
        outputs: ``(output id, mpid, JSON)`` for the topics of outputs, in order.
        rejected: ``(key, value, headers)`` of input that could not be used, as it came.
        rows: Changelog rows; ``None`` is a tombstone. The meta row comes last, so that whoever has
            read it has read the whole write.
        events: How many events were in the batches applied.
        late_batches: How many batches were passed over, as the profiles that they would have begun
            had ended by live time.
        future_records: How many records moved no time, as they are too far ahead of the clock.
        implausible: How many times of events lie before the year 2000, by input.
        changes: How many membership changes per ``(audience id, action)``, for the metrics.
        unidentified: How many messages per output id were for nobody, the profile having none of
            the identities that the connector accepts; for the metrics.
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


class Processor(Protocol):
    """Everything one input partition decides; one instance per assigned partition."""

    @property
    def time(self) -> int:
        """The partition's time, epoch ms; it never moves back."""
        ...

    @property
    def position(self) -> int:
        """Offset of the last applied record; -1 before the first."""
        ...

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Rebuild time, position and due instants from the partition's rows, meta row included.

        The mapping is the live store of the partition: it shows every later write too.
        """
        ...

    def apply(self, records: Sequence[Record], latest: int = FOREVER) -> Effects:
        """Apply a slice of records, all above ``position`` and in order; fewer of them when what
        they make takes much. ``position`` tells how many.

        Time moves to the greatest arrival up to ``latest``. A time marker is never in it save as
        its last record, and moves time as a record that arrived then would.
        """
        ...

    def tick(self, until: int, limit: int) -> Effects:
        """Move time to ``until`` and fire at most ``limit`` due instants up to it, in order."""
        ...

    def mark_time(self, until: int) -> Effects:
        """Move time to ``until`` without firing anything; the answer holds the meta row alone.

        It is made durable before the outputs of a tick are sent (semantics.md, Instants).
        """
        ...

    def next_due(self) -> int | None:
        """The earliest due instant of the partition, ``None`` when nothing is due ever."""
        ...

    def due_waiting(self) -> int:
        """How many due instants wait."""
        ...

    @property
    def version(self) -> str | None:
        """The version of the definitions in force; ``None`` before the first :meth:`switch`."""
        ...

    @property
    def is_able(self) -> bool:
        """Whether it can do anything but :meth:`switch`."""
        ...

    @property
    def missing(self) -> frozenset[str]:
        """Slots of the definitions in force whose history is not in."""
        ...

    def switch(self, definitions: Definitions, *, skipped: Sequence[Account] = ()) -> Effects:
        """Put definitions in force, with all earlier effects delivered and nothing due.

        The effects must be durable before any later ones are sent.

        Args:
            definitions: The version to go on with.
            skipped: What versions defined that came and went meanwhile, in order.
        """
        ...

    def to_prepare(
        self, definitions: Definitions | None, skipped: Sequence[Account] = ()
    ) -> Callable[[], object] | None:
        """What makes a :meth:`switch` to these (``None``: :meth:`complete_backfill`) quick.

        It may be called in another thread; ``None`` when nothing is left to be done.
        """
        ...

    def recall(self) -> bool:
        """Ask again for definitions that were not to be had; whether it can do all things now."""
        ...

    def sweep(self, limit: int) -> Effects:
        """Bring at most ``limit`` more rows under the definitions in force."""
        ...

    def rows_to_sweep(self) -> int:
        """How many rows may have yet to be brought under them."""
        ...

    @property
    def backfill(self) -> "Backfill | None":
        """What reads the history of new criteria, or hands it over; ``None`` when none does."""
        ...

    def pending(self) -> Collection[str]:
        """The audiences that wait for history."""
        ...

    def complete_backfill(self) -> Effects:
        """The backfill has read up to ``position``: put the definitions in force in full.

        As for :meth:`switch`, all earlier effects are delivered and nothing is due.
        """
        ...

    def audience_sizes(self) -> Mapping[str, int] | None:
        """Members by audience id, live; ``None`` while restored rows have yet to be counted."""
        ...

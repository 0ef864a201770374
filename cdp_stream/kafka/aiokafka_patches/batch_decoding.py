"""Records out of fetched bytes, a batch at a time.

For aiokafka 0.14.0, which makes a dataclass of eleven fields for each record; that takes ten times
as long as the decoding itself. Here the decoder's own records are handed on: they have the ``key``,
``value``, ``headers``, ``timestamp`` and ``offset`` that a processor reads. Left out is what
aiokafka leaves out: control batches, aborted transactions, records below the position asked for.
Unnecessary once ``getmany`` can return the records of ``aiokafka.record`` as they are.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

__all__ = ["WholeBatches", "decode_whole_batches"]


class WholeBatches:
    """The records of one partition's answer to a fetch, unpacked all at once.

    Replaces aiokafka's ``PartitionRecords`` where everything is drained in one call.

    Attributes:
        next_fetch_offset: Where the next fetch starts.
    """

    __slots__ = ("_batches", "_stock", "next_fetch_offset")

    def __init__(self, stock: PartitionRecords) -> None:
        self._stock = stock
        self._batches = stock._records
        self.next_fetch_offset: int = stock.next_fetch_offset
        # It was never started; it would keep the answer's bytes in a reference cycle.
        stock._records_iterator = None

    def __iter__(self) -> Iterator[Any]:
        """Unpack what is left.

        Raises:
            CorruptRecordException: A checksum is wrong, or a record cannot be read. Nothing more
                is returned then, so that the fetch is sent again.
        """
        batches, self._batches = self._batches, MemoryRecords(b"")
        decoded: list[Any] = []
        while batches.has_next():
            batch = batches.next_batch()
            if self._stock._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._stock._tp}")
            if not self._is_left_out(batch):
                decoded += self._from_position(list(batch))
            # Of the batch, as compaction may have removed its last record.
            self.next_fetch_offset = batch.next_offset
        return iter(decoded)

    def _from_position(self, records: list[Any]) -> list[Any]:
        """Leave out records before the position: brokers answer with whole batches."""
        position = self.next_fetch_offset
        if records and records[0].offset < position:
            return [record for record in records if record.offset >= position]
        return records

    def _is_left_out(self, batch: Any) -> bool:
        stock = self._stock
        if stock._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            stock._consume_aborted_up_to(batch.base_offset)
            aborted = stock._aborted_producers
            if batch.is_control_batch:
                if stock._contains_abort_marker(batch):
                    aborted.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in aborted:
                return True
        return bool(batch.is_control_batch)


class _Results(OrderedDict[Any, Any]):
    """What a fetcher keeps until it is drained, per partition."""

    def __setitem__(self, tp: Any, result: Any) -> None:
        if isinstance(result, FetchResult) and result.has_more():
            result._partition_records = WholeBatches(result._partition_records)
        super().__setitem__(tp, result)


def decode_whole_batches(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer unpack whole batches; call when it was started and reads nothing yet.

    It must be drained by ``getmany`` without ``max_records``: each drain returns all there is.
    """
    consumer._fetcher._records = _Results()

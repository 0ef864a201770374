"""When changes that have gathered are delivered."""

from __future__ import annotations

from cdp_stream.connectors.connector import Batching
from cdp_stream.sinks.gathering import Gathering
from cdp_stream.sinks.taken import Batch, Taken
from tests.sinks.connectors import change


def item(number: int, *, connection: str = "a@out", size: int = 10, action: str = "add") -> Taken:
    what = change(number, connection=connection, action=action)
    return Taken(what, 0, number, 0, b"7", b"x" * size)


def offsets(batches: list[Batch]) -> list[list[int]]:
    return [[one.offset for one in batch.items] for batch in batches]


def test_enough_of_them() -> None:
    gathering = Gathering(Batching(count=2, interval_ms=1_000))
    assert gathering.add(item(1), 0.0) == []
    assert offsets(gathering.add(item(2), 0.0)) == [[1, 2]]
    assert gathering.next_due is None


def test_connections_apart_or_together() -> None:
    apart = Gathering(Batching(count=2))
    assert apart.add(item(1, connection="a@out"), 0.0) == []
    assert apart.add(item(2, connection="b@out"), 0.0) == []
    together = Gathering(Batching(count=2, per_connection=False))
    together.add(item(1, connection="a@out"), 0.0)
    assert offsets(together.add(item(2, connection="b@out"), 0.0)) == [[1, 2]]


def test_bytes_are_not_passed() -> None:
    gathering = Gathering(Batching(count=100, size=25))
    assert gathering.add(item(1), 0.0) == []
    assert gathering.add(item(2), 0.0) == []
    assert offsets(gathering.add(item(3), 0.0)) == [[1, 2]]
    assert offsets(gathering.add(item(4, size=25), 0.0)) == [[3], [4]]


def test_waited_long_enough() -> None:
    gathering = Gathering(Batching(count=100, interval_ms=500))
    gathering.add(item(1), 10.0)
    gathering.add(item(2), 10.4)
    assert gathering.next_due == 10.5
    assert gathering.due(10.49) == []
    assert offsets(gathering.due(10.5)) == [[1, 2]]


def test_the_deletion_of_an_audience_goes_alone_behind_the_others() -> None:
    gathering = Gathering(Batching(count=100))
    gathering.add(item(1), 0.0)
    assert offsets(gathering.add(item(2, action="audience_delete"), 0.0)) == [[1], [2]]


def test_a_stopped_connection_is_dropped() -> None:
    gathering = Gathering(Batching(count=100, per_connection=False))
    for number, connection in enumerate(["a@out", "b@out", "a@out"]):
        gathering.add(item(number, connection=connection), 0.0)
    assert [one.offset for one in gathering.drop("a@out")] == [0, 2]
    assert offsets(gathering.due(9.0)) == [[1]]

"""When changes that have gathered are delivered."""

from __future__ import annotations

from dataclasses import replace

from cdp_stream.connectors.connector import Batching
from cdp_stream.sinks.delivery.batching import Batcher
from cdp_stream.sinks.offsets.in_flight import Batch, InFlight
from tests.sinks.connectors import ListSettings, change


def item(
    number: int, *, connection: str = "a@out", size: int = 10, action: str = "add"
) -> InFlight:
    what = change(number, connection=connection, action=action)
    return InFlight(what, 0, number, b"7", b"x" * size)


def offsets(batches: list[Batch]) -> list[list[int]]:
    return [[one.offset for one in batch.items] for batch in batches]


def test_enough_of_them() -> None:
    batcher = Batcher(Batching(count=2, interval_ms=1_000))
    assert batcher.add(item(1), 0.0) == []
    assert offsets(batcher.add(item(2), 0.0)) == [[1, 2]]
    assert batcher.next_due is None


def test_connections_apart_or_together() -> None:
    apart = Batcher(Batching(count=2))
    assert apart.add(item(1, connection="a@out"), 0.0) == []
    assert apart.add(item(2, connection="b@out"), 0.0) == []
    together = Batcher(Batching(count=2, per_connection=False))
    together.add(item(1, connection="a@out"), 0.0)
    assert offsets(together.add(item(2, connection="b@out"), 0.0)) == [[1, 2]]


def test_bytes_are_not_passed() -> None:
    batcher = Batcher(Batching(count=100, size=25))
    assert batcher.add(item(1), 0.0) == []
    assert batcher.add(item(2), 0.0) == []
    assert offsets(batcher.add(item(3), 0.0)) == [[1, 2]]
    assert offsets(batcher.add(item(4, size=25), 0.0)) == [[3], [4]]


def test_what_takes_most_memory_goes_when_there_is_no_room_for_all() -> None:
    batcher = Batcher(Batching(count=100))
    assert batcher.flush_largest() == []
    batcher.add(item(1, connection="a@out"), 0.0)
    batcher.add(item(2, connection="b@out", size=1_000), 0.0)
    batcher.add(item(3, connection="a@out"), 0.0)
    assert 5_000 < batcher.memory < 10_000
    assert offsets(batcher.flush_largest()) == [[2]]
    batcher.drop("a@out")
    assert batcher.memory == 0
    batcher.add(item(4), 0.0)
    batcher.clear()
    assert batcher.memory == 0


def test_waited_long_enough() -> None:
    batcher = Batcher(Batching(count=100, interval_ms=500))
    batcher.add(item(1), 10.0)
    batcher.add(item(2), 10.4)
    assert batcher.next_due == 10.5
    assert batcher.due(10.49) == []
    assert offsets(batcher.due(10.5)) == [[1, 2]]


def test_the_deletion_of_an_audience_goes_alone_behind_the_others() -> None:
    batcher = Batcher(Batching(count=100))
    batcher.add(item(1), 0.0)
    assert offsets(batcher.add(item(2, action="audience_delete"), 0.0)) == [[1], [2]]


def test_a_stopped_connection_is_dropped() -> None:
    batcher = Batcher(Batching(count=100, per_connection=False))
    for number, connection in enumerate(["a@out", "b@out", "a@out"]):
        batcher.add(item(number, connection=connection), 0.0)
    batcher.drop("a@out")
    assert offsets(batcher.due(9.0)) == [[1]]


def listed(number: int, settings: str | None, *, made: str | None = None,
           connection: str = "a@out") -> InFlight:  # fmt: skip
    what = change(number, connection=connection, list_id=settings or made)
    what = replace(what, settings=ListSettings(list_id=settings))
    return InFlight(what, 0, number, b"7", b"x")


def test_a_batch_is_for_one_list() -> None:
    batcher = Batcher(Batching(count=100))
    assert batcher.add(listed(1, "old"), 0.0) == []
    assert batcher.add(listed(2, "old"), 0.0) == []
    assert offsets(batcher.add(listed(3, "new"), 0.0)) == [[1, 2]]
    assert offsets(batcher.add(listed(4, "old"), 0.0)) == [[3]]
    assert offsets(batcher.due(9.0)) == [[4]]


def test_other_settings_are_never_mixed_even_for_the_same_list() -> None:
    batcher = Batcher(Batching(count=100))
    batcher.add(listed(1, "one"), 0.0)
    assert offsets(batcher.add(listed(2, None, made="one"), 0.0)) == [[1]]


def test_of_connections_together_each_is_for_one_list() -> None:
    batcher = Batcher(Batching(count=100, per_connection=False))
    batcher.add(listed(1, "old"), 0.0)
    assert batcher.add(listed(2, "other", connection="b@out"), 0.0) == []
    assert offsets(batcher.add(listed(3, "new"), 0.0)) == [[1, 2]]


def test_a_list_that_was_made_meanwhile_is_the_same_and_one_made_anew_another() -> None:
    made: dict[str, str] = {}
    batcher = Batcher(Batching(count=100), made.get)
    assert batcher.add(listed(1, None), 0.0) == []
    made["a@out"] = "first"
    assert batcher.add(listed(2, None, made="first"), 0.0) == []
    assert batcher.add(listed(3, None), 0.0) == []
    made["a@out"] = "second"
    assert offsets(batcher.add(listed(4, None, made="first"), 0.0)) == [[1, 2, 3]]
    assert offsets(batcher.add(listed(5, None, made="second"), 0.0)) == [[4]]

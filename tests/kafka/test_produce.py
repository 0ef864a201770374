"""What `cdp produce` puts into the input topic: key, place, value, order, markers."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from click.testing import CliRunner, Result

from cdp_stream.cli.produce import command
from cdp_stream.errors import BrokerError, UsageError
from cdp_stream.kafka.clients.client_settings import client_settings
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.kafka.produce import LONGEST_VALUE, Routing, publisher
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.settings import Settings
from cdp_stream.wall_clock import wall_ms

PARTITIONS = 4


# -- without a broker ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'{"mpid":7}', b"7"),
        (b'{"mpid":-9223372036854775808}', b"-9223372036854775808"),
        (b'{"mpid":"12"}', b"12"),
        (b'{"mpid":0}', b"0"),
        (b'{"mpid":9223372036854775808}', None),
        (b'{"mpid":7.0}', None),
        (b'{"mpid":"007"}', None),
        (b'{"mpid":true}', None),
        (b"{}", None),
        (b"[7]", None),
        (b"7", None),
        (b"{", None),
        (b"\xff", None),
        (b"[" * 2000, None),
        (b'{"mpid":7,"x":1e400,"y":"\\ud800"}', b"7"),
        (b'{"mpid":7,"x":1e400,"y":NaN}', None),
        (b'{"mpid":1e400}', None),
    ],
)
def test_the_key_is_the_mpid_in_decimal(value: bytes, key: bytes | None) -> None:
    assert Routing.key_of(value) == key


def test_keys_are_placed_as_kafkas_default_partitioner_does() -> None:
    for partitions in (1, 4, 7):
        routing, partitioner = Routing(partitions), DefaultPartitioner()
        numbers = list(range(partitions))
        for mpid in (*range(-50, 500), 2**63 - 1, -(2**63)):
            key = b"%d" % mpid
            assert routing.partition_of(key) == partitioner(key, numbers, numbers)


def test_known_places_by_murmur2() -> None:
    # From Kafka's own Java client: toPositive(murmur2(key)) % 4.
    routing = Routing(PARTITIONS)
    assert [routing.partition_of(key) for key in (b"21", b"foobar", b"abc")] == [
        (murmur & 0x7FFFFFFF) % PARTITIONS for murmur in (-973932308, -790332482, 479470107)
    ]


def test_records_without_a_key_take_turns() -> None:
    routing = Routing(3)
    assert sorted(routing.partition_of(None) for _ in range(6)) == [0, 0, 1, 1, 2, 2]


def test_a_broker_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_bytes(b"")
    address = f"127.0.0.1:{free_port()}"
    result = CliRunner().invoke(
        command, ["--events", str(tmp_path / "events.ndjson"), "--broker", address]
    )
    assert isinstance(result.exception, BrokerError)
    assert address in str(result.exception)


# -- on the embedded broker ------------------------------------------------------------------------


class Topic:
    """The input topic of one test, and `cdp produce` into it."""

    def __init__(self, broker: str, prefix: str, folder: Path) -> None:
        self.broker = broker
        self.prefix = prefix
        self.folder = folder

    def produce(self, content: bytes, *flags: str) -> Result:
        path = self.folder / "events.ndjson"
        path.write_bytes(content)
        arguments = [
            "--events",
            str(path),
            "--broker",
            self.broker,
            "--prefix",
            self.prefix,
            "--create",
        ]
        result = CliRunner().invoke(command, [*arguments, *flags], catch_exceptions=False)
        assert result.exit_code == 0
        return result

    def records(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {number: [] for number in range(PARTITIONS)}
        asyncio.run(
            read_to_end(
                {"bootstrap_servers": self.broker},
                f"{self.prefix}.events",
                range(PARTITIONS),
                lambda number, records: found[number].extend(records),
            )
        )
        return found


@pytest.fixture
def topic(embedded_broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Topic]:
    return Topic(embedded_broker, topic_prefix, tmp_path)


def batch(mpid: int, arrival: int, **more: object) -> bytes:
    return json.dumps({"mpid": mpid, "timestamp_unixtime_ms": arrival, **more}).encode()


@pytest.mark.embedded
def test_values_are_unchanged_keyed_placed_and_in_order(topic: Topic) -> None:
    lines = [batch(number % 17, number, note=f"ü {number}") for number in range(3000)]
    result = topic.produce(b"\n".join(lines))
    assert "published 3,000 batches" in result.stdout
    records = topic.records()
    assert sum(map(len, records.values())) == 3000
    routing = Routing(PARTITIONS)
    for number, found in records.items():
        expected = [
            line for i, line in enumerate(lines) if routing.partition_of(b"%d" % (i % 17)) == number
        ]
        assert [record.value for record in found] == expected
        assert all(record.key == b"%d" % json.loads(record.value)["mpid"] for record in found)
        assert all(not record.headers for record in found)


@pytest.mark.kafka
def test_on_apache_kafka_nothing_is_different(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    lines = [batch(number % 17, number) for number in range(3000)]
    topic = Topic(kafka_broker, topic_prefix, tmp_path)
    topic.produce(b"\n".join([*lines, b"junk"]), "--until", "last")
    records = topic.records()
    assert all(found[-1].headers == [("time", b"2999")] for found in records.values())
    keyed = [record for found in records.values() for record in found if record.key is not None]
    assert sorted(record.value for record in keyed) == sorted(lines)
    for found in records.values():
        arrivals = [json.loads(r.value)["timestamp_unixtime_ms"] for r in found if r.key]
        assert arrivals == sorted(arrivals)


@pytest.mark.kafka
async def test_a_run_goes_on_behind_the_last_sequence_number(
    kafka_broker: str, topic_prefix: str
) -> None:
    settings = Settings(broker=kafka_broker, prefix=topic_prefix, partitions=1)
    async with publisher(settings) as published:
        producer, place = published._producer, TopicPartition(settings.topic("events"), 0)
        # A broker takes any from a producer that it has no records of.
        producer._txn_manager._sequence_numbers[place] = 2**31 - 10
        for number in range(5):
            waits = await published.send([(b"1", b"%d" % number)] * 6)
            await asyncio.gather(*waits)
        assert producer._txn_manager._sequence_numbers[place] == 20
    found: list[Any] = []
    await read_to_end(
        client_settings(settings), place.topic, [0], lambda _, records: found.extend(records)
    )
    assert [record.value for record in found] == [b"%d" % n for n in range(5) for _ in range(6)]


@pytest.mark.embedded
def test_unusable_lines_go_out_with_no_key_and_blank_ones_not_at_all(topic: Topic) -> None:
    result = topic.produce(b'not json\n\n  \n{"no": "mpid"}\n' + batch(5, 1) + b"\n", "--json")
    assert json.loads(result.stdout) | {"seconds": 0} == {
        "published": 3,
        "keyless": 2,
        "after_until": 0,
        "too_long": 0,
        "marker": None,
        "seconds": 0,
    }
    found = [(r.key, r.value) for records in topic.records().values() for r in records]
    assert sorted(found, key=str) == sorted(
        [(None, b"not json"), (None, b'{"no": "mpid"}'), (b"5", batch(5, 1))], key=str
    )


@pytest.mark.embedded
def test_the_input_is_a_header(topic: Topic) -> None:
    topic.produce(batch(5, 1), "--input", "web")
    (record,) = (r for records in topic.records().values() for r in records)
    assert record.headers == [("input", b"web")]


@pytest.mark.embedded
def test_until_last_ends_every_partition_with_a_marker_of_the_greatest_arrival(
    topic: Topic,
) -> None:
    event = {"event_type": "session_start", "data": {"timestamp_unixtime_ms": 9_000}}
    no_time_of_its_own = json.dumps({"mpid": 2, "events": [event]}).encode()
    from_the_future = batch(3, wall_ms() + 7_200_000)  # to be rejected: it moves no time
    lines = [batch(1, 5_000), no_time_of_its_own, batch(1, 7_000), from_the_future, b"junk"]
    result = topic.produce(b"\n".join(lines), "--until", "last", "--json")
    assert json.loads(result.stdout)["marker"] == 9_000
    for records in topic.records().values():
        marker = records[-1]
        assert (marker.key, marker.value, marker.headers) == (None, b"", [("time", b"9000")])
    assert sum(map(len, topic.records().values())) == len(lines) + PARTITIONS


@pytest.mark.embedded
def test_until_an_instant_leaves_later_batches_out(topic: Topic) -> None:
    lines = [batch(1, 999), batch(1, 1_000), batch(1, 1_001)]
    result = topic.produce(b"\n".join(lines), "--until", "1970-01-01T00:00:01Z")
    assert "1 left out because they arrive after --until" in result.stdout
    assert "time marker 1970-01-01T00:00:01.000Z in every partition" in result.stdout
    values = [r.value for records in topic.records().values() for r in records if r.value]
    assert values == lines[:2]


@pytest.mark.embedded
def test_until_an_instant_in_the_future_needs_force(topic: Topic) -> None:
    """Time never moves back: one slip of a digit would make all that follows late."""
    until = ("--until", "2126-01-15T00:00:00Z")
    with pytest.raises(UsageError, match=r"2126-01-15T00:00:00\.000Z is in the future.*--force"):
        topic.produce(batch(1, 1_000), *until)
    topic.produce(batch(1, 1_000), *until, "--force")
    at = 4_924_108_800_000
    for records in topic.records().values():
        assert (records[-1].headers, records[-1].timestamp) == ([("time", b"%d" % at)], at)


@pytest.mark.kafka
def test_a_broker_refuses_a_marker_that_is_far_ahead(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = Topic(kafka_broker, topic_prefix, tmp_path)
    with pytest.raises(BrokerError, match=r"message\.timestamp\.after\.max\.ms"):
        topic.produce(b"", "--until", "2126-01-15T00:00:00Z", "--force")


@pytest.mark.embedded
def test_without_until_there_is_no_marker(topic: Topic) -> None:
    topic.produce(batch(1, 5))
    assert sum(map(len, topic.records().values())) == 1


@pytest.mark.embedded
def test_a_line_that_no_record_can_hold_is_named(topic: Topic) -> None:
    longest = b'{"mpid":1,"x":"' + b"x" * (LONGEST_VALUE - 17) + b'"}'
    assert len(longest) == LONGEST_VALUE
    result = topic.produce(batch(1, 5) + b"\n" + longest + b"\n" + longest + b" \n" + batch(1, 6))
    assert result.stderr == "not published, longer than 1,000,000 bytes: line 3\n"
    values = [r.value for records in topic.records().values() for r in records]
    assert values == [batch(1, 5), longest, batch(1, 6)]


@pytest.mark.embedded
def test_a_rate_holds_it_back(topic: Topic) -> None:
    result = topic.produce(b"\n".join(batch(1, n) for n in range(60)), "--rate", "100", "--json")
    assert json.loads(result.stdout)["seconds"] >= 0.5

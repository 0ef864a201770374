"""What `cdp rejected` lists, shows and sends again, and what it leaves out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from cdp_stream.cli.main import cli
from cdp_stream.errors import UsageError
from cdp_stream.formats.rejects import Reason, Reject, reject_headers
from cdp_stream.kafka.produce import Routing
from cdp_stream.kafka.recovery.restore import read_to_end
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.cli.terminals import on_terminal

pytestmark = pytest.mark.embedded

PARTITIONS = 4
DEFINITIONS = """
version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}, {id: ios, kind: platform}]}
audiences:
  - {id: a, criteria: {event: Visit}}
outputs:
  - {id: mail, connector: log}
connections:
  - {audience: a, output: mail}
"""
Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


def batch(mpid: int) -> bytes:
    event = {"event_type": "custom_event", "data": {"event_name": "Visit"}}
    return json.dumps({"mpid": mpid, "events": [event]}).encode()


def rejected(reason: Reason, record: Record, offset: int) -> Record:
    """What becomes of a record at an offset of partition 1 of the input."""
    key, value, _ = record
    reject = Reject(reason, f"what is wrong: {reason}", value)
    return (
        key,
        value,
        [(name, value) for name, value in reject_headers(reject, "", 1, offset) if name != "topic"],
    )


def change(mpid: int, action: str, number: int) -> bytes:
    message = {"message_id": f"{mpid}:{number}", "mpid": str(mpid), "action": action}
    return json.dumps(message | {"connection": "a@mail"}).encode()


class System:
    """One prefix on the embedded broker, and `cdp` on it."""

    def __init__(self, broker: str, prefix: str, directory: Path) -> None:
        self.settings = Settings(broker=broker, prefix=prefix, partitions=PARTITIONS)
        asyncio.run(ensure_topics(self.settings, ["mail"], sinks=True))
        file = directory / "definitions.yaml"
        file.write_text(DEFINITIONS)
        self.cdp("apply", str(file), "--yes")

    def cdp(self, *words: str) -> str:
        flags = ("--broker", self.settings.broker, "--prefix", self.settings.prefix)
        result = CliRunner().invoke(cli, [*words, *flags], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def resend(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cdp("rejected", "resend", "--json", *words))
        return found

    def write(self, topic: str, partition: int, *records: Record) -> None:
        async def write() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.settings.brokers) as producer:
                for key, value, headers in records:
                    await producer.send_and_wait(
                        self.settings.topic(topic), value, key=key, partition=partition,
                        headers=headers,
                    )  # fmt: skip

        asyncio.run(write())

    def read(self, topic: str) -> list[tuple[int, bytes | None, bytes | None, Any]]:
        found: list[tuple[int, bytes | None, bytes | None, Any]] = []

        def take(partition: int, records: list[Any]) -> None:
            found.extend((partition, r.key, r.value, tuple(r.headers)) for r in records)

        name = self.settings.topic(topic)
        client = {"bootstrap_servers": self.settings.brokers}
        asyncio.run(read_to_end(client, name, range(PARTITIONS), take))
        return sorted(found, key=lambda record: (record[0], record[1] or b""))


@pytest.fixture
def system(embedded_broker: str, topic_prefix: str, tmp_path: Path) -> System:
    return System(embedded_broker, topic_prefix, tmp_path)


INPUT = ("input", b"web")
CAME: list[Record] = [
    (b"5", batch(5), [INPUT, ("trace", b"\xff\x01")]),
    (b"6", batch(6), [("input", b"tv")]),
    (b"7", b"{jane@example.com", [INPUT]),
    (b"8", batch(8), [INPUT]),
    (b"9", batch(9), []),
]
REJECTS = [
    rejected(Reason.UNKNOWN_INPUT, CAME[0], 0),
    rejected(Reason.UNKNOWN_INPUT, CAME[1], 1),
    rejected(Reason.NOT_JSON, CAME[2], 2),
    rejected(Reason.FUTURE_TIME, CAME[3], 3),
]
WITHOUT_VALUE = (b"9", None, [*rejected(Reason.TOO_LARGE, CAME[4], 4)[2], ("value_bytes", b"9")])
LONG_GONE = rejected(Reason.FUTURE_TIME, CAME[4], 1_000)


def test_it_lists_by_reason_and_shows_one_with_all_that_it_came_with(
    system: System, tmp_path: Path
) -> None:
    system.write("rejected", 1, *REJECTS[:3])
    system.write("rejected", 2, REJECTS[3])
    told = system.cdp("rejected")
    assert told.startswith(f"{system.settings.topic('rejected')}: 4 records\n")
    assert "        2  unknown_input\n" in told
    assert "1:2" in told
    assert "jane" not in told
    rows = [json.loads(line) for line in system.cdp("rejected", "--json").splitlines()]
    assert [(row["partition"], row["offset"], row["reason"]) for row in rows] == [
        (1, 0, "unknown_input"), (1, 1, "unknown_input"), (1, 2, "not_json"), (2, 0, "future_time"),
    ]  # fmt: skip
    assert (rows[0]["source_partition"], rows[0]["source_offset"], rows[0]["key"]) == (1, 0, "5")
    (row,) = system.cdp("rejected", "list", "--reason", "not_json", "--json").splitlines()
    assert json.loads(row)["detail"] == "what is wrong: not_json"
    assert system.cdp("rejected", "--since", str(rows[0]["time"] + 3_600_000), "--json") == ""
    shown = system.cdp("rejected", "show", "1:2")
    assert "reason: not_json\n" in shown
    assert "offset: 2\n" in shown
    assert "{jane@example.com" in shown
    as_json = json.loads(system.cdp("rejected", "show", "1:0", "--json"))
    assert json.loads(as_json["value"])["mpid"] == 5

    flags = ("--broker", system.settings.broker, "--prefix", system.settings.prefix)
    _, lines = on_terminal("rejected", *flags, columns=60, cwd=tmp_path)
    assert max(map(len, click.unstyle(lines).splitlines())) <= 60
    assert "  not_json\n    what is wrong: not_json\n" in click.unstyle(lines)


def test_what_can_be_used_by_now_is_sent_as_it_came_and_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded broker does not say that an offset is out of range.
    monkeypatch.setattr("cdp_stream.sinks.rejects.resending._PATIENCE_S", 1.0)
    system.write("events", 1, *CAME)
    system.write("rejected", 1, *REJECTS[:3], WITHOUT_VALUE, LONG_GONE)
    system.write("rejected", 2, REJECTS[3])
    before = system.read("events")
    left_out = {
        "it would be rejected again: unknown_input": 1,
        "it would be rejected again: not_json": 1,
        "the broker refused its value": 1,
        "the record is no longer in its topic, and its headers are unknown": 1,
    }
    assert system.resend("--all", "--dry-run") == {"sent": 2, "left_out": left_out}
    assert system.read("events") == before
    assert system.resend("--all") == {"sent": 2, "left_out": left_out}
    place = Routing(PARTITIONS).partition_of
    again = [(place(key), key, value, tuple(headers)) for key, value, headers in (CAME[0], CAME[3])]
    assert system.read("events") == sorted([*before, *again], key=lambda r: (r[0], r[1] or b""))
    assert system.resend("--all") == {
        "sent": 0, "left_out": left_out | {"sent again before": 2},
    }  # fmt: skip
    assert len(system.read("events")) == len(CAME) + 2
    assert "2 of them sent again" in system.cdp("rejected")
    assert "sent again" in system.cdp("rejected", "show", "1:0")
    assert system.resend("1:0", "--again") == {"sent": 1, "left_out": {}}
    assert system.resend("1:2", "--force") == {"sent": 1, "left_out": {}}
    assert len(system.read("events")) == len(CAME) + 4


def test_a_change_goes_to_its_output_again_unless_a_later_one_has_overtaken_it(
    system: System,
) -> None:
    first, second, third = change(4, "add", 1), change(8, "add", 1), change(4, "delete", 2)
    system.write(
        "output.mail", 0, (b"4", first, []), (b"8", second, []), (b"4", third, []),
        (b"12", change(12, "add", 1), []),
    )  # fmt: skip

    def refused(offset: int, key: bytes, value: bytes) -> Record:
        headers = [("reason", b"400 Not an email [/x]\x1b[2J"), ("output", b"mail")]
        return key, value, [*headers, ("offset", b"%d" % offset)]

    system.write(
        "output.mail.rejected", 0, refused(0, b"4", first), refused(1, b"8", second),
        (b"9", b"garbage", [("reason", b"it is not JSON"), ("offset", b"x")]),
    )  # fmt: skip
    (row,) = map(json.loads, system.cdp("outputs", "list", "--json").splitlines())
    assert row["rejected"] == 3
    assert "rejected: 3 changes" in system.cdp("outputs", "show", "mail")
    assert "        2  400 Not an email [/x]\\x1b[2J\n" in system.cdp(
        "rejected", "--output", "mail"
    )
    assert system.resend("--output", "mail", "--reason", "not an EMAIL") == {
        "sent": 1, "left_out": {"overtaken by a later change of the same profile": 1},
    }  # fmt: skip
    sent = [(key, value) for _, key, value, _ in system.read("output.mail")]
    assert sent.count((b"8", second)) == 2
    assert len(sent) == 5
    (row,) = map(json.loads, system.cdp("outputs", "list", "--json").splitlines())
    assert row["rejected"] == 2
    assert system.resend("--output", "mail", "--all") == {
        "sent": 0,
        "left_out": {
            "sent again before": 1,
            "it would be rejected again: it is not a change": 1,
            "overtaken by a later change of the same profile": 1,
        },
    }


def test_much_is_sent_in_pieces_and_none_of_it_twice(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdp_stream.sinks.rejects.resending._BATCH_RECORDS", 3)
    came: list[Record] = [(b"%d" % n, batch(n), [INPUT]) for n in range(10)]
    system.write("events", 1, *came)
    rejects = [rejected(Reason.FUTURE_TIME, one, n) for n, one in enumerate(came)]
    system.write("rejected", 0, *rejects)
    assert system.resend("--reason", "future_time") == {"sent": 10, "left_out": {}}
    keys = sorted(int(key) for _, key, _, _ in system.read("events") if key)
    assert keys == sorted([*range(10)] * 2)


def test_what_is_not_there_is_refused(system: System) -> None:
    flags = ("--broker", system.settings.broker, "--prefix", system.settings.prefix)

    def refusal(*words: str) -> str:
        result = CliRunner().invoke(cli, ["rejected", *words, *flags])
        assert isinstance(result.exception, UsageError), result.output
        return str(result.exception)

    nowhere = refusal("list", "--output", "mial")
    assert nowhere == "there is no output `mial`; did you mean `mail`?"
    assert refusal("list", "--reason", "no_json").endswith("`no_json`; did you mean `not_json`?")
    name = system.settings.topic("rejected")
    assert refusal("show", "1:5").startswith(f"{name} has no record at 1:5; see `cdp rejected`")
    assert refusal("show", "one").startswith("`one` is not PARTITION:OFFSET; copy one")
    assert refusal("resend").startswith(
        "cdp rejected resend: no records are selected; name records, or"
    )

"""Personal data is put everywhere where it can come from, and looked for where it must not be: in
logs, metrics, what health says, and the topics that are not there for it.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Fault
from cdp_stream.kafka.clients.probe import free_port
from cdp_stream.sinks.delivery.destination import destination_of
from cdp_stream.sinks.http.cancellation import Cancellation
from cdp_stream.sinks.http.secrets import Redaction
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from tests.sinks.connectors import Post, PostSettings, change
from tests.sinks.running import Running, partner, running
from tests.topologies.running import ended, eventually

SEED = "Pii7x"
"""In every value that tells who somebody is."""

PERSONAL = ("events", "rejected", "memberships", "membership-state", "profiles-changelog",
            "output.out", "output.out.rejected")  # fmt: skip
"""The topics that are there for it; docs/operations.md names them."""
OTHERS = {"faults": 1, "sink-state": 1}

DEFINITIONS = """
version: 1
account: test
workspaces:
  - id: shop
    inputs:
      - {id: web, kind: platform}
audiences:
  - id: a
    criteria: {event: Visit}
outputs:
  - id: out
    connector: webhook
    settings: {url: "URL", secret: "${CDP_SECRET_HOOK}", allow_private: true, retry_for: 2s}
  - id: files
    connector: file
    settings: {directory: "/proc/none/such", retry_for: 1s}
connections:
  - {audience: a, output: out, user_attributes: [City, note]}
  - {audience: a, output: files}
"""
PERSON: dict[str, Any] = {
    "mpid": 7,
    "timestamp_unixtime_ms": 1_700_000_000_000,
    "user_identities": [
        {"identity_type": "email", "identity": f"{SEED}.jane+x@person.example"},
        {"identity_type": "customer_id", "identity": f'c/ä"{SEED}"'},
    ],
    "user_attributes": {"City": f"{SEED}-Zürich", "note": f"<{SEED} & co>"},
    "events": [
        {
            "event_type": "custom_event",
            "data": {"event_name": "Visit", "custom_attributes": {"page": f"/{SEED}"}},
        }
    ],
}

UNWATCHED = SinkMetrics(of_process=False).of("out")


def bad_input() -> list[tuple[bytes | None, bytes]]:
    """Records that cannot be used, each for a reason of its own, as far as input alone can be."""
    mpid = PERSON["mpid"]
    event: dict[str, Any] = PERSON["events"][0]
    changed: list[dict[str, Any]] = [
        {"mpid": SEED},
        {"mpid": 8},
        {"user_attributes": [SEED]},
        {"user_attributes": {"deep": {"deeper": SEED}}},
        {"user_identities": [{"identity_type": "email", "identity": [SEED]}]},
        {"user_identities": SEED},
        {"events": [{**event, "event_type": SEED}]},
        {"events": [{**event, "data": SEED}]},
        {"events": [{**event, "data": {"event_name": [SEED]}}]},
        {"timestamp_unixtime_ms": SEED},
        {"timestamp_unixtime_ms": 4_000_000_000_000},
        {"device_info": SEED, "consent_state": SEED, "ip": [SEED]},
    ]
    key = str(mpid).encode()
    records = [(key, json.dumps({**PERSON, **one}).encode()) for one in changed]
    broken = [(key, f'{{"mpid": 7, "{SEED}'.encode()), (key, f'"{SEED}"'.encode())]
    odd_keys = [(f"{SEED}@person.example".encode(), json.dumps(PERSON).encode())]
    return [*records, *broken, *odd_keys, (None, SEED.encode())]


async def produce(ran: Running, records: list[tuple[bytes | None, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=ran.settings.brokers)
    await producer.start()
    try:
        for key, value in records:
            # Everything of a profile is in one partition; 7 % 4 does where there is no other.
            await producer.send_and_wait(ran.settings.topic("events"), value, key=key)
    finally:
        await producer.stop()


async def echoed(changes: list[dict[str, Any]]) -> web.Response:
    """A partner that says everything again, in several ways, cut off in the middle of one."""
    people = [[one["user_attributes"], one["user_identities"]] for one in changes]
    said = json.dumps(people)
    return web.Response(status=404, text=f"no such users: {people} {said} {json.dumps(said)}")


@pytest.mark.kafka
@pytest.mark.slow
async def test_no_log_no_metric_and_no_topic_of_ours_says_who_somebody_is(
    kafka_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    port = free_port()
    async with (
        partner() as there,
        running(kafka_broker, topic_prefix, tmp_path, there.url) as ran,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        there.answer = echoed
        ran.define(DEFINITIONS.replace("URL", there.url))
        worker = ran.start(
            "--metrics-port", str(port), only="profiles,sinks", CDP_LOG_LEVEL="debug"
        )
        good = (b"7", json.dumps(PERSON).encode())
        await produce(ran, [*bad_input(), good])
        await eventually(lambda: ran.state_is("out", "faulted"))
        await eventually(lambda: ran.state_is("files", "faulted"))

        async def is_rejected() -> bool:
            return len(await ran.read("rejected")) >= len(bad_input())

        await eventually(is_rejected)
        why = [dict(one.headers) for one in await ran.read("rejected")]
        assert len({headers["reason"] for headers in why}) > 5, "they are bad in many ways"
        assert SEED.lower().encode() not in b"".join(one["detail"] for one in why).lower()
        record = await ran.fault_record("out")
        assert record is not None
        assert "answered 404 no such users: " in record["message"]
        assert "***" in record["message"]
        told = [(await client.get(path)).text for path in ("/metrics", "/outputs", "/readyz")]
        told.append(await ran.cdp("outputs", "show", "out"))
        worker.send_signal(signal.SIGTERM)
        assert await ended(worker, within=20) == 0
        told.append(ran.log_of(worker))
        assert '"code": "refused", "status": 404' in told[-1]
        for suffix, partitions in OTHERS.items():
            told += [
                f"{one.key} {one.value} {one.headers}" for one in await ran.read(suffix, partitions)
            ]
        for text in told:
            assert SEED.lower() not in text.lower()
        held = [await ran.read(suffix) for suffix in PERSONAL]
        assert all(SEED in str(records) for records in held[:2]), "it was there to be found"


# -- what no partner and no input brings about at will ---------------------------------------------


class Failing(Post):
    """Fails with what it was given, where nobody foresaw it."""

    def deliver(self, changes: Any) -> Any:
        raise KeyError(changes[0].identities)
        yield


class Quoting(Post):
    """A fault with words of a partner that are no answer's own."""

    def deliver(self, changes: Any) -> Any:
        raise Fault("connection", f"the row of {changes[0].identities} is not there; look there")
        yield


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [(Failing, "connector", "KeyError"), (Quoting, "refused", "the row of ")],
)
async def test_the_fault_of_a_connector_says_nobody(kind: type[Post], code: str, says: str) -> None:
    to = destination_of(
        kind("out", PostSettings(url="http://x.example")), Path(), Redaction(), UNWATCHED
    )
    await to.open()
    with pytest.raises(Fault, match=says) as raised:
        await to.deliver([_person()], Cancellation())
    await to.close()
    assert raised.value.code == code
    assert SEED.lower() not in raised.value.message.lower()


def _person() -> OutputChange[Any]:
    one = change(1)
    return OutputChange(
        one.message_id, one.action, one.audience_id, one.audience_name, one.mpid, one.effective_at,
        None, (("email", f"{SEED}@person.example"),), {"a": f"{SEED} b"}, one.connection,
        one.settings, None, {},
    )  # fmt: skip

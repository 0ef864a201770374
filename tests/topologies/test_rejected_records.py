"""The exact record that lands in `cdp.rejected`, for every reason, from a worker on Kafka."""

import json
import os

import pytest

from cdp_stream.formats.rejects import Reason
from cdp_stream.partition.placement import hash_of
from tests.brokers.forked import run_cdp
from tests.topologies.cdp_workers import CdpRunning
from tests.topologies.running import eventually, workers_on

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PLACE = 3
"""Where murmur2 puts profile 7, of four partitions."""
AT = 1_700_000_000_000
HOUR = 3_600_000
TIMES = "expected an integer in [0, 253402300799999]"
BAD_EVENT = {
    "event_type": "custom_event",
    "data": {"event_name": "Visit", "timestamp_unixtime_ms": -1},
}
ERASE = ("erase", b"")
GOOD_EVENT = {"event_type": "custom_event", "data": {"event_name": "Visit"}}


def batch(**members: object) -> bytes:
    return json.dumps({"mpid": 7, **members}, separators=(",", ":")).encode()


TOO_LARGE = b'{"mpid":7,"x":"' + b"a" * 131_072 + b'"}'
FUTURE = batch(timestamp_unixtime_ms=AT + HOUR + 1)
BAD_PROFILE = batch(user_attributes={"good": 1, "bad": {}})
FULL = batch(user_attributes={f"k{number}": "x" * 4_000 for number in range(30)})

# (key, value, headers, reason, detail, value that is published)
CASES = [
    (b"7", TOO_LARGE, [], "too_large", "value: expected at most 131072 bytes", TOO_LARGE),
    (b"7", b"[]", [], "not_an_object", "$: expected an object", b"[]"),
    (
        b"seven", batch(), [], "bad_key",
        "key: expected the mpid as decimal text of a signed 64-bit integer", batch(),
    ),
    (
        b"7", b'{"mpid":null}', [], "no_mpid",
        "$.mpid: expected a signed 64-bit integer or its decimal text", b'{"mpid":null}',
    ),
    (
        b"8", batch(), [], "mpid_key_mismatch",
        "$.mpid: expected the key of the record, 8", batch(),
    ),
    (
        b"7", batch(), [("input", b"nowhere")], "unknown_input",
        "header input: expected the id of an input of the account", batch(),
    ),
    (
        b"7", FUTURE, [], "future_time",
        f"$.timestamp_unixtime_ms: expected at most an hour after the record's timestamp, {AT}",
        FUTURE,
    ),
    (
        None, b"", [("time", b"%d" % (AT + HOUR + 1))], "future_time",
        f"header time: expected at most an hour after the record's timestamp, {AT}", b"",
    ),
    (
        b"2", batch(mpid=2, events=[BAD_EVENT]), [], "wrong_partition",
        "key: expected in partition 0 of 4, where murmur2 puts it, found in 3",
        batch(mpid=2, events=[BAD_EVENT]),
    ),
    (
        b"7", batch(events=[GOOD_EVENT, BAD_EVENT]), [], "bad_event",
        f"$.events[1].data.timestamp_unixtime_ms: {TIMES}", batch(events=[BAD_EVENT]),
    ),
    (
        b"7", BAD_PROFILE, [], "bad_profile",
        "$.user_attributes.bad: expected text, a number, a boolean, null or a list of those",
        BAD_PROFILE,
    ),
]  # fmt: skip


ran = workers_on("kafka_broker", CdpRunning, clock="stream")


async def rejected(ran, sent):
    """Publish (key, value, headers) one by one and run a worker until all are behind it."""
    await ran.create_topics()
    for key, value, headers in sent:
        await ran.produce([(PLACE, key, value)], timestamp_ms=AT, headers=headers)
    ran.start_cdp()
    await eventually(lambda: ran.caught_up(len(sent)))
    found = await ran.read("rejected")
    assert [len(records) for number, records in sorted(found.items()) if number != PLACE] == [
        0,
        0,
        0,
    ]
    return found[PLACE]


async def test_a_bad_record_is_published_unchanged_with_its_reason(ran):
    records = await rejected(ran, [(key, value, headers) for key, value, headers, *_ in CASES])
    topic = ran.settings.topic("events").encode()
    assert [(r.key, r.value, r.headers) for r in records] == [
        (
            key,
            published,
            [
                ("reason", reason.encode()),
                ("detail", detail.encode()),
                ("topic", topic),
                ("partition", b"%d" % PLACE),
                ("offset", b"%d" % offset),
            ],
        )
        for offset, (key, _value, _headers, reason, detail, published) in enumerate(CASES)
    ]


async def test_misplaced_records_are_a_fact_in_the_log(ran):
    await rejected(ran, [(b"2", batch(mpid=2), []), (b"7", batch(), []), (b"2", b"", [ERASE])])

    async def is_logged():
        return ran.facts(ran.workers[0], "records_in_wrong_partition")

    await eventually(is_logged)
    (fact,) = ran.facts(ran.workers[0], "records_in_wrong_partition")
    assert (fact["partitions"], fact["level"]) == ([PLACE], "warning")
    assert 1 <= fact["records"] <= 2


async def test_text_that_is_not_json_is_published_unchanged(ran):
    (record,) = await rejected(ran, [(b"7", b'{"mpid":7,', [])])
    headers = dict(record.headers)
    assert (record.key, record.value) == (b"7", b'{"mpid":7,')
    assert headers["reason"] == b"not_json"
    assert headers["detail"].startswith(b"value: expected JSON in UTF-8")


async def test_what_no_longer_fits_into_a_profile_is_published(ran):
    full = [(b"7", FULL.replace(b'"k', b'"%dk' % number), []) for number in range(5)]
    records = await rejected(ran, full)
    assert [(r.key, r.value, dict(r.headers)["reason"]) for r in records] == [
        (b"7", full[4][1], b"profile_too_large")
    ]


SHOP = """version: 1
account: shop
workspaces:
  - {id: main, lookback: 30d, inputs: [{id: web, kind: platform}]}
audiences:
  - {id: visitors, criteria: {event: Visit, when: {last: 40m}}}
"""


async def test_what_was_rejected_is_told_and_counts_once_it_is_sent_again(ran, tmp_path):
    async def cdp(*words):
        flags = ["--broker", ran.settings.broker, "--prefix", ran.settings.prefix]
        code, out, errors = await run_cdp([*words, *flags], env=os.environ, cwd=tmp_path)
        assert code == 0, errors
        return out

    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    await cdp("apply", str(file), "--yes")
    await ran.create_topics()
    worker = ran.start_cdp(None)
    visit = batch(events=[GOOD_EVENT])
    came = [("input", b"kiosk"), ("trace", b"\x00\xff")]
    partition = hash_of(b"7") % ran.partitions
    for _ in range(3):
        await ran.produce([(partition, b"7", visit)], headers=came)
    await eventually(lambda: ran.caught_up(3))
    (told,) = ran.facts(worker, "records_rejected")
    assert (told["reason"], told["count"] in {1, 2, 3}) == ("unknown_input", True)
    assert "        3  unknown_input" in await cdp("rejected")
    asked = ("rejected", "resend", "--reason", "unknown_input", "--json")
    unknown = {"it would be rejected again: unknown_input": 3}
    assert json.loads(await cdp(*asked)) == {"sent": 0, "left_out": unknown}
    file.write_text(SHOP.replace("kind: platform}", "kind: platform}, {id: kiosk, kind: platform}"))
    await cdp("apply", str(file), "--yes")

    async def is_in_force():
        return ran.facts(worker, "definitions_read")[-1]["version"] == "2"

    await eventually(is_in_force)
    assert json.loads(await cdp(*asked)) == {"sent": 3, "left_out": {}}
    before = {"sent": 0, "left_out": {"sent again before": 3}}
    assert json.loads(await cdp(*asked)) == before

    async def has_joined():
        return await ran.count("memberships") > 0

    await eventually(has_joined)
    again = (await ran.read("events"))[partition][3:]
    assert [(r.key, r.value, list(r.headers)) for r in again] == [(b"7", visit, came)] * 3


def test_every_reason_is_covered():
    here = {case[3] for case in CASES} | {"not_json", "profile_too_large"}
    assert here == {reason.value for reason in Reason}

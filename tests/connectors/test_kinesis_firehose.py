"""What records a Firehose stream gets, and what its answers come to."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.connectors.partners.kinesis_firehose import _NAMES, KinesisFirehose
from tests.connectors.changes import NOON, change, identity
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden, conformance
from tests.partners.aws import KEYS, REGION, SECRET, Stream, firehose_error
from tests.partners.converse import converse
from tests.partners.partner import json_answer

EVERY = {one: identity(one, 1) for one in _NAMES}
ID = f"vip:101:{NOON}:0"
GONE = f"vip::{NOON}:vip@out:audience_delete:0"


def record(**more):
    said = {
        "MembershipChangedTimestamp": "1754049600000",
        "AudienceId": "vip",
        "AudienceName": "VIP customers",
        "MessageId": ID,
        **more,
    }
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def golden(name, changes, *records):
    body = {
        "DeliveryStreamName": "audiences",
        "Records": [{"Data": b64encode(one).decode()} for one in records],
    }
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "Firehose_20150804.PutRecordBatch",
        "x-amz-date": "20250801T120640Z",
    }
    url = "https://firehose.eu-west-1.amazonaws.com/"
    return Golden(name, changes, [Expected("POST", url, body, headers)])


def held(one):
    return {"MPID": "101", **{_NAMES[kind]: value for kind, value in one.identities}}


ADDED, DELETED = change(ADD, identities=EVERY), change(DELETE, identities=EVERY)
TWO = [("email", "a@b.example"), ("email", "c@d.example"), ("other_id_3", "o3")]
CASE = Case(
    KinesisFirehose,
    {**KEYS, "secret_access_key": SECRET, "region": REGION, "delivery_stream": "audiences"},
    lambda: Stream(NOW),
    lambda identity_type, value: value,
    goldens=[
        golden("add", [ADDED], record(IsMember=True, UserIdentities=held(ADDED))),
        golden("delete", [DELETED], record(IsMember=False, UserIdentities=held(DELETED))),
        golden(
            "two emails",
            [change(ADD, identities=TWO)],
            record(
                IsMember=True,
                UserIdentities={"MPID": "101", "Email": "a@b.example", "Other3": "o3"},
            ),
            record(IsMember=True, UserIdentities={"MPID": "101", "Email": "c@d.example"}),
        ),
        golden(
            "audience deleted",
            [change(AUDIENCE_DELETE)],
            record(AudienceDeleted=True).replace(ID.encode(), GONE.encode()),
        ),
    ],
    answers=[
        Answered(
            "none-taken",
            json_answer(
                200,
                {
                    "FailedPutCount": 1,
                    "RequestResponses": [{"ErrorCode": "ServiceUnavailableException"}],
                },
            ),
            "retry",
        ),
        Answered("throttled", firehose_error(400, "ThrottlingException"), "retry"),
        Answered("limit", firehose_error(400, "a.b#LimitExceededException"), "retry"),
        Answered("unavailable", firehose_error(503, "ServiceUnavailableException"), "retry"),
        Answered("no-stream", firehose_error(400, "ResourceNotFoundException"), "output"),
        Answered("denied", firehose_error(400, "AccessDeniedException"), "output"),
        Answered("token", firehose_error(403, "ExpiredTokenException"), "output"),
        Answered("argument", firehose_error(400, "InvalidArgumentException", "why"), "output"),
    ],
    most_rows=500,
    rows_in=lambda request: len(json.loads(request.body)["Records"]),
    most_bytes=6 * 1024 * 1024,
)

TestConforms = conformance(CASE)


def test_only_the_records_that_failed_are_sent_again():
    partner = Stream(NOW)
    exchange = CASE.exchange()
    changes = [CASE.filled(change(ADD, mpid=str(n), identities=EVERY)) for n in range(12)]
    assert converse(exchange, changes, partner.answer) == Outcome()
    counts = [len(json.loads(one.body)["Records"]) for one in exchange.sent]
    assert counts == [12, 2]
    again = [b64decode(one["Data"]) for one in json.loads(exchange.sent[1].body)["Records"]]
    assert [json.loads(one)["UserIdentities"]["MPID"] for one in again] == ["4", "9"]


def test_a_record_that_is_too_large_is_rejected_and_the_rest_goes_on():
    partner = Stream(NOW, troubled=False)
    changes = [
        CASE.filled(change(ADD, mpid="1", identities={"other": "x" * 1_100_000})),
        CASE.filled(change(ADD, mpid="2", identities={"other": "y"})),
    ]
    outcome = converse(CASE.exchange(), changes, partner.answer)
    assert outcome == Outcome({0: "a record may have 1,000 KiB"})
    assert partner.members(None) == {"y"}


def test_many_large_records_come_in_several_calls():
    partner = Stream(NOW, troubled=False)
    changes = [
        CASE.filled(change(ADD, mpid=str(n), identities={"other": f"{n}" + "x" * 900_000}))
        for n in range(9)
    ]
    exchange = CASE.exchange()
    assert converse(exchange, changes, partner.answer) == Outcome()
    assert [len(json.loads(one.body)["Records"]) for one in exchange.sent] == [4, 4, 1]


def test_temporary_credentials_send_their_token():
    case = replace(CASE, settings={**CASE.settings, "session_token": "FwoGZXIvYXdzEBYaD"})
    exchange = case.exchange()
    converse(exchange, [case.filled(change(ADD))], Stream(NOW).answer)
    assert exchange.sent[0].headers["x-amz-security-token"] == "FwoGZXIvYXdzEBYaD"

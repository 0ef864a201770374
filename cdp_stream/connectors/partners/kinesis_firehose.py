"""Amazon Data Firehose (Kinesis Firehose): each change is a record of the stream.

Records of one call may fail alone; those are sent again, until the stream has accepted all.

Source: docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html (500 records,
4 MiB; 1,000 KiB each before base64) and CommonErrors.html.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson
from pydantic import Field

from cdp_stream.connectors.auth.aws import AwsSettings, signed
from cdp_stream.connectors.change import AUDIENCE_DELETE, DELETE, OutputChange, json_bytes
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Outcome,
    Request,
    Token,
    TryAgain,
)
from cdp_stream.connectors.members.members import fitting
from cdp_stream.connectors.settings import ConnectionSettings

__all__ = ["KinesisFirehose"]

_RECORDS: Final = 500
_SIZE: Final = 4 * 1024 * 1024
_RECORD: Final = 1000 * 1024
_HEADERS: Final = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "Firehose_20150804.PutRecordBatch",
}
_PASSING: Final = frozenset(
    (
        "InternalFailure",
        "LimitExceededException",
        "RequestExpired",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ThrottlingException",
    )
)

_NAMES: Final = {
    "customer_id": "CustomerId",
    "email": "Email",
    "other": "Other",
    **{f"other_id_{n}": f"Other{n}" for n in range(2, 11)},
    "facebook": "FacebookId",
    "facebook_custom_audience_id": "FacebookCustomAudienceId",
    "twitter": "TwitterId",
    "google": "GoogleId",
    "microsoft": "MicrosoftId",
    "yahoo": "YahooId",
    "alias": "Alias",
    "mobile_number": "MobileNumber",
    "phone_number_2": "PhoneNumber2",
    "phone_number_3": "PhoneNumber3",
    "ios_advertising_id": "IosAdvertisingIdentifier",
    "ios_idfv": "IosVendorIdentifier",
    "android_advertising_id": "GoogleAdvertisingIdentifier",
    "android_uuid": "AndroidId",
    "roku_advertising_id": "RokuAdvertisingIdentifier",
    "roku_publisher_id": "RokuPublisherIdentifier",
    "microsoft_advertising_id": "MicrosoftAdvertisingIdentifier",
    "microsoft_publisher_id": "MicrosoftPublisherIdentifier",
    "fire_advertising_id": "FireAdvertisingIdentifier",
    "amp_id": "AmpId",
    "push_token": "PushToken",
    "mp_deviceid": "DeviceApplicationStamp",
}


class FirehoseSettings(AwsSettings):
    """Which stream."""

    delivery_stream: str = Field(description="The stream's name.")


class KinesisFirehose(HttpConnector[FirehoseSettings, ConnectionSettings]):
    """Records of changes."""

    name = "kinesis-firehose"
    title = "Amazon Data Firehose"
    summary = "Puts each change as a record into a Firehose (Kinesis) stream."
    output_settings = FirehoseSettings
    identities = frozenset(_NAMES)
    pattern = "stream"
    on_audience_delete = "pass"
    batching = Batching(count=_RECORDS, size=3_000_000, per_connection=False)
    extra = "aws"

    def __init__(self, output: str, settings: FirehoseSettings) -> None:
        super().__init__(output, settings)
        self._head = b'{"DeliveryStreamName":' + orjson.dumps(settings.delivery_stream)

    def deliver(self, changes: Sequence[OutputChange[ConnectionSettings]]) -> Delivery:
        """In calls of at most 500 records; what a call left out comes in the next."""
        rejected: dict[int, str] = {}
        records: list[bytes] = []
        for place, change in enumerate(changes):
            made = list(_records(change))
            if max(map(len, made)) > _RECORD:
                rejected[place] = "a record may have 1,000 KiB"
            else:
                records += made
        for piece in fitting([len(one) for one in records], _RECORDS, _SIZE):
            waiting = records[piece]
            while waiting:
                answer = yield self._call(waiting)
                if not answer.ok:
                    raise self._refused(answer)
                failed = _failed(answer)
                waiting = [one for place, one in enumerate(waiting) if place in failed]
        return Outcome(rejected)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """Signed for this instant: AWS refuses what is older than five minutes."""
        return signed(request, now, "firehose", self.settings)

    def classify(self, request: Request, answer: Answer) -> TryAgain | Fault | None:
        """Firehose answers most errors with 400; and 200 when it has accepted no record at all."""
        if answer.ok:
            answers = answer.objects("RequestResponses")
            return TryAgain() if answers and len(_failed(answer)) == len(answers) else None
        if _kind(answer) in _PASSING:
            return TryAgain()
        return super().classify(request, answer)

    def _call(self, records: Sequence[bytes]) -> Request:
        data = b",".join([b'{"Data":"' + b64encode(one) + b'"}' for one in records])
        region = self.settings.region
        url = (self.settings.api_url or f"https://firehose.{region}.amazonaws.com").rstrip("/")
        return Request("POST", f"{url}/", self._head + b',"Records":[' + data + b"]}", _HEADERS)

    def _refused(self, answer: Answer) -> Fault:
        return Fault(
            "output",
            f"Firehose refused records for {self.settings.delivery_stream}: {answer.words()}; "
            f"check the stream, its region and the credentials, then resume output {self.output}",
        )


def _failed(answer: Answer) -> frozenset[int]:
    """The places of the records that were not accepted."""
    answers = answer.at("RequestResponses")
    if not isinstance(answers, list):
        return frozenset()
    return frozenset(
        place for place, one in enumerate(answers) if isinstance(one, dict) and one.get("ErrorCode")
    )


def _kind(answer: Answer) -> str:
    """The error's name, which may have a namespace before it or an address behind it."""
    kind = answer.at("__type")
    return kind.rpartition("#")[2].partition(":")[0] if isinstance(kind, str) else ""


def _records(change: OutputChange[ConnectionSettings]) -> Iterator[bytes]:
    """A record has one identity of a type; who has more of a type gets more records."""
    record: dict[str, Any] = {
        "MembershipChangedTimestamp": str(change.effective_at),
        "AudienceId": change.audience_id,
        "AudienceName": change.audience_name,
        "MessageId": change.message_id,
    }
    if change.action == AUDIENCE_DELETE:
        yield json_bytes(record | {"AudienceDeleted": True}) + b"\n"
        return
    record["IsMember"] = change.action != DELETE
    parts: list[dict[str, str]] = [{"MPID": change.mpid}]
    for identity_type, identity in change.identities:
        name = _NAMES.get(identity_type)
        if name is None:
            continue
        free = next((one for one in parts if name not in one), None)
        if free is None:
            free = {"MPID": change.mpid}
            parts.append(free)
        free[name] = identity
    for part in parts:
        yield json_bytes(record | {"UserIdentities": part}) + b"\n"

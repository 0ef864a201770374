"""The Trade Desk: first-party data of an advertiser, by device.

An item is a device and a segment with the minutes that it stays there; 0 removes it. Items that are
not accepted are named in `FailedLines`; the others are accepted.

Source: partner.thetradedesk.com/v3/portal/data/doc/post-data-advertiser-firstparty (for partners
only), as mParticle's page and RudderStack's and InfoSum's published connectors have it: the
signature, the addresses, `FailedLines`, 413, and that names may not have `'`, `"`, `,` and `^`.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from pydantic import Field

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Outcome,
    Request,
    Token,
)
from cdp_stream.connectors.members.hashing import DEVICES, normal_device_id, sha256_hex
from cdp_stream.connectors.members.members import Form, Member, fitting, last_of_each_form
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr

__all__ = ["TheTradeDesk", "segment_name"]

_SIZE: Final = 2_000_000
_ITEMS: Final = 10_000
_TOO_LARGE: Final = 413
_NAME: Final = 49
_FORBIDDEN: Final = re.compile(r"""['",^]""")
_LINE: Final = re.compile(r"item #(\d+)")
_FORMS: Final[dict[str, Form]] = {
    **dict.fromkeys(DEVICES, normal_device_id),
}


class TradeDeskSettings(HttpSettings):
    """An advertiser."""

    advertiser_id: str = Field(description="The advertiser's id.")
    secret_key: SecretStr = Field(description="The advertiser's secret key, for signatures.")
    region: Literal["use", "usw", "euw", "sin", "tok"] = Field(
        "use", description="The nearest of The Trade Desk's data centres."
    )


class TradeDeskConnection(ConnectionSettings):
    """Which segment."""

    segment_name: str | None = Field(
        None,
        description="The segment's name; default: the audience's, adapted to the allowed "
        "characters.",
    )
    ttl_days: int = Field(
        180,
        ge=1,
        le=180,
        description="How long a device remains in the segment without another add.",
    )


class TheTradeDesk(HttpConnector[TradeDeskSettings, TradeDeskConnection]):
    """Devices of segments."""

    name = "the-trade-desk"
    title = "The Trade Desk"
    summary = "Adds devices to first-party segments of an advertiser and removes them."
    output_settings = TradeDeskSettings
    connection_settings = TradeDeskConnection
    identities = frozenset(_FORMS)
    batching = Batching(count=_ITEMS, interval_ms=60_000)
    max_connections = 4

    def deliver(self, changes: Sequence[OutputChange[TradeDeskConnection]]) -> Delivery:
        """Each device once, in or out; a request that is too large is sent in halves."""
        members, refused = last_of_each_form(changes, _FORMS)
        items = [_item(one) for one in members]
        pieces = fitting([len(one) + 1 for one in items], _ITEMS, _SIZE)
        while pieces:
            piece = pieces.pop(0)
            count = piece.stop - piece.start
            answer = yield self._upload(items[piece])
            if answer.status == _TOO_LARGE and count > 1:
                middle = piece.start + count // 2
                pieces[:0] = [slice(piece.start, middle), slice(middle, piece.stop)]
                continue
            for place, why in self._failed(answer, count).items():
                refused[members[piece][place].place] = why
        return Outcome(refused)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """With the signature of the body."""
        key = self.settings.secret_key.get_secret_value().encode()
        signature = b64encode(hmac.digest(key, request.body, "sha1")).decode()
        return request.with_headers(ttdsignature=signature)

    def list_of(self, settings: TradeDeskConnection) -> str | None:
        """The segment, where it is named; it is there as soon as something is in it."""
        return settings.segment_name

    def _upload(self, items: Sequence[bytes]) -> Request:
        settings = self.settings
        host = (settings.api_url or f"https://{settings.region}-data.adsrvr.org").rstrip("/")
        head = b'{"AdvertiserId":' + orjson.dumps(settings.advertiser_id) + b',"Items":['
        headers = {"content-type": "application/json"}
        return Request("POST", f"{host}/data/advertiser", head + b",".join(items) + b"]}", headers)

    def _failed(self, answer: Answer, count: int) -> dict[int, str]:
        """Place -> why, of the items that were not accepted.

        Raises:
            Fault: the request is refused for something else.
        """
        failed: dict[int, str] = {}
        for line in answer.objects("FailedLines"):
            words = f"{line.get('ErrorCode', '')}: {line.get('Message', '')}"
            found = _LINE.search(words)
            if found and 0 < int(found[1]) <= count:  # they are counted from 1
                failed[int(found[1]) - 1] = words[:300]
        if failed or (answer.ok and not answer.objects("FailedLines")):
            return failed
        raise Fault(
            "output",
            f"The Trade Desk refused devices: {answer.words()}; check the advertiser and the "
            f"region, then resume output {self.output}",
        )


def segment_name(name: str) -> str:
    """A name as it is allowed: under 50 characters; two that are cut differ still."""
    allowed = _FORBIDDEN.sub(" ", name).strip() or "audience"
    if len(allowed) <= _NAME:
        return allowed
    return f"{allowed[: _NAME - 9]}-{sha256_hex(name)[:8]}"


def _item(member: Member) -> bytes:
    change = member.change
    seconds = min(max(change.effective_at // 1000, 0), 253_402_300_799)
    data: dict[str, Any] = {
        "Name": change.settings.segment_name or segment_name(change.audience_name),
        "TtlInMinutes": change.settings.ttl_days * 1440 if member.is_in else 0,
        "TimestampUtc": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return orjson.dumps({"DAID": member.identity, "Data": [data]})

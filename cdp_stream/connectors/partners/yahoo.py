"""Yahoo DSP: segments of the DataX taxonomy, by the DataX Real-Time API.

A row is one identifier and its qualification for a segment, until an instant: 0 removes it. The
segment must be in the taxonomy (Yahoo's own interface or its taxonomy API, about half an hour
before it accepts users), so none is made here. Of rows that it refuses, Yahoo names some; where it
does not name all, the rows are sent again in halves: the same row twice does no harm.

Sources: help.yahooinc.com/datax/docs/user-and-audience-data, .../datax/docs/post-audience (`ts`,
`exp`), .../dsp-api/docs/setup-access-guide (the token). Not documented there, and as
Segment's published connector has it: the address, the scope and realm of the token, the names
`SHA256EMAIL` and `GPADVID`, and `exp=0`.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final

import orjson
from pydantic import Field

from cdp_stream.connectors.calls import Sent, form_request, in_parts, json_request, refreshed
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import (
    Answer,
    Delivery,
    Fault,
    Request,
    Token,
    TokenFetch,
)
from cdp_stream.connectors.members.hashing import DEVICES, email_sha256, normal_device_id
from cdp_stream.connectors.members.members import Form, Member, last_of_each_form, outcome
from cdp_stream.connectors.settings import ConnectionSettings, HttpSettings, SecretStr

__all__ = ["Yahoo"]

_ROWS: Final = 5_000
_DAY_S: Final = 86_400
_TOKEN_URL: Final = "https://id.b2b.yahooinc.com/identity/oauth2/access_token"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE_S: Final = 600
_REJECTS_ROWS: Final = frozenset((400, 413, 422))
_SCHEMA: Final = ("SHA256EMAIL", "IDFA", "GPADVID", "SEGMENTS")


_FORMS: Final[dict[str, Form]] = {
    "email": email_sha256,
    **dict.fromkeys(DEVICES, normal_device_id),
}
_CELL: Final = {"email": 0, "ios_advertising_id": 1, "android_advertising_id": 2}


class YahooSettings(HttpSettings):
    """A DataX client."""

    client_id: str = Field(description="The client's id.")
    client_secret: SecretStr = Field(description="The client's secret.")
    token_url: str = Field(_TOKEN_URL, description="The address of the token endpoint.")
    gdpr: bool = Field(False, description="Whether the GDPR applies to these users.")
    gdpr_euconsent: str | None = Field(
        None, description="The users' consent as an IAB TCF string, if the GDPR applies."
    )


class YahooConnection(ConnectionSettings):
    """Which segment."""

    segment_id: str = Field(description="The segment's id in the DataX taxonomy.")
    expires_days: int = Field(
        45, ge=1, le=365, description="How long a user remains in the segment without another add."
    )


class Yahoo(HttpConnector[YahooSettings, YahooConnection]):
    """Users of segments."""

    name = "yahoo"
    title = "Yahoo DSP"
    summary = "Adds users to segments of Yahoo's DataX taxonomy and removes them."
    output_settings = YahooSettings
    connection_settings = YahooConnection
    identities = frozenset(_FORMS)
    batching: ClassVar[Batching] = Batching(count=_ROWS, interval_ms=60_000)
    max_connections = 4

    def deliver(self, changes: Sequence[OutputChange[YahooConnection]]) -> Delivery:
        """Each identifier once, in or out."""
        members, unusable = last_of_each_form(changes, _FORMS)
        refused = yield from in_parts(members, _ROWS, self._send)
        return outcome(refused, unusable)

    def _send(self, members: Sequence[Member]) -> Sent:
        answer = yield self._upload(members)
        return self._refused(answer, members)

    def authorized(self, request: Request, now: int, token: Token | None) -> Request:
        """With the bearer token."""
        return request.with_headers(authorization=f"Bearer {token.value}") if token else request

    def fetch_token(self, now: int) -> TokenFetch:
        """Exchange an assertion that is signed with the client's secret for an access token."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": self._assertion(now // 1000),
            "scope": "audience",
            "realm": "dataxonline",
        }
        cure = f"check client_id and client_secret of output {self.output}, then resume it"
        return refreshed("Yahoo", form_request(self.settings.token_url, form), now, cure)

    def list_of(self, settings: YahooConnection) -> str | None:
        """The segment."""
        return settings.segment_id

    def _assertion(self, now_s: int) -> str:
        settings = self.settings
        claims = {
            "iss": settings.client_id,
            "sub": settings.client_id,
            "aud": f"{settings.token_url}?realm=dataxonline",
            "jti": sha256(f"{self.output} {now_s}".encode()).hexdigest()[:24],
            "iat": now_s,
            "exp": now_s + _LIFE_S,
        }
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
        key = settings.client_secret.get_secret_value().encode()
        return f"{signed}.{_unpadded(hmac.digest(key, signed.encode(), 'sha256'))}"

    def _upload(self, members: Sequence[Member]) -> Request:
        settings = self.settings
        content: dict[str, Any] = {
            "schema": _SCHEMA,
            "data": [_row(one) for one in members],
            "gdpr": settings.gdpr,
        }
        if settings.gdpr_euconsent:
            content["gdpr_euconsent"] = settings.gdpr_euconsent
        host = (settings.api_url or "https://dataxonline.yahoo.com").rstrip("/")
        return json_request("POST", f"{host}/online/audience/", content)

    def _refused(self, answer: Answer, rows: Sequence[Member]) -> Mapping[int, str] | str:
        """Place -> why, of the rows that were not accepted; or words, where Yahoo names none.

        Raises:
            Fault: it is nothing about rows.
        """
        words = f"Yahoo rejects it: {answer.words(120)}"
        if not answer.ok:
            if answer.status in _REJECTS_ROWS:
                return words
            raise Fault(
                "connection",
                f"Yahoo refused users: {answer.words()}; check the connection's segment_id, then "
                "resume it",
            )
        invalid = answer.at("invalidRows")
        if not isinstance(invalid, int) or invalid <= 0:
            return {}
        examples = answer.at("exampleInvalidRows")
        shown = {str(one) for one in examples} if isinstance(examples, list) else set()
        places = [place for place, one in enumerate(rows) if f"[{one.identity}]" in shown]
        named = len(places) == invalid and len(places) < len(rows)
        return dict.fromkeys(places, words) if named else words


def _row(member: Member) -> list[str]:
    settings, effective_s = member.change.settings, member.change.effective_at // 1000
    until = effective_s + settings.expires_days * _DAY_S if member.is_in else 0
    row = ["", "", "", f"exp={until}&seg_id={settings.segment_id}&ts={effective_s}"]
    row[_CELL[member.identity_type]] = member.identity
    return row


def _part(value: dict[str, Any]) -> str:
    return _unpadded(orjson.dumps(value))


def _unpadded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")

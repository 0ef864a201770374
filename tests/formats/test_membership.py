"""A membership change on the wire."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.core.model.change import ADD, DELETE, Cause, Change
from cdp_stream.formats.membership import encode_change, mpid_key, state_key

CHANGE = Change(
    action=ADD,
    audience_id="trial/watched",
    audience_name="Watched / Platform A",
    mpid=-42,
    effective_at=1_700_000_000_000,
    ordinal=1,
    variant=None,
    cause=Cause("event", "event: Play Video", "m1", 1_699_999_999_000),
    definition="0a1b2c3d",
    identities=(("customer_id", "c1"), ("email", "a@example.com")),
)


def decode_change(value: bytes) -> Change:
    """The change that a message holds."""
    message: dict[str, Any] = orjson.loads(value)
    cause = message["cause"]
    return Change(
        action=message["action"],
        audience_id=message["audience_id"],
        audience_name=message["audience_name"],
        mpid=int(message["mpid"]),
        effective_at=message["effective_at"],
        ordinal=message["ordinal"],
        variant=message["variant"],
        cause=Cause(cause["kind"], cause["criterion"], cause["event_id"], cause["event_time"]),
        definition=message["definition"],
        identities=tuple(
            (entry["identity_type"], entry["identity"]) for entry in message["user_identities"]
        ),
    )


def test_a_change_is_encoded_with_its_keys_in_order():
    assert encode_change(CHANGE, "mptravel") == (
        b'{"message_id":"trial/watched:-42:1700000000000:1","action":"add","account_id":"mptravel",'
        b'"audience_id":"trial/watched","audience_name":"Watched / Platform A","mpid":"-42",'
        b'"effective_at":1700000000000,"ordinal":1,"variant":null,'
        b'"cause":{"kind":"event","criterion":"event: Play Video","event_id":"m1",'
        b'"event_time":1699999999000},'
        b'"definition":"0a1b2c3d","user_identities":[{"identity_type":"customer_id","identity":"c1"},'
        b'{"identity_type":"email","identity":"a@example.com"}],"user_attributes":{}}'
    )


def test_keys_are_decimal():
    assert mpid_key(-(2**63)) == b"-9223372036854775808"
    assert state_key("trial/watched", -42) == b"trial/watched:-42"


text = st.text(max_size=10)
instants = st.integers(0, 253_402_300_799_999)
changes = st.builds(
    Change,
    action=st.sampled_from([ADD, DELETE]),
    audience_id=text,
    audience_name=text,
    mpid=st.integers(-(2**63), 2**63 - 1),
    effective_at=instants,
    ordinal=st.integers(0, 1000),
    variant=st.none() | text,
    cause=st.builds(Cause, text, st.none() | text, st.none() | text, st.none() | instants),
    definition=text,
    identities=st.lists(st.tuples(text, text), max_size=3).map(tuple),
)


@given(changes)
def test_decoding_gives_what_was_encoded(change):
    assert decode_change(encode_change(change, "account")) == change

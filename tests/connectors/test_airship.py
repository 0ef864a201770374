"""What Airship is sent, and what its answers come to."""

import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.airship import Airship
from cdp_stream.errors import UsageError
from tests.connectors.changes import change, identity, identity_types
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.airship import Airship as Partner
from tests.partners.converse import converse

APP, SECRET = "app-key-1", "0123456789abcdef"
URL = "https://go.urbanairship.com/api/named_users/tags"
HEADERS = {
    "authorization": "Basic YXBwLWtleS0xOjAxMjM0NTY3ODlhYmNkZWY=",
    "accept": "application/vnd.urbanairship+json; version=3",
}
VISITOR = {one: identity(one, 0) for one in identity_types(Airship)}
ANN = VISITOR["customer_id"]
BOB = change(ADD, mpid="102", identities={"customer_id": "c-2"})


def tags(verb, *ids):
    body = {"audience": {"named_user_id": list(ids)}, verb: {"audiences": ["VIP customers"]}}
    return Expected("POST", URL, body, HEADERS)


def answer(status, **body):
    return Answer(status, json.dumps(body).encode())


CASE = Case(
    Airship,
    {"app_key": APP, "master_secret": SECRET, "tag_group": "audiences"},
    lambda: Partner(APP, SECRET, "audiences"),
    lambda identity_type, value: value if identity_type == "customer_id" else None,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [tags("add", ANN)]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [tags("remove", ANN)]),
        Golden("update", [change(ATTRIBUTE_UPDATE, identities=VISITOR)], [tags("add", ANN)]),
        Golden(
            "out first, then in",
            [BOB, change(DELETE, identities=VISITOR)],
            [tags("remove", ANN), tags("add", "c-2")],
        ),
        Golden("nobody", [change(ADD, identities={"other": "x"})], []),
        Golden(
            "nothing left of it",
            [change(ADD, identities={"customer_id": " "})],
            [],
            {0: "not in the form of its type"},
        ),
    ],
    answers=[
        Answered(
            "no-tag-group",
            answer(400, ok=False, error="The tag group audiences does not exist"),
            "output",
            words="`tag_group`",
        ),
        Answered(
            "a warning",
            answer(200, ok=True, warnings=["The following tag groups are inactive: audiences"]),
            "output",
            words="inactive",
        ),
        Answered("bad", answer(400, ok=False, error="bad id"), "rejected", words="bad id"),
        Answered("too-large", answer(413), "rejected", words="413"),
    ],
    most_rows=1000,
    rows_in=lambda request: len(json.loads(request.body)["audience"]["named_user_id"]),
)

TestConforms = conformance(CASE)


def told(settings, *changes, partner, connection=None):
    settings = {name: value for name, value in {**CASE.settings, **settings}.items() if value}
    case = replace(CASE, settings=settings, connection=connection or {})
    exchange = case.exchange()
    return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange


def test_channels_may_be_tagged_and_a_token_be_used():
    partner = Partner(APP, SECRET, "audiences", token="token-0123456789")
    settings = {
        "token": "token-0123456789",
        "master_secret": None,
        "target": "ios_channel",
        "identity": "other_id_3",
        "region": "eu",
    }
    one = change(ADD, identities={"other_id_3": "ch-1", "customer_id": "c-1"})
    _, exchange = told(settings, one, partner=partner, connection={"tag": "vip"})
    assert partner.tags == {("ios_channel", "ch-1"): {"audiences": {"vip"}}}
    assert exchange.sent[0].url == "https://go.airship.eu/api/channels/tags"


def test_a_long_name_makes_a_tag_that_airship_takes():
    partner = Partner(APP, SECRET, "audiences")
    told({}, replace(BOB, audience_name="x" * 200), partner=partner)
    assert partner.tags == {("named_user_id", "c-2"): {"audiences": {"x" * 128}}}


def test_without_credentials_the_output_says_so_at_once():
    with pytest.raises(UsageError, match="set `master_secret` or `token`"):
        told({"master_secret": None}, BOB, partner=Partner(APP, SECRET))


def test_tags_stay_when_an_audience_is_deleted():
    _, exchange = told({}, change(AUDIENCE_DELETE), partner=Partner(APP, SECRET))
    assert exchange.sent == []

"""What Airship is sent, and what its answers come to."""

from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.errors import UsageError
from tests.connectors.cases.airship import APP, BOB, CASE, SECRET
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.airship import Airship as Partner

TestConforms = conformance(CASE)


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
    _, exchange = CASE.delivered(one, partner=partner, settings=settings, connection={"tag": "vip"})
    assert partner.tags == {("ios_channel", "ch-1"): {"audiences": {"vip"}}}
    assert exchange.sent[0].url == "https://go.airship.eu/api/channels/tags"


def test_a_long_name_makes_a_tag_that_airship_takes():
    partner = Partner(APP, SECRET, "audiences")
    CASE.delivered(replace(BOB, audience_name="x" * 200), partner=partner)
    assert partner.tags == {("named_user_id", "c-2"): {"audiences": {"x" * 128}}}


def test_without_credentials_the_output_says_so_at_once():
    with pytest.raises(UsageError, match="set `master_secret` or `token`"):
        CASE.delivered(BOB, partner=Partner(APP, SECRET), settings={"master_secret": None})


def test_tags_stay_when_an_audience_is_deleted():
    _, exchange = CASE.delivered(change(AUDIENCE_DELETE), partner=Partner(APP, SECRET))
    assert exchange.sent == []

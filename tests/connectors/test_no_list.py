"""A connection without a list at the partner: what its changes come to."""

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.connectors.registry import connector_class
from tests.connectors.cases.facebook import CASE as FACEBOOK
from tests.connectors.cases.firehose import CASE as FIREHOSE
from tests.connectors.cases.google_ads import CASE as GOOGLE_ADS
from tests.connectors.cases.iterable import CASE as ITERABLE
from tests.connectors.cases.klaviyo import CASE as KLAVIYO
from tests.connectors.cases.mailchimp import CASE as MAILCHIMP
from tests.connectors.cases.pinterest import CASE as PINTEREST
from tests.connectors.cases.snapchat import CASE as SNAPCHAT
from tests.connectors.cases.tiktok import CASE as TIKTOK
from tests.connectors.cases.x import CASE as X
from tests.connectors.changes import change, identity

CASES = [FACEBOOK, ITERABLE, KLAVIYO, MAILCHIMP, PINTEREST, SNAPCHAT, TIKTOK]


def conversation(case, action):
    connector = case.exchange().connector
    without = connector.connection_settings()
    identities = {"email": identity("email", 0)}
    return connector.deliver([change(action, identities=identities, settings=without)])


@pytest.mark.parametrize(
    "case", [*CASES, FIREHOSE, GOOGLE_ADS, X], ids=lambda case: case.connector.name
)
def test_nothing_is_deleted_where_nothing_was_made(case):
    with pytest.raises(StopIteration) as end:
        next(conversation(case, AUDIENCE_DELETE))
    assert end.value.value == Outcome()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.connector.name)
def test_a_connection_without_a_list_is_a_fault_of_that_connection_alone(case):
    with pytest.raises(Fault, match=r"vip@out names no list .* `list_id`") as fault:
        next(conversation(case, ADD))
    assert fault.value.scope == "connection"


@pytest.mark.parametrize("name", ["airship", "braze", "customer-io"])
def test_partners_with_tags_need_no_list(name):
    assert connector_class(name).pattern == "indirect"

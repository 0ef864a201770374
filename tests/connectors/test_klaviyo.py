"""What Klaviyo is sent, and what its answers come to."""

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Outcome
from tests.connectors.cases.klaviyo import BOB, CASE, KEY, LIST, VISITOR, partner
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.klaviyo import Klaviyo as Partner

TestConforms = conformance(CASE)


def test_profiles_may_be_known_by_phone():
    by_phone = Partner(KEY, LIST, key="phone_number")
    CASE.delivered(
        change(ADD, identities=VISITOR), partner=by_phone, settings={"identify_by": "phone_number"}
    )
    assert by_phone.members(LIST) == {"+447946000000"}


def test_a_thousand_are_looked_up_by_fifty_and_set_at_once():
    one = partner()
    changes = [change(mpid=str(n), identities={"email": f"u{n}@example.com"}) for n in range(1000)]
    outcome, exchange = CASE.delivered(*changes, partner=one)
    assert outcome == Outcome()
    assert len(one.members(LIST)) == 1000
    assert len(exchange.yielded) == 20 + 2 + 20 + 1


def test_a_list_is_made_once_and_found_by_name_later():
    one = Partner(KEY)
    CASE.delivered(BOB, partner=one, connection={})
    CASE.delivered(change(ADD, identities=VISITOR), partner=one, connection={})
    assert one.names == {"L0": "VIP customers"}
    assert one.members("L0") == {"ann@example.com", "bob@example.com"}


def test_a_connection_may_have_the_list_deleted():
    one = partner()
    for _ in range(2):
        assert CASE.delivered(change(AUDIENCE_DELETE), partner=one)[0] == Outcome()
    assert one.lists == {}

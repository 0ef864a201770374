"""What Pinterest is sent, and what its answers come to."""

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Fault
from cdp_stream.errors import UsageError
from tests.connectors.cases.pinterest import ANN, CASE, LIST, REFRESH, SECRET, answer, sha
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.pinterest import Pinterest as Partner

TestConforms = conformance(CASE)


@pytest.mark.parametrize("small", [False, True])
def test_a_list_is_made_once_made_an_audience_if_it_can_be_and_found_by_name_later(small):
    partner = Partner("549755885175", SECRET, REFRESH)
    partner.small = small
    for name in ("A", "B", "C", "C"):
        CASE.delivered(change(ADD, identities=ANN, name=name), partner=partner, connection={})
    assert list(partner.names.values()) == ["A", "B", "C"]
    assert partner.members("602") == {sha("ann@example.com")}
    assert partner.audiences == ({} if small else {"A": "600", "B": "601", "C": "602"})


def test_nobody_who_left_gets_onto_a_list_that_is_made():
    partner = Partner("549755885175", SECRET, REFRESH)
    bob = change(ADD, mpid="102", identities={"email": "bob@example.com"})
    CASE.delivered(change(DELETE, identities=ANN), bob, partner=partner, connection={})
    assert partner.members("600") == {sha("bob@example.com")}


def test_a_list_that_pinterest_does_not_make_is_a_fault_of_the_connection():
    partner = Partner("549755885175", SECRET, REFRESH)
    partner.strangers = set()
    partner.tokens = 7
    partner.ahead += [answer(200, items=[]), answer(400, code=1, message="no")]
    with pytest.raises(Fault, match="created no list") as fault:
        CASE.delivered(
            change(ADD, identities=ANN),
            partner=partner,
            settings={"access_token": "token-7"},
            connection={},
        )
    assert fault.value.scope == "connection"


def test_a_refresh_token_that_is_refused_is_a_fault_of_the_output():
    partner = Partner("549755885175", SECRET, "another", LIST)
    with pytest.raises(Fault, match="Authentication failed") as fault:
        CASE.delivered(change(ADD, identities=ANN), partner=partner, connection={"list_id": LIST})
    assert fault.value.scope == "output"
    assert REFRESH not in fault.value.message


def test_an_access_token_will_do():
    partner = Partner("549755885175", SECRET, REFRESH, LIST)
    partner.tokens = 7
    CASE.delivered(
        change(ADD, identities=ANN),
        partner=partner,
        settings={"access_token": "token-7"},
        connection={"list_id": LIST},
    )
    assert partner.members(LIST) == {sha("ann@example.com")}


def test_without_credentials_the_output_says_so_at_once():
    with pytest.raises(UsageError, match="Pinterest needs credentials"):
        CASE.delivered(
            change(ADD, identities=ANN),
            partner=Partner("a", "b", "c"),
            settings={"app_secret": None},
            connection={},
        )


def test_nothing_is_sent_when_an_audience_is_deleted():
    partner = Partner("549755885175", SECRET, REFRESH, LIST)
    _, exchange = CASE.delivered(
        change(AUDIENCE_DELETE), partner=partner, connection={"list_id": LIST}
    )
    assert exchange.sent == []

"""What Snapchat is sent, and what its answers come to."""

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Fault, Outcome
from cdp_stream.errors import UsageError
from tests.connectors.cases.snapchat import ANN, CASE, LIST, REFRESH, SECRET, URL, answer, sha
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, conformance
from tests.partners.converse import converse
from tests.partners.snapchat import Snapchat as Partner

TestConforms = conformance(CASE)


def test_a_token_is_used_until_its_end():
    partner = Partner("8adc3db7", SECRET, REFRESH, LIST)
    _, exchange = CASE.delivered(
        change(ADD, identities=ANN), partner=partner, connection={"list_id": LIST}
    )
    assert exchange.token.expires_at == NOW + 1_800_000
    exchange.now += 1_799_999
    one = CASE.filled(change(DELETE, identities=ANN))
    converse(exchange, [one], partner.answer)
    assert partner.tokens == 1
    exchange.now += 1
    converse(exchange, [one], partner.answer)
    assert partner.tokens == 2


def test_a_refresh_token_that_is_refused_is_a_fault_of_the_output():
    partner = Partner("8adc3db7", SECRET, "another", LIST)
    with pytest.raises(Fault, match="the token is wrong") as fault:
        CASE.delivered(change(ADD, identities=ANN), partner=partner, connection={"list_id": LIST})
    assert fault.value.scope == "output"
    assert REFRESH not in fault.value.message


def test_an_access_token_will_do():
    partner = Partner("8adc3db7", SECRET, REFRESH, LIST)
    partner.tokens = 7
    CASE.delivered(
        change(ADD, identities=ANN),
        partner=partner,
        settings={"access_token": "token-7"},
        connection={"list_id": LIST},
    )
    assert partner.members(LIST) == {sha("ann@example.com")}


def test_without_credentials_the_output_says_so_at_once():
    with pytest.raises(UsageError, match="Snapchat needs credentials"):
        CASE.delivered(
            change(ADD, identities=ANN),
            partner=Partner("a", "b", "c"),
            settings={"refresh_token": None},
            connection={},
        )


def test_a_segment_is_made_once_and_found_by_name_on_a_later_page():
    partner = Partner("8adc3db7", SECRET, REFRESH)
    for name in ("A", "B", "C", "C"):
        CASE.delivered(change(ADD, identities=ANN, name=name), partner=partner, connection={})
    assert list(partner.names.values()) == ["A", "B", "C"]
    assert partner.members("s2") == {sha("ann@example.com")}


def test_a_link_to_another_host_is_not_followed():
    partner = Partner("8adc3db7", SECRET, REFRESH)
    paging = {"next_link": "https://evil.example.com/v1/adaccounts/8adc3db7/segments"}
    partner.tokens = 7
    partner.ahead.append(answer(200, segments=[], paging=paging))
    _, exchange = CASE.delivered(
        change(ADD, identities=ANN),
        partner=partner,
        settings={"access_token": "token-7"},
        connection={},
    )
    assert {request.url.split("/v1")[0] for request in exchange.sent} == {
        URL.split("/v1", maxsplit=1)[0]
    }


def test_a_connection_may_have_the_segment_deleted():
    partner = Partner("8adc3db7", SECRET, REFRESH, LIST)
    for _ in range(2):
        outcome, _ = CASE.delivered(
            change(AUDIENCE_DELETE), partner=partner, connection={"list_id": LIST}
        )
        assert outcome == Outcome()
    assert partner.segments == {}

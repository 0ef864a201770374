"""What Facebook is sent, and what its answers come to."""

import json
from dataclasses import replace

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Fault, Outcome, TryAgain
from tests.connectors.cases.facebook import CASE, LIST, MARY, MARY_ALONE, TOKEN, VISITOR, answer
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.facebook import Facebook as Partner

TestConforms = conformance(CASE)


def test_each_upload_has_a_session_of_its_own_and_a_repetition_the_same():
    sessions = []
    for one in (change(ADD, identities=VISITOR), change(ADD, mpid="102", identities=VISITOR)) * 2:
        _, exchange = CASE.delivered(
            one, partner=Partner("42", TOKEN, LIST), connection={"list_id": LIST}
        )
        sessions.append(json.loads(exchange.sent[0].body)["session"]["session_id"])
    assert sessions[:2] == sessions[2:]
    assert sessions[0] != sessions[1]


def test_an_audience_is_made_once_and_found_by_name_on_a_later_page():
    partner = Partner("42", TOKEN)
    for name in ("A", "B", "C"):
        CASE.delivered(
            change(ADD, identities=MARY_ALONE, name=name), partner=partner, connection={}
        )
    CASE.delivered(change(ADD, identities=MARY_ALONE, name="C"), partner=partner, connection={})
    assert list(partner.names.values()) == ["A", "B", "C"]
    assert partner.members("9002") == {MARY}


def test_an_audience_that_meta_does_not_make_is_a_fault_of_the_connection():
    partner = Partner("42", TOKEN)
    partner.ahead.append(answer(400, 100, 1))
    with pytest.raises(Fault, match="created no list 'VIP customers'") as fault:
        CASE.delivered(change(ADD, identities=MARY_ALONE), partner=partner, connection={})
    assert fault.value.scope == "connection"


def test_when_an_account_may_call_again_is_read_in_minutes():
    connector = CASE.exchange().connector
    request = next(connector.deliver([CASE.filled(change(ADD, identities=MARY_ALONE))]))
    usage = json.dumps({"42": [{"type": "custom_audience", "estimated_time_to_regain_access": 3}]})
    throttled = replace(answer(400, 80_003), headers={"x-business-use-case-usage": usage})
    assert connector.classify(request, throttled) == TryAgain(180.0)
    assert connector.classify(request, answer(400, 17)) == TryAgain(None)


def test_deleting_twice_does_no_harm():
    partner = Partner("42", TOKEN, LIST)
    for _ in range(2):
        outcome, _ = CASE.delivered(
            change(AUDIENCE_DELETE), partner=partner, connection={"list_id": LIST}
        )
        assert outcome == Outcome()
    assert partner.audiences == {}

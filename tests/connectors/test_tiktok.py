"""What TikTok is sent, and what its answers come to."""

import pytest

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Fault, Outcome
from tests.connectors.cases.tiktok import CASE, JANE, JANE_ALONE, LIST, TOKEN, answer, sha
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.tiktok import TikTok as Partner

TestConforms = conformance(CASE)


def test_an_audience_is_made_once_and_found_by_name_on_a_later_page():
    partner = Partner("42", TOKEN)
    partner.names = {str(n): f"other {n}" for n in range(150)}
    for _ in range(2):
        CASE.delivered(change(ADD, identities=JANE_ALONE), partner=partner, connection={})
    assert list(partner.audiences) == ["170000"]
    assert partner.members("170000") == {JANE}


def test_one_bad_row_is_found_among_many():
    partner = Partner("42", TOKEN, LIST)
    plain = partner.mapping
    bad = sha("bad@example.com")

    def fussy(body):
        ids = [cell["id"] for row in body["batch_data"] for cell in row if cell]
        return answer(40002, "bad id") if bad in ids else plain(body)

    partner.mapping = fussy
    changes = [
        change(ADD, mpid=str(n), identities={"email": f"u{n}@example.com"}) for n in range(100)
    ]
    changes.insert(37, change(ADD, mpid="999", identities={"email": "bad@example.com"}))
    outcome, exchange = CASE.delivered(*changes, partner=partner, connection={"list_id": LIST})
    assert list(outcome.rejected) == [37]
    assert len(partner.members(LIST)) == 100
    assert len(exchange.sent) <= 2 * 8


@pytest.mark.parametrize(("rows", "is_fault"), [(99, False), (1000, True)])
def test_a_partner_that_refuses_everything_is_not_asked_for_each_row(rows, is_fault):
    partner = Partner("42", TOKEN, LIST)
    partner.mapping = lambda _body: answer(40002, "advertiser_ids {0}")
    changes = [
        change(ADD, mpid=str(n), identities={"email": f"u{n}@example.com"}) for n in range(rows)
    ]
    if is_fault:
        with pytest.raises(Fault, match=r"refuses every request.*advertiser_ids") as fault:
            CASE.delivered(*changes, partner=partner, connection={"list_id": LIST})
        assert fault.value.scope == "connection"
        assert len(partner.requests) < 100
    else:
        outcome, _ = CASE.delivered(*changes, partner=partner, connection={"list_id": LIST})
        assert len(outcome.rejected) == rows


def test_an_audience_in_use_is_deleted_once_it_is_free():
    partner = Partner("42", TOKEN, LIST)
    for _ in range(2):
        outcome, _ = CASE.delivered(
            change(AUDIENCE_DELETE), partner=partner, connection={"list_id": LIST}
        )
        assert outcome == Outcome()
    assert partner.audiences == {}

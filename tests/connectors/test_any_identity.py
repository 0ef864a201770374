"""Identities are whatever somebody wrote: no connector stumbles over one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.connectors.change import ADD, DELETE
from tests.connectors.cases import (
    airship,
    braze,
    customer_io,
    facebook,
    iterable,
    klaviyo,
    mailchimp,
    pinterest,
    snapchat,
    tiktok,
)
from tests.connectors.changes import MPIDS, change, identity_types
from tests.partners.converse import converse

CASES = [
    module.CASE
    for module in (
        airship,
        braze,
        customer_io,
        facebook,
        iterable,
        klaviyo,
        mailchimp,
        pinterest,
        snapchat,
        tiktok,
    )
]
ODD = st.one_of(
    st.sampled_from(["", " ", "@", "+", "0", "a@", "\ud800", "\udfff@x.de", "x" * 5_000, '"],'])
    | st.text(max_size=12)
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.connector.name)
@given(data=st.data())
def test_odd_identities_and_attributes_are_accepted_or_refused(case, data):
    partner, exchange = case.partner(), case.exchange()
    changes = []
    for place, mpid in enumerate(MPIDS[:3]):
        identities = {one: data.draw(ODD) for one in identity_types(case.connector)}
        attributes = {data.draw(ODD): data.draw(st.sampled_from([10**30, "\ud800", [], None, 0.5]))}
        action = (ADD, DELETE, ADD)[place]
        changes.append(change(action, mpid=mpid, identities=identities, attributes=attributes))
    outcome = converse(exchange, [case.filled(one) for one in changes], partner.answer)
    assert set(outcome.rejected) <= {0, 1, 2}
    assert all(outcome.rejected.values())

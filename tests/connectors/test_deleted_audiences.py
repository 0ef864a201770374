"""Connectors that keep a partner's data, told of a deletion all the same: nothing is sent."""

from importlib import import_module

import pytest

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.connectors.exchange import Outcome
from tests.connectors.changes import change
from tests.partners.converse import converse


@pytest.mark.parametrize(
    "name", ["bigquery", "google_cloud_storage", "liveramp", "yahoo", "the_trade_desk"]
)
def test_nothing_is_sent(name):
    case = import_module(f"tests.connectors.test_{name}").CASE
    exchange = case.exchange()
    gone = case.filled(change(AUDIENCE_DELETE))
    assert converse(exchange, [gone], case.partner().answer) == Outcome()
    assert exchange.sent == []

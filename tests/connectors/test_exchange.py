"""What is shown of an answer."""

from __future__ import annotations

import json

import pytest

from cdp_stream.connectors.exchange import Answer, Fault
from cdp_stream.sinks.http.secrets import Redaction
from tests.connectors.cases.firehose import CASE as FIREHOSE
from tests.connectors.cases.webhook import CASE as WEBHOOK
from tests.connectors.changes import change
from tests.connectors.conformance import Case
from tests.partners.converse import converse

SECRET = 'hidden "key" of ours'


@pytest.mark.parametrize("padding", [".", " "])
@pytest.mark.parametrize(
    "written", [SECRET, json.dumps(SECRET)[1:-1], "hidden%20%22key%22%20of%20ours"]
)
def test_words_never_show_the_beginning_of_a_secret_at_the_cut(padding: str, written: str) -> None:
    for cut in (300, 16 * 1024):
        for before in range(cut - len(written) - 5, cut + 2):
            body = (padding * before + written + "." * 400).encode()
            words = Answer(400, body, redact=Redaction([SECRET])).words()
            assert words.strip(" .*") == "400"
            assert len(words) <= 304


def test_words_are_one_line() -> None:
    assert Answer(400, b" not\r\n  so ").words() == "400 not so"
    assert Answer(204).words() == "204"


@pytest.mark.parametrize("case", [FIREHOSE, WEBHOOK], ids=lambda case: case.connector.name)
def test_of_an_address_of_ones_own_a_fault_shows_no_more_than_the_host(case: Case) -> None:
    exchange = case.exchange(url="https://ann:pass@crm.example.com:8443/hooks/h1dden?key=h1dden")
    with pytest.raises(Fault, match=r"https://crm\.example\.com:8443 answered 501") as told:
        converse(exchange, [case.filled(change())], lambda _request: Answer(501))
    assert "h1dden" not in told.value.message
    assert "pass" not in told.value.message

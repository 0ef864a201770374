"""What a Slack channel is told, and what Slack's answers come to."""

import pytest
from pydantic import ValidationError

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer, Outcome
from cdp_stream.connectors.partners.slack import Slack, SlackConnection
from cdp_stream.errors import UsageError
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden, conformance
from tests.partners.converse import converse
from tests.partners.slack import Channel

PATH = "/services/T000/B000/secretsecretsecret"
URL = "https://hooks.slack.com" + PATH
ANN = {"email": "ann@example.com"}


def posts(text):
    return Expected("POST", URL, {"text": text}, {"content-type": "application/json"})


CASE = Case(
    Slack,
    {"webhook_url": URL},
    lambda: Channel(PATH),
    lambda identity_type, value: None,
    kept=set,
    connection={"show": "email", "most_lines": 100},
    goldens=[
        Golden(
            "joins",
            [change(ADD, identities=ANN)],
            [posts("*VIP customers*: 1 joined\n+ 101 (ann@example.com)")],
        ),
        Golden(
            "leaves",
            [change(DELETE, identities=ANN)],
            [posts("*VIP customers*: 1 left\n- 101 (ann@example.com)")],
        ),
        Golden(
            "both",
            [change(ADD, identities={"other": "x"}, name="a<b> & c"), change(DELETE, mpid="9")],
            [posts("*a&lt;b&gt; &amp; c*: 1 joined, 1 left\n+ 101\n- 9")],
        ),
        Golden("an attribute is nothing to people", [change(ATTRIBUTE_UPDATE, identities=ANN)], []),
        Golden(
            "nor is one identity of a member",
            [change(action, identities=ANN, kind="identity") for action in (ADD, DELETE)],
            [],
        ),
    ],
    answers=[
        *(
            Answered(said, Answer(status, said.encode()), becomes, words=said)
            for status, said, becomes in [
                (400, "invalid_payload", "rejected"),
                (403, "action_prohibited", "output"),
                (404, "channel_not_found", "output"),
                (410, "channel_is_archived", "output"),
            ]
        ),
        Answered("rollup-error", Answer(500, b"rollup_error"), "retry"),
    ],
    most_rows=1,
    rows_in=lambda request: 1,
    address=lambda url: {"webhook_url": url + PATH, "allow_private": True},
)  # fmt: skip

TestConforms = conformance(CASE)


def test_who_is_not_named_is_counted():
    exchange, channel = CASE.exchange(), Channel(PATH)
    settings = Slack.connection_settings.model_validate({"most_lines": 2})
    told = [change(mpid=str(n), settings=settings) for n in range(1, 6)]
    assert converse(exchange, told, channel.answer) == Outcome()
    assert channel.messages == ["*VIP customers*: 5 joined\n+ 1\n+ 2\nand 3 more"]


def test_an_invalid_address_is_reported_without_its_text():
    with pytest.raises(UsageError, match="is not the address of a web server") as caught:
        Slack("out", Slack.output_settings.model_validate({"webhook_url": "secret"}))
    assert "secret;" not in str(caught.value)


def test_the_identity_shown_is_of_a_known_type():
    assert SlackConnection(show="customerid").show == "customer_id"
    with pytest.raises(ValidationError, match="not a valid identity type; did you mean `email`"):
        SlackConnection(show="emial")

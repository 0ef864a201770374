"""What a webhook's receiver gets, and what its answers come to."""

import base64
import json
import time

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook as StandardWebhook

from cdp_stream.connectors.exchange import Answer, Outcome, Request
from cdp_stream.connectors.partners.webhook import Webhook
from cdp_stream.errors import UsageError
from tests.connectors.cases.webhook import CASE, SECRET, URL
from tests.connectors.changes import change
from tests.connectors.conformance import conformance
from tests.partners.converse import converse

TestConforms = conformance(CASE)


def made(**settings):
    return Webhook("out", Webhook.output_settings.model_validate({"url": URL, **settings}))


def test_the_signature_of_the_published_example():
    """From the test vectors of the Standard Webhooks libraries."""
    request = Request("POST", URL, b'{"test": 2432232314}').with_headers(
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek"
    )
    signed = made(secret=SECRET).authorized(request, 1_614_265_330_000, None)
    assert signed.headers["webhook-timestamp"] == "1614265330"
    assert signed.headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def delivered_now(secret):
    """A request of this moment, signed."""
    now = time.time_ns() // 1_000_000
    connector = made(secret=secret)
    request = next(connector.deliver([change(identities={"email": "\u00e9@x.org"})]))
    return connector.authorized(request, now, None)


@pytest.mark.parametrize("secret", [SECRET, "whsec_" + "AAAA" * 8, "whsec_c2VjcmV0IQ"])
def test_the_receivers_library_verifies_what_we_send(secret):
    request = delivered_now(secret)
    padded = secret + "=" * (-len(secret.removeprefix("whsec_")) % 4)
    StandardWebhook(padded).verify(request.body, dict(request.headers))


def test_any_other_secret_is_its_bytes():
    request = delivered_now("gr\u00fcn und geheim")
    key = base64.b64encode("gr\u00fcn und geheim".encode()).decode()
    StandardWebhook(key).verify(request.body, dict(request.headers))


def test_the_id_is_that_of_the_changes():
    connector = made(secret=SECRET)

    def webhook_id(*changes):
        return next(connector.deliver(changes)).headers["webhook-id"]

    one, two = change(ordinal=0), change(ordinal=1)
    assert webhook_id(one, two) == webhook_id(one, two)
    assert len({webhook_id(one), webhook_id(two), webhook_id(one, two), webhook_id(two, one)}) == 4
    elsewhere = change(variant="A")
    assert elsewhere.message_id == one.message_id
    assert webhook_id(elsewhere) != webhook_id(one)


def test_only_the_changes_that_are_refused_are_rejected():
    """A receiver that refuses two of nine, and says so of the whole."""
    exchange, taken = CASE.exchange(), []

    def ask(request):
        changes = json.loads(request.body)["changes"]
        if any(one["mpid"] in ("3", "7") for one in changes):
            return Answer(422, b"unknown person")
        taken.extend(one["mpid"] for one in changes)
        return Answer(200)

    told = [CASE.filled(change(mpid=str(n))) for n in range(9)]
    outcome = converse(exchange, told, ask)
    assert outcome == Outcome({3: "422 unknown person", 7: "422 unknown person"})
    assert taken == [str(n) for n in range(9) if n not in (3, 7)]


def test_the_batch_is_what_the_settings_say():
    assert made(secret=SECRET).gathering.count == 100
    assert made(secret=SECRET, batch=1).gathering.count == 1
    assert made(secret=SECRET).gathering.interval_ms == 1_000


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_A"])
def test_an_invalid_secret_is_reported_without_its_text(secret):
    with pytest.raises(UsageError, match="its secret is empty, or no base64") as caught:
        made(secret=secret)
    assert "not base64!" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "crm.example.com", "ftp://crm.example.com", "file:///x"])
def test_an_address_that_is_none_is_told(url):
    with pytest.raises(ValidationError, match="this is not the address of a web server"):
        made(secret=SECRET, url=url)

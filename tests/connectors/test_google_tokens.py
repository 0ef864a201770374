"""A service account's assertion: signed by google-auth, verified without it."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cdp_stream.connectors.change import ADD
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.connectors.partners.pubsub import PubSub, PubSubSettings
from cdp_stream.connectors.settings import ConnectionSettings
from cdp_stream.errors import UsageError
from tests.connectors.changes import change
from tests.connectors.conformance import NOW
from tests.partners.converse import Exchange, converse
from tests.partners.google import Topic

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
ACCOUNT = {
    "type": "service_account",
    "client_email": "cdp@acme.iam.gserviceaccount.com",
    "private_key_id": "k1",
    "private_key": PRIVATE,
    "token_uri": "https://oauth2.googleapis.com/token",
}


def made(**account):
    text = json.dumps({**ACCOUNT, **account})
    settings = PubSubSettings(project="acme", topic="audiences", service_account=text)
    return Exchange(PubSub("out", settings), NOW)


def test_the_assertion_is_accepted():
    partner = Topic()
    partner.public_key = PUBLIC
    exchange = made()
    add = change(ADD, identities={"email": "a@b.example"}, settings=ConnectionSettings())
    assert converse(exchange, [add], partner.answer) == Outcome()
    assert partner.members(None) == {"a@b.example"}
    assert exchange.sent[0].url == ACCOUNT["token_uri"]
    assert exchange.token is not None
    assert exchange.token.expires_at == NOW + 3_599_000


def test_the_key_itself_says_where_tokens_are():
    exchange = made(token_uri="https://tokens.example/token")
    request = next(exchange.connector.fetch_token(NOW))
    assert request.url == "https://tokens.example/token"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"private_key": "x"}'])
def test_an_invalid_key_is_reported_without_its_text(text):
    settings = PubSubSettings(project="acme", topic="audiences", service_account=text or "nothing")
    with pytest.raises(UsageError, match="output out: service_account is not the key") as raised:
        PubSub("out", settings)
    assert raised.value.__cause__ is None

"""The code that docs/webhook.md shows verifies what the connector sends, in both languages."""

import json
import re
import subprocess
import time

import pytest

from cdp_stream.connectors.partners.webhook import Webhook
from tests.connectors.changes import change
from tests.docs.console import ROOT
from tests.node import packages

PAGE = (ROOT / "docs/webhook.md").read_text()
BLOCKS = dict(re.findall(r"^```(python|javascript)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "gr\u00fcn und geheim"]


def said_by_python(headers, body, secret):
    namespace = {}
    exec(BLOCKS["python"], namespace)
    return namespace["is_ours"](headers, body, secret)


def said_by_javascript(headers, body, secret):
    arguments = ", ".join(
        [json.dumps(headers), f"Buffer.from({json.dumps(body.hex())}, 'hex')", json.dumps(secret)]
    )
    script = f"{BLOCKS['javascript']}\nconsole.log(isOurs({arguments}));"
    done = subprocess.run([packages.NODE, "-e", script], check=True, capture_output=True, text=True)
    return {"true\n": True, "false\n": False}[done.stdout]


def signed(secret, age_s=0):
    settings = {"url": "https://crm.example.com/changes", "secret": secret}
    connector = Webhook("crm", Webhook.output_settings.model_validate(settings))
    request = next(connector.deliver([change(identities={"email": "\u00e9@x.org"})]))
    now = time.time_ns() // 1_000_000 - 1000 * age_s
    request = connector.authorized(request, now, None)
    return dict(request.headers), request.body


@pytest.mark.parametrize("verify", [said_by_python, said_by_javascript])
class TestEachLanguage:
    @pytest.mark.parametrize("secret", SECRETS)
    def test_what_we_send_is_ours(self, verify, secret):
        headers, body = signed(secret)
        assert verify(headers, body, secret) is True

    def test_one_of_several_signatures_suffices(self, verify):
        headers, body = signed(SECRETS[0])
        headers["webhook-signature"] = "v1,AAAA v2,BBBB " + headers["webhook-signature"]
        assert verify(headers, body, SECRETS[0]) is True

    def test_another_body_is_not(self, verify):
        headers, body = signed(SECRETS[0])
        assert verify(headers, body + b" ", SECRETS[0]) is False

    def test_another_secret_is_not(self, verify):
        headers, body = signed(SECRETS[0])
        assert verify(headers, body, SECRETS[1]) is False

    def test_another_id_or_time_is_not(self, verify):
        headers, body = signed(SECRETS[0])
        sent_at = int(headers["webhook-timestamp"])
        assert verify(headers | {"webhook-id": "msg_x"}, body, SECRETS[0]) is False
        later = headers | {"webhook-timestamp": str(sent_at + 1)}
        assert verify(later, body, SECRETS[0]) is False

    @pytest.mark.parametrize("age_s", [400, -400])
    def test_an_old_one_is_not(self, verify, age_s):
        headers, body = signed(SECRETS[0], age_s)
        assert verify(headers, body, SECRETS[0]) is False

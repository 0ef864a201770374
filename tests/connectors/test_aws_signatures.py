"""Signatures as AWS publishes them, and as they follow from its description.

Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, examples.
"""

import subprocess
import sys
from hashlib import sha256

import pytest

from cdp_stream.connectors.auth.aws import AwsSettings, signed
from cdp_stream.connectors.exchange import Request
from tests.partners.aws import KEYS, SECRET, signature

MAY_24 = 1_369_353_600_000  # 2013-05-24T00:00:00Z
HOST = "https://examplebucket.s3.amazonaws.com"
SETTINGS = AwsSettings(region="us-east-1", secret_access_key=SECRET, **KEYS)


def proof(request):
    said = signed(request, MAY_24, "s3", SETTINGS).headers
    assert said["x-amz-date"] == "20130524T000000Z"
    return said["authorization"]


def test_the_published_put():
    headers = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    put = Request("PUT", f"{HOST}/test%24file.text", b"Welcome to Amazon S3.", headers)
    assert proof(put) == (
        "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (
            Request("GET", f"{HOST}/test.txt", b"", {"range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            Request("GET", f"{HOST}/?lifecycle"),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            Request("GET", f"{HOST}/?max-keys=2&prefix=J"),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_published_gets(request_, wanted):
    assert proof(request_).endswith(f"Signature={wanted}")


@pytest.mark.parametrize("service", ["s3", "firehose"])
@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEBYaD"])
def test_the_signature_is_what_the_description_says(service, token):
    settings = AwsSettings(
        region="eu-west-1", secret_access_key=SECRET, session_token=token, **KEYS
    )
    url = "https://acme.example:8443/a/b%20c.csv?y=2&x=1"
    sent = signed(Request("POST", url, b"body", {"content-type": "text/csv"}), 0, service, settings)
    said = dict(
        one.split("=", 1) for one in sent.headers["authorization"].split(" ", 1)[1].split(", ")
    )
    names = said["SignedHeaders"].split(";")
    assert names == sorted(names)
    assert ("x-amz-security-token" in names) == (token is not None)
    scope = said["Credential"].partition("/")[2]
    assert scope == f"19700101/eu-west-1/{service}/aws4_request"
    if service == "s3":
        assert sent.headers["x-amz-content-sha256"] == sha256(b"body").hexdigest()
        assert said["Signature"] == signature(sent, SECRET, names, scope)


@pytest.mark.parametrize(
    ("connector", "missing", "extra"),
    [
        ("s3", "botocore", "aws"),
        ("liveramp", "botocore", "aws"),
        ("kinesis-firehose", "botocore", "aws"),
        ("pubsub", "google", "google"),
        ("google-ads", "google", "google"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(connector, missing, extra):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from cdp_stream.connectors.registry import connector_class
from cdp_stream.errors import UsageError
found = connector_class({connector!r})
values = dict(region="r", access_key_id="k", secret_access_key="s", bucket="b",
    delivery_stream="d", service_account="{{}}", project="p", topic="t", account_id="1")
known = found.output_settings.model_fields
settings = found.output_settings(**{{k: v for k, v in values.items() if k in known}})
try:
    found("out", settings)
except UsageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'cdp-stream[{extra}]'" in done.stdout

"""What objects of an S3 bucket hold, and what the store's answers come to."""

import gzip
from dataclasses import replace

import pytest
from pydantic import ValidationError

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer, Outcome
from cdp_stream.connectors.partners.s3 import S3
from tests.connectors.changes import NOON, change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden, conformance
from tests.partners.aws import KEYS, REGION, SECRET, Store, s3_error
from tests.partners.converse import converse

VISITOR = {"email": "ann@example.com", "customer_id": "c-1"}
FOLDER = "https://acme-audiences.s3.eu-west-1.amazonaws.com/cdp/vip/2025/08/01"
GUID = "3304a43d-36ee-54e4-8c46-cbdf4f37b131"


def golden(name, guid, *changes):
    body = b"".join(CASE.filled(one).json() + b"\n" for one in changes)
    headers = {"content-type": "application/x-ndjson", "x-amz-date": "20250801T120640Z"}
    url = f"{FOLDER}/120000-{guid}.ndjson"
    return Golden(name, changes, [Expected("PUT", url, body, headers)])


CASE = Case(
    S3,
    {
        **KEYS,
        "secret_access_key": SECRET,
        "region": REGION,
        "bucket": "acme-audiences",
        "prefix": "cdp/",
        "rotate_changes": 5_000,
    },
    lambda: Store(NOW),
    lambda identity_type, value: value,
    goldens=(),
    answers=[
        Answered("no-bucket", s3_error(404, "NoSuchBucket"), "output", words="404 NoSuchBucket"),
        Answered("other-region", s3_error(301, "PermanentRedirect"), "output", words="its region"),
        Answered("expired", s3_error(400, "ExpiredToken"), "output", words="ExpiredToken"),
        Answered("denied", s3_error(403, "AccessDenied"), "output", words="AccessDenied"),
        Answered("clock", s3_error(403, "RequestTimeTooSkewed"), "output", words="TooSkewed"),
        Answered("slow-down", s3_error(503, "SlowDown"), "retry"),
        Answered("too-slow", s3_error(400, "RequestTimeout"), "retry"),
        Answered("aborted", s3_error(409, "OperationAborted"), "retry"),
        Answered("odd", Answer(418, b"tea"), "output", words="418 tea"),
    ],
)
CASE = replace(
    CASE,
    goldens=[
        golden("add", GUID, change(ADD, identities=VISITOR, attributes={"ltv": 12.5})),
        golden("delete", GUID, change(DELETE, identities=VISITOR)),
        golden(
            "two",
            "1c1249f7-4bcc-596d-b5e1-6b4a73700a76",
            change(ADD, identities=VISITOR),
            change(ATTRIBUTE_UPDATE, identities=VISITOR, attributes={"x": 1}, ordinal=1),
        ),
    ],
)

TestConforms = conformance(CASE)


def put(partner, changes, **settings):
    exchange = CASE.exchange(**settings)
    assert converse(exchange, [CASE.filled(one) for one in changes], partner.answer) == Outcome()
    return partner.objects


def test_csv_is_as_the_file_connector_writes_it():
    add = change(ADD, identities=VISITOR, attributes={"ltv": 12.5}, name='Says "hi", twice')
    ((key, body),) = put(Store(NOW), [add], format="csv").items()
    assert key == f"cdp/vip/2025/08/01/120000-{GUID}.csv"
    assert body.decode() == (
        "message_id,action,account_id,audience_id,audience_name,mpid,effective_at,ordinal,variant,"
        "connection,user_identities,user_attributes\n"
        f'vip:101:{NOON}:0,add,acme,vip,"Says ""hi"", twice",101,{NOON},0,,vip@out,'
        '"[{""identity_type"":""customer_id"",""identity"":""c-1""},'
        '{""identity_type"":""email"",""identity"":""ann@example.com""}]","{""ltv"":12.5}"\n'
    )


@pytest.mark.parametrize(("formulas", "name"), [("escape", "'=A1"), ("keep", "=A1")])
def test_formulas_in_csv_are_made_harmless_unless_that_is_not_wanted(formulas, name):
    add = change(ADD, identities=VISITOR, name="=A1")
    ((_, body),) = put(Store(NOW), [add], format="csv", csv_formulas=formulas).items()
    assert f",vip,{name},101," in body.decode()


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_packed_objects_are_the_same_whenever_they_are_written(form):
    add = change(ADD, identities=VISITOR)
    partner, plain = Store(NOW), Store(NOW)
    ((key, body),) = put(partner, [add], format=form, gzip=True).items()
    put(partner, [add], format=form, gzip=True)
    assert partner.objects == {key: body}
    assert key.endswith(f".{form}.gz")
    assert [gzip.decompress(body)] == list(put(plain, [add], format=form).values())


def test_an_audience_of_any_name_has_a_key():
    ((key, _),) = put(Store(NOW), [change(ADD, audience="trial/signed up?")], prefix="").items()
    assert key.startswith("trial-signed-up/2025/08/01/")


def test_another_store_of_the_kind_is_addressed_by_path():
    exchange = CASE.exchange(api_url="https://minio.acme.example/")
    converse(exchange, [CASE.filled(change(ADD))], Store(NOW).answer)
    (sent,) = exchange.sent
    assert sent.url.startswith("https://minio.acme.example/acme-audiences/cdp/vip/")


def test_an_invalid_duration_is_reported():
    with pytest.raises(ValidationError, match="this is not a duration above 0"):
        CASE.exchange(rotate_after="soon")

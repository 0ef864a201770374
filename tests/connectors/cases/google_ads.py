"""The requests to Google Ads, and what its answers mean."""

import json
from hashlib import sha256

from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.partners.google_ads import GoogleAds, GoogleAdsConnection
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.google import ACCESS, CLIENT, DataManager, at, refusal

API = "https://datamanager.googleapis.com/v1"
TOKEN = Expected(
    "POST",
    "https://oauth2.googleapis.com/token",
    "grant_type=refresh_token&client_id=client.apps.googleusercontent.com"
    "&client_secret=GOCSPX-client-secret&refresh_token=1%2F%2Frefresh-token",
    {"content-type": "application/x-www-form-urlencoded"},
)
# printf 'cloudysanfrancisco@gmail.com' | sha256sum, and so on
CLOUDY = "b4e74fd94a8a0ab2c3ea2b5e7a1ee6ae2bcad5fd2cdde5b5b7a4a8b1cbbad6cc"
IOS = "a6d1f7f0-0d3e-4c7d-9a55-000000000001"
ANDROID = "c6d1f7f0-0d3e-4c7d-9a55-000000000001"
SETTINGS = {**CLIENT, "account_id": "1234567890"}


def sha(text):
    return sha256(text.encode()).hexdigest()


def body(members, *, add, **more):
    said = {
        "destinations": [
            {
                "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                "productDestinationId": "777",
            }
        ],
        "audienceMembers": members,
        "encoding": "HEX",
        **more,
    }
    if add:
        said["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    return said


def request_of(verb, members):
    return Expected(
        "POST",
        f"{API}/audienceMembers:{verb}",
        body(members, add=verb == "ingest"),
        {"authorization": f"Bearer {ACCESS}", "content-type": "application/json"},
    )


def contact(*identifiers):
    return {"userData": {"userIdentifiers": [dict([one]) for one in identifiers]}}


def kept(identity_type, value):
    if identity_type == "email":
        return sha(value)
    return None if "advertising" in identity_type else sha(value)


VISITOR = {
    "email": " Cloudy.San.Francisco+news@GMail.com ",
    "mobile_number": "+1 (800) 555-0100",
    "phone_number_2": "0044 20 7946 0000",
    "phone_number_3": "442079460001",
}
PERSON = contact(
    ("emailAddress", sha("cloudysanfrancisco@gmail.com")),
    ("phoneNumber", sha("+18005550100")),
    ("phoneNumber", sha("+442079460000")),
    ("phoneNumber", sha("+442079460001")),
)


def of(upload_key):
    return GoogleAdsConnection(upload_key=upload_key)


def mobile(action, upload_key, **identities):
    return change(action, identities=identities, settings=of(upload_key))


CASE = Case(
    GoogleAds,
    SETTINGS,
    DataManager,
    kept,
    list_id="777",
    connection={"list_id": "777"},
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [TOKEN, request_of("ingest", [PERSON])]),
        Golden(
            "delete", [change(DELETE, identities=VISITOR)], [TOKEN, request_of("remove", [PERSON])]
        ),
        Golden(
            "ios",
            [mobile(ADD, "ios", ios_advertising_id=IOS.upper(), email="a@b.example")],
            [TOKEN, request_of("ingest", [{"mobileData": {"mobileIds": [IOS]}}])],
        ),
        Golden(
            "ios, gone",
            [mobile(DELETE, "ios", ios_advertising_id=IOS)],
            [TOKEN, request_of("remove", [{"mobileData": {"mobileIds": [IOS]}}])],
        ),
        Golden(
            "android",
            [mobile(ADD, "android", android_advertising_id=ANDROID)],
            [TOKEN, request_of("ingest", [{"mobileData": {"mobileIds": [ANDROID]}}])],
        ),
        Golden(
            "android, gone",
            [mobile(DELETE, "android", android_advertising_id=ANDROID)],
            [TOKEN, request_of("remove", [{"mobileData": {"mobileIds": [ANDROID]}}])],
        ),
        Golden(
            "replaced, removals first",
            [
                change(DELETE, identities={"email": "old@example.com"}),
                change(ADD, identities={"email": "new@example.com"}),
                change(ADD, mpid="102", identities={"email": "gone@example.com"}),
                change(DELETE, mpid="102", identities={"email": "Gone@example.com"}),
            ],
            [
                TOKEN,
                request_of(
                    "remove",
                    [
                        contact(("emailAddress", sha("old@example.com"))),
                        contact(("emailAddress", sha("gone@example.com"))),
                    ],
                ),
                request_of("ingest", [contact(("emailAddress", sha("new@example.com")))]),
            ],
        ),
        Golden(
            "no email",
            [
                change(ADD, identities={"email": "nobody", "mobile_number": "none"}),
                change(ADD, mpid="102", identities={"email": "new@example.com"}),
            ],
            [TOKEN, request_of("ingest", [contact(("emailAddress", sha("new@example.com")))])],
            rejected={0: "not in the form of its type: email, mobile_number"},
        ),
    ],
    answers=[
        Answered(
            "wrong-member",
            refusal(
                400,
                "INVALID_ARGUMENT",
                fieldViolations=[
                    {
                        "field": "audience_members.audience_members[0]",
                        "reason": "INVALID_SHA256_FORMAT",
                    }
                ],
            ),
            "rejected",
            words="INVALID_SHA256_FORMAT",
        ),
        Answered(
            "wrong-list",
            refusal(400, "INVALID_USER_LIST_ID"),
            "connection",
            words="list_id",
        ),
        Answered("no-list", refusal(404, "NOT_FOUND"), "connection", words="NOT_FOUND"),
        Answered("no-access", refusal(403, "PERMISSION_DENIED"), "output", words="1234567890"),
        Answered("quota", refusal(429, "RESOURCE_EXHAUSTED"), "retry"),
        Answered("quota-as-403", refusal(403, "RATE_LIMIT_EXCEEDED"), "retry"),
    ],
    most_rows=10_000,
    rows_in=lambda request: (
        len(json.loads(request.body).get("audienceMembers", []))
        if request.body.startswith(b"{")
        else 0
    ),
    address=at,
)

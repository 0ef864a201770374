"""What files LiveRamp gets."""

from hashlib import sha1, sha256

from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.connectors.partners.liveramp import LiveRamp, LiveRampConnection
from tests.connectors.changes import change
from tests.connectors.conformance import NOW, Answered, Case, Expected, Golden, conformance
from tests.partners.aws import KEYS, REGION, SECRET, Onboarding, s3_error
from tests.partners.converse import converse

IDFA = "a6d1f7f0-0d3e-4c7d-9a55-000000000001"
AAID = "c6d1f7f0-0d3e-4c7d-9a55-000000000001"
VISITOR = {
    "email": " Ann@Example.com",
    "mobile_number": "+44 7946 000001",
    "phone_number_2": "0044 7946 100001",
    "phone_number_3": "447946200001",
    "ios_advertising_id": IDFA.upper(),
    "android_advertising_id": AAID,
}
# printf ann@example.com | sha256sum; printf 447946000001 | sha1sum; ...
EMAIL = sha256(b"ann@example.com").hexdigest()
PHONES = [sha1(one).hexdigest() for one in (b"447946000001", b"447946100001", b"447946200001")]
GUID = "3304a43d-36ee-54e4-8c46-cbdf4f37b131"
FOLDER = "https://acme-audiences.s3.eu-west-1.amazonaws.com/liveramp"


def put(kind, *lines):
    url = f"{FOLDER}/vip-{kind}_2025-08-01_{GUID}.csv"
    return Expected("PUT", url, "".join(f"{one}\n" for one in lines), {"content-type": "text/csv"})


def known(value):
    return put(
        "PII",
        "AUDIENCEKEY,SHA256EMAIL,SHA1PHONE,VIP",
        f"{EMAIL},{EMAIL},,{value}",
        *(f"{one},,{one},{value}" for one in PHONES),
    )


def devices(value):
    return put(
        "D",
        "AUDIENCEKEY,IDFA,AAID,VIP",
        f"{AAID},,{AAID},{value}",
        f"{IDFA},{IDFA},,{value}",
    )


def kept(identity_type, value):
    if identity_type == "email":
        return sha256(value.encode()).hexdigest()
    if "advertising" in identity_type:
        return value
    return sha1(value.lstrip("+").encode()).hexdigest()


CASE = Case(
    LiveRamp,
    {
        **KEYS,
        "secret_access_key": SECRET,
        "region": REGION,
        "bucket": "acme-audiences",
        "prefix": "liveramp/",
        "rotate_changes": 5_000,
    },
    lambda: Onboarding(NOW),
    kept,
    goldens=[
        Golden("add", [change(ADD, identities=VISITOR)], [known(1), devices(1)]),
        Golden("delete", [change(DELETE, identities=VISITOR)], [known(0), devices(0)]),
        Golden(
            "the last word",
            [
                change(ADD, identities={"email": "ann@example.com"}),
                change(DELETE, identities={"email": "ANN@example.com"}, ordinal=0),
            ],
            [
                Expected(
                    "PUT",
                    f"{FOLDER}/vip-PII_2025-08-01_b8a91219-79c5-5263-9bbc-95bba8fb94cd.csv",
                    f"AUDIENCEKEY,SHA256EMAIL,SHA1PHONE,VIP\n{EMAIL},{EMAIL},,0\n",
                )
            ],
        ),
        Golden(
            "nothing to be known by",
            [change(ADD, identities={"email": "nobody"})],
            [],
            rejected={0: "not in the form of its type: email"},
        ),
    ],
    answers=[
        Answered("no-bucket", s3_error(404, "NoSuchBucket"), "output"),
        Answered("second-file", s3_error(403, "AccessDenied"), "output", request=1),
        Answered("slow-down", s3_error(503, "SlowDown"), "retry"),
    ],
)

TestConforms = conformance(CASE)


def test_the_connection_names_the_column():
    partner = Onboarding(NOW)
    add = change(
        ADD, identities={"email": "ann@example.com"}, settings=LiveRampConnection(field="members")
    )
    assert converse(CASE.exchange(), [add], partner.answer) == Outcome()
    ((_, body),) = partner.objects.items()
    assert body.splitlines()[0] == b"AUDIENCEKEY,SHA256EMAIL,SHA1PHONE,MEMBERS"


def test_a_profile_that_loses_one_identity_is_in_by_the_other():
    partner = Onboarding(NOW)
    both = {"email": "ann@example.com", "mobile_number": "+447946000001"}
    for number, one in enumerate(
        (change(ADD, identities=both), change(DELETE, identities={"email": both["email"]}))
    ):
        converse(CASE.exchange(prefix=f"{number}/"), [CASE.filled(one)], partner.answer)
    assert partner.members(None) == {PHONES[0]}

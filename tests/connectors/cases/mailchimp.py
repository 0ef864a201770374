"""What Mailchimp is sent, and what its answers come to."""

import json

from cdp_stream.connectors.change import ADD, ATTRIBUTE_UPDATE, DELETE
from cdp_stream.connectors.exchange import Answer
from cdp_stream.connectors.partners.mailchimp import Mailchimp
from tests.connectors.changes import change
from tests.connectors.conformance import Answered, Case, Expected, Golden
from tests.partners.mailchimp import Mailchimp as Partner

KEY = "0123456789abcdef-us6"
LIST = "a1b2c3d4e5"
URL = f"https://us6.api.mailchimp.com/3.0/lists/{LIST}"
AUTHORIZATION = "Basic Y2RwLXN0cmVhbTowMTIzNDU2Nzg5YWJjZGVmLXVzNg=="
URIST = "62eeb292278cc15f5817cb78f7790b08"  # of urist.mcvankab@freddiesjokes.com, Mailchimp's own


def batch(*members):
    body = {"members": list(members), "update_existing": True}
    return Expected(
        "POST", f"{URL}?skip_merge_validation=true", body, {"authorization": AUTHORIZATION}
    )


def contact(email, **fields):
    return {"email_address": email, "email_type": "html", "status": "subscribed", **fields}


def ann(action=ADD, **fields):
    return change(action, identities={"email": "ann@example.com"}, **fields)


CASE = Case(
    Mailchimp,
    {"api_key": KEY},
    lambda: Partner(KEY, LIST),
    lambda identity_type, value: value,
    connection={"list_id": LIST, "merge_fields": {"first_name": "FNAME"}},
    list_id=LIST,
    goldens=[
        Golden("add", [ann()], [batch(contact("ann@example.com"))]),
        Golden(
            "merge-fields",
            [
                ann(
                    ATTRIBUTE_UPDATE,
                    attributes={
                        "first_name": "Ann",
                        "ltv": 12.5,
                        "vip": True,
                        "tags": ["a", 1],
                        "much_too_long_for_a_tag": 1,
                        "no tag": 1,
                    },
                )
            ],
            [
                batch(
                    contact(
                        "ann@example.com",
                        merge_fields={"FNAME": "Ann", "LTV": 12.5, "VIP": "true", "TAGS": "a, 1"},
                    )
                )
            ],
        ),
        Golden(
            "delete",
            [ann(DELETE)],
            [batch({"email_address": "ann@example.com", "status": "unsubscribed"})],
        ),
        Golden(
            "the last word counts",
            [
                change(ADD, identities={"email": " Ann@Example.com"}),
                change(ADD, mpid="102", identities={"email": "bob@example.com"}),
                change(DELETE, identities={"email": "ann@example.com"}),
            ],
            [
                batch(
                    contact("bob@example.com"),
                    {"email_address": "ann@example.com", "status": "unsubscribed"},
                )
            ],
        ),
        Golden(
            "one bad row",
            [
                change(ADD, identities={"email": "no address"}),
                change(ADD, mpid="102", identities={"email": "bob@example.com"}),
            ],
            [batch(contact("no address"), contact("bob@example.com"))],
            {0: "email: ERROR_GENERIC This email address looks invalid."},
        ),
    ],
    answers=[
        Answered("bare-403", Answer(403, b"<html>Forbidden</html>"), "retry"),
        Answered("forbidden", Answer(403, b'{"title":"User Disabled"}'), "output", words="User"),
        Answered("no-such-list", Answer(404, b'{"title":"x"}'), "connection", words="list_id"),
        Answered("bad-row", Answer(400, b'{"title":"Invalid"}'), "rejected", words="Invalid"),
        Answered("not-json", Answer(200, b"ok"), "taken"),
    ],
    most_rows=500,
    rows_in=lambda request: len(json.loads(request.body)["members"]),
    usual={403: "retry"},
)

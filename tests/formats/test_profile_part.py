"""What a batch says of the profile: what is kept, and exactly what is left out."""

import pytest

from cdp_stream.core.identity_types import IDENTITY_TYPES, OTHER_SPELLINGS
from cdp_stream.core.model.event import Facts
from tests.formats.records import batch_of, decode


def profile_of(**members):
    return batch_of(decode({"mpid": 7, **members})).profile


def part_and_detail(**members):
    batch, [reject] = decode({"mpid": 7, **members})
    assert reject.reason == "bad_profile"
    return batch, reject.detail


@pytest.mark.parametrize(
    "value",
    [
        "text",
        "",
        "v" * 4096,
        3,
        3.5,
        True,
        None,
        [],
        [1, "a", None, True, 2.5],
        ["e" * 512] * 150,
        list(range(1000)),
    ],
)
def test_an_attribute_is_a_scalar_null_or_a_list(value):
    assert profile_of(user_attributes={"a": value}).attributes == {"a": value}


ATTRIBUTE = "expected text, a number, a boolean, null or a list of those"


@pytest.mark.parametrize(
    ("key", "value", "detail"),
    [
        ("a", {}, f".a: {ATTRIBUTE}"),
        ("a", [{}], ".a: expected a list of text, numbers, booleans or nulls"),
        ("a", [1, [2]], ".a: expected a list of text, numbers, booleans or nulls"),
        ("a", "v" * 4097, ".a: expected text of at most 4096 characters"),
        ("a", list(range(1001)), ".a: expected at most 1000 entries"),
        ("a", ["e" * 513], ".a: expected entries of at most 512 characters"),
        ("$A", {}, f".$A: {ATTRIBUTE}"),
        ("", {}, f'[""]: {ATTRIBUTE}'),
        ('a"b', {}, f'["a\\"b"]: {ATTRIBUTE}'),
        ("n" * 257, 1, f'["{"n" * 64}…"]: expected a name of at most 256 characters'),
    ],
)
def test_a_bad_attribute_is_left_out(key, value, detail):
    batch, found = part_and_detail(user_attributes={"good": 1, key: value})
    assert batch.profile.attributes == {"good": 1}
    assert found == f"$.user_attributes{detail}"


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ([], "expected an object"),
        ("a", "expected an object"),
        ({str(n): n for n in range(101)}, "expected at most 100 attributes"),
    ],
)
def test_bad_attributes_are_left_out_whole(written, detail):
    batch, found = part_and_detail(user_attributes=written, deleted_user_attributes=["a"])
    assert (batch.profile.attributes, batch.profile.deleted) == ({}, ["a"])
    assert found == f"$.user_attributes: {detail}"


def test_a_hundred_attributes_are_accepted():
    assert len(profile_of(user_attributes={str(n): n for n in range(100)}).attributes) == 100


def test_reserved_keys_ignore_case_and_others_do_not():
    assert profile_of(user_attributes={"$Zip": 1, "$ZIP": 2, "Zip": 3, "zip": 4}).attributes == {
        "$zip": 2,
        "Zip": 3,
        "zip": 4,
    }


def test_deleted_attributes_are_a_list_of_text():
    batch, detail = part_and_detail(deleted_user_attributes=["a", 3, None, "n" * 257])
    assert batch.profile.deleted == ["a"]
    expected = "expected text of at most 256 characters"
    paths = [f"$.deleted_user_attributes[{index}]" for index in (1, 2, 3)]
    assert detail == "; ".join(f"{path}: {expected}" for path in paths)
    batch, detail = part_and_detail(deleted_user_attributes="a")
    assert batch.profile is None
    assert detail == "$.deleted_user_attributes: expected a list of text"


def test_an_identity_type_has_one_spelling():
    """The official SDKs for Python and Node write `customerid`."""
    for written, spelling in OTHER_SPELLINGS.items():
        assert spelling in IDENTITY_TYPES
        in_a_list = [{"identity_type": written, "identity": "x"}]
        for identities in ({written: "x"}, in_a_list):
            assert profile_of(user_identities=identities).identities == {spelling: "x"}
    assert profile_of(user_identities={"loyalty": "x"}).identities == {"loyalty": "x"}
    # Of one type the last counts, however each is spelled; zeros are no advertising id.
    both = {"customer_id": "a", "customerid": "b", "ios_idfa": "00000000-0000"}
    assert profile_of(user_identities=both).identities == {"customer_id": "b"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a@b.c", "a@b.c"),
        ("A", "A"),
        ("", ""),
        (42, "42"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (None, None),
    ],
)
def test_identities_become_text(value, text):
    assert profile_of(user_identities={"other": value}).identities == {"other": text}
    listed = [
        {"identity_type": "other", "identity": "before"},
        {"identity_type": "other", "identity": value, "more": 1},
    ]
    assert profile_of(user_identities=listed).identities == {"other": text}


SCALAR = "expected text, a number, a boolean or null"


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ({"email": "e", "other": []}, f".other: {SCALAR}"),
        ({"email": "e", "other": {}}, f".other: {SCALAR}"),
        ([{"identity_type": "email", "identity": "e"}, 3], "[1]: expected an object"),
        (
            [{"identity_type": "email", "identity": "e"}, {"identity": "x"}],
            "[1].identity_type: expected text",
        ),
        (
            [{"identity_type": "email", "identity": "e"}, {"identity_type": "other"}],
            f"[1].identity: {SCALAR}",
        ),
        (
            [
                {"identity_type": "email", "identity": "e"},
                {"identity_type": "other", "identity": []},
            ],
            f"[1].identity: {SCALAR}",
        ),
    ],
)
def test_a_bad_identity_is_left_out(written, detail):
    batch, found = part_and_detail(user_identities=written)
    assert batch.profile.identities == {"email": "e"}
    assert found == f"$.user_identities{detail}"


@pytest.mark.parametrize("written", ["a", 3, True])
def test_identities_of_another_type_are_left_out_whole(written):
    batch, detail = part_and_detail(user_identities=written)
    assert batch.profile is None
    assert detail == "$.user_identities: expected an object, or a list of objects"


@pytest.mark.parametrize(
    "member", ["device_info", "application_info", "consent_state", "context", "attribution_info"]
)
@pytest.mark.parametrize("written", [[], "a", 3, True])
def test_a_part_that_is_no_object_is_left_out(member, written):
    batch, detail = part_and_detail(**{member: written}, user_attributes={"a": 1})
    assert (batch.device, batch.application, batch.profile.attributes) == ({}, {}, {"a": 1})
    assert detail == f"$.{member}: expected an object"


@pytest.mark.parametrize("zeros", ["00000000-0000-0000-0000-000000000000", "0" * 32])
def test_advertising_ids_of_zeros_are_absent(zeros):
    names = ["ios", "android", "roku", "microsoft", "fire"]
    device = {f"{name}_advertising_id": zeros for name in names} | {"ios_idfv": "1", "brand": zeros}
    assert batch_of(decode({"mpid": 7, "device_info": device})).device == {
        "ios_idfv": "1",
        "brand": zeros,
    }


@pytest.mark.parametrize("zeros", ["00000000-0000-0000-0000-000000000000", "0" * 32, 0])
def test_identities_that_are_advertising_ids_of_zeros_are_absent(zeros):
    names = ["ios", "android", "roku", "microsoft", "fire"]
    given = {f"{name}_advertising_id": zeros for name in names} | {"other": str(zeros)}
    listed = [{"identity_type": name, "identity": value} for name, value in given.items()]
    listed.insert(0, {"identity_type": "ios_advertising_id", "identity": "a"})
    assert profile_of(user_identities=given).identities == {"other": str(zeros)}
    assert profile_of(user_identities=listed).identities == {
        "ios_advertising_id": "a",
        "other": str(zeros),
    }
    removed = {"ios_advertising_id": None, "fire_advertising_id": "0a"}
    assert profile_of(user_identities=removed).identities == removed


@pytest.mark.parametrize("identifier", ["00000000-0000-0000-0000-000000000001", "", "-", 0, None])
def test_other_advertising_ids_stay(identifier):
    device = {"ios_advertising_id": identifier}
    assert batch_of(decode({"mpid": 7, "device_info": device})).device == device


GIVEN = {"consented": True, "timestamp_unixtime_ms": 5}


@pytest.mark.parametrize(
    ("members", "detail", "facts"),
    [
        ({"consent_state": {"gdpr": []}}, "$.consent_state.gdpr: expected an object", None),
        (
            {"consent_state": {"gdpr": {"ads": GIVEN, "mail": 3}}},
            "$.consent_state.gdpr.mail: expected an object",
            Facts(consent={"gdpr:ads": True}),
        ),
        (
            {"consent_state": {"ccpa": {"data_sale_opt_out": {}}}},
            "$.consent_state.ccpa.data_sale_opt_out.consented: expected a boolean",
            None,
        ),
        (
            {"consent_state": {"gdpr": {"a b": GIVEN | {"timestamp_unixtime_ms": "5"}}}},
            '$.consent_state.gdpr["a b"].timestamp_unixtime_ms: '
            "expected an integer in [0, 253402300799999]",
            None,
        ),
        ({"context": {"location": 3}}, "$.context.location: expected an object", None),
        (
            {"context": {"location": {"latitude": [], "city_name": "Paris"}}},
            "$.context.location.latitude: expected a number",
            None,
        ),
        (
            {"attribution_info": {"publisher": 3, "campaign": "c"}},
            "$.attribution_info.publisher: expected text",
            Facts(attribution={"campaign": "c"}),
        ),
    ],
)
def test_a_bad_part_of_another_member_is_named_and_says_nothing(members, detail, facts):
    batch, found = part_and_detail(**members)
    assert (None if batch.profile is None else batch.profile.facts) == facts
    assert found == detail


def test_good_parts_of_other_members_are_kept_as_far_as_they_are_known():
    facts = profile_of(
        consent_state={
            "gdpr": {"Ads": GIVEN, "mail": None},
            "ccpa": {"data_sale_opt_out": {"consented": False}, "more": GIVEN},
            "other": 3,
        },
        context={
            "location": {"latitude": 48.85, "longitude": 2, "city_name": "Paris", "accuracy": 5},
            "data_plan": 3,
        },
        attribution_info={"publisher": "p", "campaign": None, "more": 3},
        mp_deviceid="stamp",
        device_info={"platform": "iOS", "unknown": 1, "brand": None, "is_tablet": False},
    ).facts
    assert facts == Facts(
        device=("0:stamp", {"platform": "iOS", "is_tablet": False}),
        consent={"gdpr:ads": True, "gdpr:mail": None, "ccpa": False},
        location={"latitude": 48.85, "longitude": 2, "city_name": "Paris"},
        attribution={"publisher": "p"},
    )


def test_a_regulation_that_is_null_loses_all_its_purposes():
    facts = profile_of(consent_state={"gdpr": None, "ccpa": None}).facts
    assert facts == Facts(consent={"gdpr:": None, "ccpa": None})


@pytest.mark.parametrize(
    "members",
    [
        {"context": {"location": None}},
        {"context": {"location": {"accuracy": 5, "city_name": None}}},
        {"attribution_info": {"service_provider": "s"}},
        {"device_info": {"unknown": 1}},
        {"mp_deviceid": "stamp"},
        {"consent_state": {}},
    ],
)
def test_parts_that_say_nothing_known_are_no_profile_part(members):
    assert profile_of(**members) is None


ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("members", "device_id"),
    [
        ({"mp_deviceid": "s", "device_info": {"ios_idfv": "v", "platform": "iOS"}}, "0:s"),
        ({"mp_deviceid": "", "device_info": {"ios_idfv": "v", "platform": "iOS"}}, "1:v"),
        ({"mp_deviceid": None, "device_info": {"ios_idfv": "v", "platform": "iOS"}}, "1:v"),
        ({"device_info": {"android_uuid": "v", "android_advertising_id": "a"}}, "2:v"),
        ({"device_info": {"ios_advertising_id": "a", "platform": "iOS"}}, "6:a"),
        ({"device_info": {"ios_advertising_id": ZEROS, "platform": "iOS"}}, "11:iOS"),
        ({"device_info": {"brand": "b"}}, ""),
    ],
)
def test_a_device_is_told_apart_by_its_stamp_its_ids_or_its_platform(members, device_id):
    assert profile_of(**members).facts.device[0] == device_id


def test_a_stamp_that_is_no_text_is_named_and_the_device_told_apart_without_it():
    batch, detail = part_and_detail(mp_deviceid=5, device_info={"platform": "iOS"})
    assert detail == "$.mp_deviceid: expected text"
    assert batch.profile.facts.device == ("11:iOS", {"platform": "iOS"})


@pytest.mark.parametrize("device", [{}, {"unknown": 1}, {"ios_advertising_id": ZEROS}])
def test_a_device_with_an_unknown_stamp_replaces_its_earlier_entry(device):
    assert profile_of(mp_deviceid="s", device_info=device).facts == Facts(device=("0:s", {}))

"""The demo's check finds whatever is different between the topics and the replay, and only that."""

import orjson
import pytest

from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_files
from cdp_stream.demo.check import Found, Messages, compare, replayed
from cdp_stream.demo.purchases import encode_batch, example_file, read_purchases


@pytest.fixture(scope="module")
def expected() -> Messages:
    loaded = load_files([example_file("definitions.yaml")])
    assert loaded.account is not None
    assert loaded.problems == []
    purchases = read_purchases(example_file("cdnow_sample.txt"))[:400]
    return replayed(build_plan(loaded.account), map(encode_batch, purchases))


@pytest.fixture
def found(expected: Messages) -> Found:
    """Topics that hold exactly what they should."""
    found = Found()
    for key, messages in expected.items():
        found.take_changes((key, message) for message in messages)
        for message in messages:
            change = orjson.loads(message)
            state_key = change["audience_id"].encode() + b":" + key
            found.take_state([(state_key, message if change["action"] == "add" else None)])
    return found


def test_equal_topics_are_equal(found: Found, expected: Messages) -> None:
    verdict = compare(found, expected)
    assert verdict.difference is None
    assert verdict.changes == sum(map(len, expected.values())) > 400
    assert verdict.profiles == len(expected)
    assert verdict.members == len(found.state)
    assert verdict.repeated == 0


def test_a_record_that_came_twice_is_counted_and_is_no_difference(
    found: Found, expected: Messages
) -> None:
    key = next(iter(expected))
    found.take_changes([(key, found.memberships[key][-1])])
    verdict = compare(found, expected)
    assert (verdict.difference, verdict.repeated) == (None, 1)


def test_a_missing_change_is_found(found: Found, expected: Messages) -> None:
    key = min(expected, key=int)
    found.memberships[key].pop()
    difference = compare(found, expected).difference
    assert difference is not None
    assert difference.startswith(f"profile {key.decode()}, change {len(expected[key])}: ")
    assert "cdp.memberships has nothing" in difference


def test_a_change_too_many_is_found(found: Found, expected: Messages) -> None:
    found.take_changes([(b"-5", b"{}")])
    difference = compare(found, expected).difference
    assert difference is not None
    assert difference.endswith("cdp.memberships has {}, cdp replay has nothing")


def test_another_order_is_found(found: Found, expected: Messages) -> None:
    key = next(key for key, messages in expected.items() if len(messages) > 1)
    found.memberships[key].reverse()
    assert compare(found, expected).difference is not None


def test_one_other_byte_is_found(found: Found, expected: Messages) -> None:
    key = next(iter(expected))
    found.memberships[key][0] = found.memberships[key][0].replace(b'"add"', b'"Add"')
    assert compare(found, expected).difference is not None


def test_a_membership_missing_in_the_state_is_found(found: Found, expected: Messages) -> None:
    key = min(found.state)
    found.take_state([(key, None)])
    difference = compare(found, expected).difference
    assert difference is not None
    assert difference.startswith(f"cdp.membership-state, key {key.decode()}: it has nothing")


def test_rejected_input_is_found(found: Found, expected: Messages) -> None:
    rejected = Found(found.memberships, found.state, rejected=2)
    assert "cdp.rejected contains 2 records" in str(compare(rejected, expected).difference)

"""Which records of `cdp.definitions` are versions: each the next, whatever else is there."""

from types import SimpleNamespace

import pytest

from cdp_stream.formats.definitions_record import DefinitionFile, encode_record
from cdp_stream.kafka.definitions.topic import applied_of, skips


def topic(*versions, key=b"acme"):
    """Records of these versions; what is not a number is the value as it is."""
    values = [
        encode_record(one, [DefinitionFile("a", "")]) if isinstance(one, int) else one
        for one in versions
    ]
    return [
        SimpleNamespace(offset=offset, key=key, value=value, timestamp=0)
        for offset, value in enumerate(values)
    ]


def taken(records, newest=0):
    return [one.record.version for one in applied_of(records, newest)]


@pytest.fixture
def told(caplog):
    return lambda: [(record.msg, record.facts["offset"]) for record in caplog.records]


def test_the_first_that_the_topic_still_has_may_have_any_number(told):
    assert taken(topic(41, 42, 43)) == [41, 42, 43]
    assert told() == []


def test_one_that_repeats_or_skips_a_number_counts_for_nobody_and_the_next_does(told):
    assert taken(topic(1, 1, 7, 2, 2**63, 3)) == [1, 2, 3]
    assert told() == [("definitions_version_refused", offset) for offset in (1, 2, 4)]
    assert taken(topic(6, 5, 8, 7), newest=5) == [6, 7]


def test_what_compaction_leaves_of_another_account_does_not_hide_the_versions(told):
    head, rest = topic(3, key=b"other"), topic(9, 10)
    assert taken([*head, *rest]) == [3, 9, 10]
    assert taken(topic(99, key=b"another"), newest=10) == []


@pytest.mark.parametrize(
    "value", [None, b"", b"\xff\x00", b"[" * 100_000, b'{"version": 2}', b'"' + b"x" * 2_000_000]
)
def test_what_is_no_version_is_passed_over(told, value):
    assert taken(topic(1, value, 2)) == [1, 2]
    assert told() == [("definitions_record_invalid", 1)]


def test_a_key_that_is_no_text_is_passed_over(told):
    assert taken([*topic(1), *topic(2, key=b"\xff\xfe")]) == [1]
    assert told() == [("definitions_record_invalid", 0)]


def test_whether_versions_are_missing():
    assert not skips(topic(4, b"{", 4, 5, 6), 3)
    assert skips(topic(4, 6), 3)
    assert skips(topic(9), 3)

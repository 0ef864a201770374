"""A version of the definitions as a record: back as it was, or refused with a reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.formats.definitions_record import (
    DefinitionFile,
    decode_record,
    digest_of_files,
    encode_record,
)

FILES = st.lists(
    st.builds(
        DefinitionFile,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    max_size=4,
)


@given(version=st.integers(1, 2**40), files=FILES)
def test_a_version_comes_back(version, files):
    record = decode_record(encode_record(version, files))
    assert (record.version, list(record.files)) == (version, files)
    assert record.digest == digest_of_files(files)


def test_a_variable_of_the_environment_stays_as_it_is_written(monkeypatch):
    monkeypatch.setenv("KEY", "s3cret")
    value = encode_record(1, [DefinitionFile("a.yaml", "api_key: ${KEY}")])
    assert b"${KEY}" in value
    assert b"s3cret" not in value


def test_the_digest_is_of_what_is_written_and_of_how_it_is_cut_into_files():
    one, two = DefinitionFile("a", "xy"), DefinitionFile("b", "z")
    assert digest_of_files([one]) == digest_of_files([DefinitionFile("other", "xy")])
    assert digest_of_files([one, two]) != digest_of_files([DefinitionFile("a", "xyz")])
    assert digest_of_files([one, two]) != digest_of_files([two, one])


VALID = json.loads(encode_record(3, [DefinitionFile("a", "x")]))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (json.dumps({**VALID, "jane@example.com": 1}).encode(), "a member that is not known here$"),
        (json.dumps({**VALID, "version": 0}).encode(), "its version is below 1"),
        (json.dumps({**VALID, "version": True}).encode(), "cannot be read"),
        (b'{"files":' + b"[" * 100_000, "cannot be read"),
        (json.dumps({**VALID, "version": "3"}).encode(), "cannot be read"),
        (json.dumps({**VALID, "format": 2}).encode(), "its format is 2"),
        (json.dumps({**VALID, "digest": "0"}).encode(), "its digest"),
    ],
)
def test_anything_else_is_refused_with_a_reason(value, reason):
    with pytest.raises(ValueError, match=reason):
        decode_record(value)

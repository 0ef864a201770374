"""Identities in the form in which partners compare them, and batches that are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.connectors.change import ADD, DELETE
from cdp_stream.connectors.members.hashing import (
    email_sha256,
    normal_device_id,
    normal_email,
    normal_phone,
    phone_sha256,
    sha256_hex,
)
from cdp_stream.connectors.members.members import fitting, last_of_each_form
from tests.connectors.changes import change


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("4B61639E-47CC-4056-A16A-C8217E029462", "4b61639e-47cc-4056-a16a-c8217e029462"),
        (" 4b61639e-47cc-4056-a16a-c8217e029462\n", "4b61639e-47cc-4056-a16a-c8217e029462"),
        ("00000000-0000-0000-0000-000000000000", ""),
        ("4b61639e47cc4056a16ac8217e029462", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_device_ids(given_, wanted):
    assert normal_device_id(given_) == wanted


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        # developers.google.com/data-manager/api/devguides/concepts/formatting and the like
        ("Cloudy.SanFrancisco@gmail.com", "cloudysanfrancisco@gmail.com"),
        ("cloudy.sanfrancisco+a@googlemail.com", "cloudysanfrancisco@googlemail.com"),
        (" Alex.Z+b@Example.com ", "alex.z+b@example.com"),
    ],
)
def test_googles_emails(given_, wanted):
    assert normal_email(given_, gmail_dots=False) == wanted
    assert email_sha256(given_, gmail_dots=False) == sha256_hex(wanted)


@pytest.mark.parametrize("text", ["", "@", "a@", "@b", "a b", "\ud800"])
def test_what_is_no_email_is_none(text):
    assert email_sha256(text, gmail_dots=False) == ""


def test_phone_numbers_in_e_164():
    assert normal_phone("+1 (800) 555-0100", plus=True) == "+18005550100"
    assert phone_sha256("+1 (800) 555-0100", plus=True) == sha256_hex("+18005550100")
    assert phone_sha256("none", plus=True) == ""


def test_halves_of_characters_are_hashed():
    assert len(sha256_hex("\ud800@example.com")) == 64


def test_of_identities_with_one_form_the_last_change_counts():
    changes = [
        change(ADD, identities={"email": "A@b.example"}),
        change(DELETE, identities={"email": "a@B.example", "other": "o"}),
        change(ADD, mpid="2", audience="b", identities={"email": "a@b.example"}),
        change(ADD, identities={"email": " ", "other": "o"}),
        change(ADD, identities={"other": "o"}),
    ]
    members, refused = last_of_each_form(changes, {"email": lambda text: text.strip().lower()})
    assert [(one.place, one.identity, one.is_in) for one in members] == [
        (1, "a@b.example", False),
        (2, "a@b.example", True),
    ]
    assert refused == {3: "not in the form of its type: email"}


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 10), st.integers(1, 100))
def test_pieces_fit_and_are_as_long_as_they_can_be(sizes, rows, size):
    pieces = fitting(sizes, rows, size)
    assert [one for piece in pieces for one in sizes[piece]] == sizes
    for piece, following in zip(pieces, [*pieces[1:], None], strict=False):
        inside = sizes[piece]
        assert 0 < len(inside) <= rows
        assert sum(inside) <= size or len(inside) == 1
        if following is not None:
            more = [*inside, sizes[following.start]]
            assert len(more) > rows or sum(more) > size

"""What a partner said, without the people in it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Request
from cdp_stream.sinks.http.personal_data import PersonalData


def change(
    *identities: tuple[str, str], mpid: str = "7", attributes: Mapping[str, Any] | None = None
) -> OutputChange[Any]:
    return OutputChange(
        f"a:{mpid}:1:0", "add", "a", "A", mpid, 1, None, identities, attributes or {}, "a@out.eu",
        None, None, {},
    )  # fmt: skip


JANE = change(
    ("email", "Jane.Doe+shop@Mail.Example"), ("mobile_number", "+33 6 12 34 56 78"),
    ("customer_id", "c/ä\"1\""), mpid="-8812345678901234567",
    attributes={"city": "Zürich", "plan": ["gold", {"since": 19991231}], "n": 1, "vip": True},
)  # fmt: skip
EMAIL, CUSTOMER = "Jane.Doe+shop@Mail.Example", 'c/ä"1"'


@pytest.mark.parametrize(
    "said",
    [
        f"404 no user {EMAIL}",
        f"404 no user {EMAIL.upper()}!",
        f"404 no user prefix{EMAIL.lower()}suffix",
        f"404 /users/{quote(EMAIL, safe='')}?x",
        f"404 /users/{quote_plus(EMAIL).lower()}",
        f"404 user {base64.b64encode(EMAIL.encode()).decode()}",
        "404 jane.doe+shop at another place",
        f"404 no user {CUSTOMER}",
        f"404 {json.dumps({'id': CUSTOMER})}",
        f"404 {json.dumps({'id': CUSTOMER}, ensure_ascii=False)}",
        f"404 {json.dumps({'text': json.dumps({'id': CUSTOMER})})}",
        f"404 <b>{html.escape(CUSTOMER)}</b>",
        f"404 id={quote(CUSTOMER)}",
        "404 the phone +33612345678 is wrong",
        "404 the phone 33612345678 is wrong",
        "404 +33 6 12 34 56 78",
        "404 mpid -8812345678901234567",
        "404 ZÜRICH",
        "404 plan=gold",
        "404 since 19991231",
        "404 other@person.example has it",
        "404 jane.doe+sho",
        "404 Jan...",
        "404 ['c/\u00e4\"...; see to it",
        "404 Z\u00fcr\u2026 is no city",
        "404 jane.doe+shop@Mail.Exa... (cut)",
    ],
)
def test_personal_data_is_removed(said: str) -> None:
    shown = PersonalData([change(), JANE])(said)
    assert shown.startswith("404 ")
    assert "***" in shown
    for part in ("jane", "doe", "shop", "612345678", "12 34", "881234", "rich", "gold", "1999",
                 "person", 'ä"', "xe4", "u00e4", "%c3%a4"):  # fmt: skip
        assert part not in shown.lower()


def test_what_identifies_nobody_stays() -> None:
    said = "400 at most 1 of goldfish; resume connection a@out.eu of output out, true"
    assert PersonalData([JANE])(said) == said


def test_hashes_are_known_as_they_were_sent() -> None:
    email = hashlib.sha256(b"jane.doe@mail.example").hexdigest()
    phone = base64.b64encode(hashlib.sha256(b"33612345678").digest()).decode()
    personal = PersonalData([JANE])
    other = hashlib.sha256(b"nobody").hexdigest()
    said = f"400 bad {email.upper()} and {phone}, session {other}"
    assert personal(said) == said
    personal.note(Request("POST", "https://p.example", json.dumps([email, phone]).encode()))
    assert personal(said) == f"400 bad *** and ***, session {other}"


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=6, max_size=40)


@given(st.lists(_TEXT, min_size=1, max_size=5), _TEXT, _TEXT)
def test_no_value_is_left_whatever_surrounds_it(
    values: list[str], before: str, behind: str
) -> None:
    personal = PersonalData([change(("other", value)) for value in values])
    for value in values:
        assert value not in personal(f"{before}{value}{behind}")


def test_ten_thousand_changes_are_known_within_a_moment() -> None:
    changes = [
        change(("email", f"user-{n}@mail.example"), mpid=str(10**15 + n), attributes={"n": n})
        for n in range(10_000)
    ]
    began = time.perf_counter()
    personal = PersonalData(changes)
    words = " ".join(f"user-{n}@mail.example" for n in range(500))
    assert "user-" not in personal(words)
    personal("a" * 16_000)
    personal("@" * 16_000)
    for _ in range(50):
        personal(words)
    assert time.perf_counter() - began < 10

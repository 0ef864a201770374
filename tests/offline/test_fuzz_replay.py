"""Whatever is in an event file, a replay goes through it: each line is applied or rejected."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_stream.core.model.change import Change
from cdp_stream.core.model.row import SIZE_LIMIT
from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definitions import load_text
from cdp_stream.formats.membership import encode_change
from cdp_stream.formats.rejects import rejected_line
from cdp_stream.formats.rows import decode_row, encode_row
from cdp_stream.offline.replay import Replay
from tests.formats.mutations import RARE, written
from tests.offline.streams import START

TESTS = [
    *({"exists": True}, {"equals": 42}, {"contains": "a"}, {"pattern": "*a?*b*"}),
    *({"at_least": 1}, {"one_of": ["x", 7]}, {"is": True}, {"includes": "1e3"}),
    *({"last": "3d"}, {"before": "2026-01-01"}, {"between": ["6d", "4d"]}, {"on": "2024-02-29"}),
]
SOURCES = ["attribute", "field", "product", "product_attribute"]


def plan() -> Plan:
    """Criteria that read every part of a batch with every kind of test."""
    criteria: list[Any] = [{"user_attribute": "k", **test} for test in TESTS]
    criteria += [
        {"commerce": "any", "where": [{source: "k", **test}]}
        for source in SOURCES
        for test in TESTS
    ]
    criteria += [{"event": "any", "where": [{"attribute": "$k", **test}]} for test in TESTS]
    criteria += [{"event": "any", "count": {"between": [1, 2]}, "when": {"between": ["6d", "4d"]}}]
    criteria += [{"session": "end", "where": [{"field": "session_duration_ms", "at_least": 1}]}]
    rules = {
        "version": 1,
        "account": "acme",
        "workspaces": [{"id": "shop", "inputs": [{"id": "web", "kind": "platform"}]}],
        "audiences": [
            {"id": f"a{number}", "criteria": criterion} for number, criterion in enumerate(criteria)
        ],
    }
    loaded = load_text(json.dumps(rules))
    assert loaded.account is not None, loaded.problems
    return build_plan(loaded.account)


PLAN = plan()
GOOD = {
    "mpid": 7,
    "timestamp_unixtime_ms": START,
    "source_request_id": "r",
    "user_attributes": {"k": "a", "l": [1, "2", None]},
    "deleted_user_attributes": ["m"],
    "user_identities": [{"identity_type": "email", "identity": "a@b.c"}],
    "device_info": {"platform": "iOS"},
    "application_info": {"application_version": "1"},
    "events": [
        {
            "event_type": "custom_event",
            "data": {
                "event_name": "Buy",
                "custom_event_type": "other",
                "timestamp_unixtime_ms": START - 5,
                "source_message_id": "m",
                "custom_attributes": {"k": 1, "$K": "2024-02-29"},
            },
        },
        {
            "event_type": "commerce_event",
            "data": {
                "k": None,
                "product_action": {
                    "action": "purchase",
                    "k": 5,
                    "products": [{"id": "p", "k": 42, "custom_attributes": {"k": "x"}}],
                },
            },
        },
        {"event_type": "session_end", "data": {"session_duration_ms": 9}},
    ],
}

numbers = st.integers(-(10**40), 10**40) | st.sampled_from(
    [*(2**63, -(2**63) - 1, 253_402_300_799_999, 10**300, 1e308, -1e308, 5e-324, 0.1, -0.0)]
)
texts = st.text(max_size=5) | st.sampled_from(
    [
        *("9" * 5000, "1e999", "-", "2024-02-29", "9999-12-31T23:59:59-23:59", "0001-01-01", "ß"),
        *("aab" * 1000, "\x00", *RARE),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["k", "id", "action", "products"]), inner, max_size=3)
    ),
    max_leaves=5,
)
scraps = st.sampled_from(
    [b'"', b"{", b"[", b"}", b"]", b",", b":", b"1e999", b"\xff", b"\x00", b"-", b"\\udfff"]
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node)
    found = [path]
    for key, child in children:
        found += places(child, (*path, key)) if isinstance(child, dict | list) else [(*path, key)]
    return found


PLACES = places(GOOD)


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = put(node[path[0]], path[1:], value)
    return copy


@st.composite
def wrong_types(draw: st.DrawFn) -> bytes:
    document: Any = GOOD
    # Later places first: what stands in an earlier one may be gone after it was replaced.
    for place in sorted(draw(st.sets(st.integers(1, len(PLACES) - 1), min_size=1, max_size=3)))[
        ::-1
    ]:
        document = put(document, PLACES[place], draw(values))
    return written(document)


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    line = bytearray(json.dumps(GOOD).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(line)))
        line[start : start + draw(st.integers(0, 3))] = draw(scraps | st.binary(max_size=3))
    return bytes(line)


@st.composite
def deep_nesting(draw: st.DrawFn) -> bytes:
    opening, closing = draw(st.sampled_from([("[", "]"), ('{"k":', "}"), ("[[],", "]")]))
    depth = draw(st.integers(1, 70) | st.sampled_from([1_000, 20_000]))
    deep = opening * depth + "1" + closing * (depth if draw(st.booleans()) else 0)
    place = draw(st.sampled_from(PLACES[1:]))
    return json.dumps(put(GOOD, place, "HERE")).replace('"HERE"', deep).encode()


lines = st.one_of(wrong_types(), wrong_types(), mutated_bytes(), deep_nesting(), st.binary())


def go_through(given_lines: list[bytes], until: int | None) -> None:
    handed_back: list[bytes] = []

    def take(number: int, reject: Any) -> None:
        handed_back.append(rejected_line(reject, number, given_lines[number - 1]))

    replay = Replay(PLAN, until=until, on_reject=take)
    made: list[Change] = []
    for line in given_lines:
        replay.feed(line, made)
    replay.finish(made.extend)
    for change in made:
        assert orjson.loads(encode_change(change, "acme"))["mpid"] == str(change.mpid)
    for back in handed_back:
        assert orjson.loads(back)["reason"]
    for mpid, row in replay.rows.items():
        encoded = encode_row(row)
        assert len(encoded) <= 2 * SIZE_LIMIT
        assert encode_row(decode_row(mpid, encoded)) == encoded


@settings(deadline=None)
@given(st.lists(lines, min_size=1, max_size=6), st.none() | st.just(START + 10**10))
def test_a_replay_goes_through_anything(given_lines: list[bytes], until: int | None) -> None:
    go_through(given_lines, until)


@settings(deadline=None)
@given(lines)
def test_a_line_is_applied_or_handed_back(line: bytes) -> None:
    rejects: list[Any] = []
    replay = Replay(PLAN, on_reject=lambda _number, reject: rejects.append(reject))
    replay.feed(line, [])
    assert replay.rows or rejects or not line or line.isspace()


def test_the_line_that_is_changed_is_good_before() -> None:
    rejects: list[Any] = []
    replay = Replay(PLAN, on_reject=lambda _number, reject: rejects.append(reject))
    replay.feed(json.dumps(GOOD).encode(), [])
    assert rejects == []
    assert replay.events == 3
    assert len(replay.rows[7].members) > 5

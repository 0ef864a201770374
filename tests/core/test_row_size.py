"""How large a row gets after 100,000 matching events, for each kind of criterion: bounded, or a few
bytes an event where each event may still count by itself; and no further than 512 KiB.
"""

import json

import pytest

from cdp_stream.core.model.row import SIZE_LIMIT
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.formats.rows import encode_row
from cdp_stream.offline.replay import Replay

EVENTS = 100_000
START = 1_700_000_000_000
BOUNDED = 4_096
AN_EVENT = 16
TEXTS = 32_768
"""What the thousand distinct values of the streams may take, once."""

ONLY_NEWEST = {
    "at least": {"event": "Play", "count": {"at_least": 20}},
    "at most": {"event": "Play", "count": {"at_most": 20}},
    "equals": {"event": "Play", "count": {"equals": 20}, "when": "any_time"},
    "day": {"event": "Play", "when": {"on": "2023-11-14"}},
    "where": {"event": "Play", "where": [{"attribute": "n", "greater_than": 5}]},
    "user_attribute": {"user_attribute": "n", "greater_than": 5},
    "last_seen": {"last_seen": {"last": "7d"}},
    "first_seen": {"first_seen": {"last": "7d"}},
    "location": {"location": "city", "equals": "Paris"},
    "distance": {"location": {"within": "50km", "of": [48.85, 2.35]}},
    "device": {"device": "platform", "equals": "iOS"},
    "consent": {"consent": {"regulation": "gdpr", "purpose": "ads"}, "state": "given"},
    "identity": {"identity": "email", "exists": True},
    "complete sequences": {"sequence": [{"event": "Play"}, {"event": "Play"}], "within": "2h"},
    "calculated last": {"calculated_attribute": "last", "greater_than": 5},
    "calculated total": {"calculated_attribute": "total", "greater_than": 5},
}
EVERY_EVENT = {
    "ago": {"event": "Play", "when": {"between": ["20d", "10d"]}},
    "calculated sum": {"calculated_attribute": "sum", "greater_than": 5},
    "calculated first": {"calculated_attribute": "first", "greater_than": 5},
    "unfinished sequences": {"sequence": [{"event": "Play"}, {"event": "Stop"}], "within": "2h"},
    "cart": {"cart_abandonment": {"wait": "2h"}},
}


CALCULATED = {
    "last": ("shop", "last_occurrence"),
    "total": ("ever", "sum"),
    "sum": ("shop", "sum"),
    "first": ("shop", "first_occurrence"),
}


def definitions(criteria):
    """Each criterion an audience; calculated totals in a workspace without lookback."""
    of = {"event": "Play", "attribute": "n"}
    feeds = [{"id": "web", "kind": "platform"}]
    return json.dumps(
        {
            "version": 1,
            "account": "acme",
            "workspaces": [
                {"id": "shop", "inputs": feeds},
                {"id": "ever", "lookback": "unlimited", "inputs": [{"id": "tv", "kind": "feed"}]},
            ],
            "calculated_attributes": [
                {"id": name, "workspace": workspace, "calculation": calculation, "of": of}
                for name, (workspace, calculation) in CALCULATED.items()
            ],
            "audiences": [
                {
                    "id": f"a{place}",
                    "workspaces": ["ever" if "total" in criterion.values() else "shop"],
                    "criteria": criterion,
                }
                for place, criterion in enumerate(criteria)
            ],
        }
    )


def lines(source, *, carts, **profile):
    """Batches of a hundred events each, one a second; carts are added to, or `Play` is done."""
    for first in range(0, EVENTS, 100):
        events = [event(number, carts=carts) for number in range(first, first + 100)]
        at = START + (first + 99) * 1_000
        key = {"api_key": source, "mpid": 7, "timestamp_unixtime_ms": at}
        yield json.dumps(key | {"events": events} | profile).encode()


def event(number, *, carts):
    data = {
        "timestamp_unixtime_ms": START + number * 1_000,
        "custom_attributes": {"n": number % 1_000},
    }
    if not carts:
        return {"event_type": "custom_event", "data": {"event_name": "Play"} | data}
    products = [{"id": f"p{number % 50}", "quantity": 1}]
    action = {"action": "add_to_cart", "products": products}
    return {"event_type": "commerce_event", "data": {"product_action": action} | data}


def fed(criteria, lines, source):
    """The row after the lines, and why events were refused."""
    loaded = load_text(definitions(criteria))
    assert loaded.account is not None, loaded.problems
    refused = []
    replay = Replay(
        build_plan(loaded.account),
        input_id=source,
        on_reject=lambda _line, reject: refused.append(reject.reason),
    )
    for one in lines:
        replay.feed(one, [])
    return replay.rows[7], refused


PROFILE = {
    "context": {"location": {"latitude": 48.85, "longitude": 2.35, "city_name": "Paris"}},
    "user_attributes": {"n": 7},
    "user_identities": {"email": "ada@example.com"},
    "device_info": {"platform": "iOS", "os_version": "17"},
    "consent_state": {"gdpr": {"ads": {"consented": True}}},
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["web", "tv"])
def test_a_row_of_bounded_criteria_stays_small(source):
    row, refused = fed(ONLY_NEWEST.values(), lines(source, carts=False, **PROFILE), source)
    assert len(encode_row(row)) <= BOUNDED
    assert refused == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", EVERY_EVENT)
def test_a_row_in_which_every_event_counts_grows_by_few_bytes_and_then_no_more(kind):
    row, refused = fed([EVERY_EVENT[kind]], lines("web", carts=kind == "cart"), "web")
    size = len(encode_row(row))
    assert size <= SIZE_LIMIT
    assert set(refused) <= {"profile_too_large"}
    assert size <= TEXTS + AN_EVENT * (EVENTS - len(refused))
    # What was refused would not have fitted.
    assert not refused or size > SIZE_LIMIT * 9 // 10

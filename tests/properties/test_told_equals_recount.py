"""Each output is told exactly what a recount of everything would tell it, and nothing else."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.connection import Connection
from cdp_stream.core.model.row import Row
from cdp_stream.core.outputs.messages import Emission, OutputMessage
from cdp_stream.core.plan.build import build_plan
from cdp_stream.definitions import load_text
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.rows import decode_row, encode_row
from tests.properties.profile_strategies import IDENTITY_TYPES
from tests.properties.recount_account import Account
from tests.properties.recount_told import Message, accepted, recount_told
from tests.properties.strategies import cases
from tests.properties.value_strategies import ATTRIBUTES

Json = Any
SHARED = [key for key in ATTRIBUTES if key != "$V"]
"""Definitions fold reserved keys before the engine sees them."""
ACCEPTED = [None, None, ["email"], ["email", "customer_id"], ["facebook"]]


@st.composite
def connected(draw: st.DrawFn) -> tuple[Json, list[Json], int | None, list[Json]]:
    """A case with connections; profiles often have, and change, identities."""
    definitions, stream, until = draw(cases())
    account = Account(definitions)
    connections = []
    for audience in account.audiences.values():
        if not draw(st.integers(0, 3)):
            continue
        tested = audience.ab_test is not None
        connections.append(
            {
                "id": f"{audience.id}@out",
                "audience": audience.id,
                "variant": audience.variant_of(7) if tested and draw(st.booleans()) else None,
                "identities": draw(st.sampled_from(ACCEPTED)),
                "share": draw(
                    st.lists(
                        st.sampled_from([*account.calculated, *SHARED]), max_size=3, unique=True
                    )
                ),
            }
        )
    values = st.sampled_from(["one", "two", None])
    for batch in stream:
        if draw(st.booleans()):
            kinds = draw(st.lists(st.sampled_from(IDENTITY_TYPES), min_size=1, max_size=2))
            batch["user_identities"] = {kind: draw(values) for kind in kinds}
    return definitions, stream, until, connections


# A case that fails is made smaller for up to five minutes.
@pytest.mark.timeout(900)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=connected())
def test_outputs_are_told_what_a_recount_tells_them(
    case: tuple[Json, list[Json], int | None, list[Json]],
) -> None:
    definitions, stream, until, connections = case
    note(json.dumps(definitions, ensure_ascii=False, indent=1))
    note("\n".join(json.dumps(batch, ensure_ascii=False) for batch in stream))
    note(f"until {until}, {connections}")
    told = tell(definitions, connections, stream, until)
    expected = recount_told(definitions, connections, stream, until)
    found: dict[int, dict[str, list[Message]]] = {
        mpid: {one["id"]: [] for one in connections} for mpid in expected
    }
    lists: dict[tuple[int, str], set[tuple[str, str]]] = defaultdict(set)
    for one in told:
        found[one.change.mpid][one.connection.id].append(as_message(one))
        known = lists[one.change.mpid, one.connection.id]
        if one.change.action == "add":
            known |= set(one.change.identities)
        elif one.change.action == "delete":
            known -= set(one.change.identities)
    assert found == {mpid: profile.told for mpid, profile in expected.items()}
    ids = [(one.message_id, one.connection.id) for one in told]
    assert len(set(ids)) == len(ids)
    for mpid, profile in expected.items():
        for one in connections:
            variant = profile.account.audiences[one["audience"]].variant_of(mpid)
            is_told = one["audience"] in profile.members and one["variant"] in (None, variant)
            should = set(accepted(one, profile.identities)) if is_told else set()
            assert lists[mpid, one["id"]] == should


def tell(
    definitions: Json, connections: list[Json], stream: list[Json], until: int | None
) -> list[OutputMessage]:
    """What the engine tells; rows are written and read again after every batch."""
    account = load_text(json.dumps(definitions, ensure_ascii=False)).account
    assert account is not None
    made = tuple(
        Connection(
            one["id"],
            one["audience"],
            "out",
            one["variant"],
            user_attributes=tuple(one["share"]),
            identities=None if one["identities"] is None else frozenset(one["identities"]),
        )
        for one in connections
    )
    plan = build_plan(replace(account, connections=made))
    engine, decoder = Engine(plan), BatchDecoder(plan.inputs)
    emission = Emission()
    rows: dict[int, Row] = {}
    arrivals = []
    for one in stream:
        batch, _rejects = decoder.decode_line(json.dumps(one, ensure_ascii=False).encode())
        if batch is None or (until is not None and batch.arrival > until):
            continue
        arrivals.append(batch.arrival)
        row = rows.get(batch.mpid) or Row(batch.mpid)
        engine.apply(row, batch, emission)
        rows[batch.mpid] = decode_row(batch.mpid, encode_row(row))
    last = max(arrivals, default=0) if until is None else until
    for row in rows.values():
        engine.wake(row, last, emission)
    return emission.messages


def as_message(one: OutputMessage) -> Message:
    """What the recount says of a message."""
    attributes = json.dumps(one.attributes, sort_keys=True)
    return one.change.action, one.change.effective_at, one.change.identities, attributes

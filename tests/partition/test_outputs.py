"""What one partition tells its outputs: at each change, between two, as definitions change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from cdp_stream.core.connection import Connection, Output
from cdp_stream.core.definition import (
    AbTest,
    Account,
    CalculatedAttribute,
    Calculation,
    Source,
    Variant,
)
from cdp_stream.core.planning import build_history_plan
from cdp_stream.core.subject import EVENT, Subject
from cdp_stream.core.windows import Window
from cdp_stream.partition.definitions import Definitions
from cdp_stream.partition.effects import Effects
from cdp_stream.partition.processor import ProfileProcessor
from tests.core.accounts import DAY, SHORT, audience, did
from tests.partition.records import Rows, T, deliver, sent

PLAYED = audience(
    "played", did("play", workspace="short", window=Window(oldest=3 * DAY)), workspace="short"
)
SPENT = CalculatedAttribute(
    "spent",
    "short",
    Calculation.SUM,
    Subject(EVENT, "pay"),
    (Source.ATTRIBUTE, "price"),
    (),
    Window(oldest=DAY, newest=0),
)
LIST = Connection("played@list", "played", "list", identities=frozenset({"email"}))
LOG = Connection(
    "played@log", "played", "log", user_attributes=("spent", "tier"), settings={"list": "a1"}
)
MAIL = {"email": "a@b.c", "customer_id": "c1"}
TEST = AbTest("seed", (Variant("Blue", 10_000), Variant("Control", 10_000)))


def account(*connections: Connection, **changed: Any) -> Account:
    """Who played lately, told to these connections."""
    outputs = (Output("list", "webhook"), Output("log", "webhook"))
    made = Account("acme", (SHORT,), (PLAYED,), (SPENT,), outputs, connections)
    return replace(made, **changed)


def definitions(found: Account, version: int = 1, at: int = 0) -> Definitions:
    """A version of the definitions, applied `at` ms after T."""
    return Definitions(str(version), T + at, found)


def processor(found: Account, rows: Rows) -> ProfileProcessor:
    """A processor that takes over these rows, and has adopted these definitions."""
    first = definitions(found)
    made = ProfileProcessor(first, "cdp.events", 0)
    made.restore(rows)
    deliver(rows, made.switch(first))
    return made


def told(effects: Effects, output: str | None = None) -> list[dict[str, Any]]:
    """The messages to an output, or to all."""
    return [
        json.loads(value) | {"output": name}
        for name, _key, value in effects.outputs
        if output in (None, name)
    ]


def short(effects: Effects, output: str | None = None) -> list[tuple[Any, ...]]:
    """Action, end of the id, and identities of each message."""
    return [
        (
            one["action"],
            one["message_id"].replace(f":{T}", ":T").partition(":T")[2],
            "".join(entry["identity"][0] for entry in one["user_identities"]),
        )
        for one in told(effects, output)
    ]


def test_a_message_is_the_change_with_its_connection_and_settings() -> None:
    made = processor(account(LOG), {})
    effects = made.apply([sent(0, 7, 0, "play", user_identities=MAIL, user_attributes={"tier": 1})])
    ((name, key, value),) = effects.outputs
    assert (name, key) == ("log", b"7")
    change = json.loads(effects.memberships[0][1])
    expected = {**change, "user_attributes": {"spent": 0, "tier": 1}}
    expected |= {"connection": "played@log", "settings": {"list": "a1"}}
    assert list(json.loads(value).items()) == list(expected.items())


def test_only_accepted_identities_go_out_and_nobody_is_counted() -> None:
    made = processor(account(LIST, LOG), {})
    effects = made.apply([sent(0, 7, 0, "play", user_identities=MAIL), sent(1, 8, 0, "play")])
    assert short(effects, "list") == [("add", ":0", "a")]
    assert short(effects, "log") == [("add", ":0", "ca")]
    assert effects.unidentified == {"list": 1, "log": 1}


def test_a_message_too_large_for_kafka_goes_without_its_attributes() -> None:
    names = tuple(f"a{number}" for number in range(9))
    settings = {"list": "x" * 1_000_000}
    heard = (LIST, replace(LOG, user_attributes=names))
    deaf = Connection("played@deaf", "played", "deaf", settings=settings)
    made = processor(account(*heard, deaf, row_limit=2_000_000), {})
    for number, name in enumerate(names):
        large = {name: ["x" * 500] * 240}
        made.apply([sent(number, 7, 0, user_identities=MAIL, user_attributes=large)])
    effects = made.apply([sent(10, 7, 0, "play")])
    assert short(effects) == [("add", ":0", "a"), ("add", ":0", "ca")]
    assert [one["user_attributes"] for one in told(effects)] == [{}, {}]
    assert effects.oversized == {"log": 1, "deaf": 1}
    # An update that says nothing would say that the profile has no attributes any more.
    effects = made.apply([sent(11, 7, 0, user_attributes={"a0": ["y" * 500] * 240})])
    assert (short(effects), effects.oversized) == ([], {"log": 1})
    effects = made.apply([sent(12, 7, 0, user_attributes={"a0": 1})])
    ((action, _, _),) = short(effects, "log")
    (update,) = told(effects, "log")
    assert (action, set(update["user_attributes"])) == ("attribute_update", set(names))
    assert effects.oversized == {}


def test_identities_come_and_go_while_the_profile_is_a_member() -> None:
    made = processor(account(LIST), {})
    made.apply([sent(0, 7, 0, "play")])
    effects = made.apply([sent(1, 7, 0, user_identities={"email": "x", "customer_id": "c"})])
    assert short(effects) == [("add", ":played@list:identity:0", "x")]
    effects = made.apply([sent(2, 7, 0, user_identities={"email": "y"})])
    assert short(effects) == [
        ("delete", ":played@list:identity:1", "x"),
        ("add", ":played@list:identity:2", "y"),
    ]
    (gone,) = told(made.apply([sent(3, 7, 5, user_identities={"email": None})]))
    assert gone["message_id"] == f"played:7:{T + 5}:played@list:identity:0"
    assert gone["cause"] == {
        "kind": "profile",
        "criterion": None,
        "event_id": None,
        "event_time": T + 5,
    }
    assert (gone["ordinal"], gone["effective_at"]) == (0, T + 5)


def test_numbers_go_on_after_a_crash() -> None:
    rows: Rows = {}
    made = processor(account(LIST), rows)
    records = [sent(0, 7, 0, "play", user_identities=MAIL)]
    deliver(rows, made.apply(records))
    deliver(rows, made.apply([sent(1, 7, 0, user_identities={"email": "x"})]))
    again = processor(account(LIST), rows)
    assert short(again.apply([sent(2, 7, 0, user_identities={"email": "y"})])) == [
        ("delete", ":played@list:identity:2", "x"),
        ("add", ":played@list:identity:3", "y"),
    ]


def test_shared_attributes_are_told_as_they_change_by_event_profile_and_time() -> None:
    made = processor(account(LOG), {})
    paid = {
        "event_type": "custom_event",
        "data": {"event_name": "pay", "source_message_id": "m1", "custom_attributes": {"price": 5}},
    }
    made.apply([sent(0, 7, 0, "play", user_identities=MAIL)])
    (update,) = told(made.apply([sent(1, 7, 1, events=[paid])]))
    assert (update["action"], update["user_attributes"]) == ("attribute_update", {"spent": 5})
    assert update["message_id"] == f"played:7:{T + 1}:played@log:attributes:0"
    assert (update["cause"]["kind"], update["cause"]["event_id"]) == ("event", "m1")
    assert len(update["user_identities"]) == 2
    (update,) = told(made.apply([sent(2, 7, 2, user_attributes={"tier": 2})]))
    assert update["user_attributes"] == {"spent": 5, "tier": 2}
    assert told(made.apply([sent(3, 7, 3, user_attributes={"tier": 2, "other": 1})])) == []
    assert made.next_due() == T + DAY + 2
    (update,) = told(made.tick(T + 2 * DAY, 10))
    assert (update["effective_at"], update["cause"]["kind"]) == (T + DAY + 2, "time")
    assert update["user_attributes"] == {"spent": 0, "tier": 2}


def test_nobody_waits_for_what_is_shared_of_those_who_are_no_members() -> None:
    made = processor(account(LOG), {})
    pay = {"event_name": "pay", "custom_attributes": {"price": 5}}
    made.apply([sent(0, 7, 0, events=[{"event_type": "custom_event", "data": pay}])])
    assert made.next_due() == T + 10 * DAY + 1


def test_sums_of_any_size_stay_exact() -> None:
    made = processor(account(LOG), {})
    data = {"event_name": "pay", "custom_attributes": {"price": "1e25"}}
    pay = {"event_type": "custom_event", "data": data}
    play = {"event_type": "custom_event", "data": {"event_name": "play"}}
    (add,) = told(made.apply([sent(0, 7, 0, events=[pay, play], user_identities=MAIL)]))
    assert add["user_attributes"] == {"spent": "10000000000000000000000000"}


def test_a_variant_has_connections_of_its_own() -> None:
    split = replace(PLAYED, ab_test=TEST)
    blue = replace(LIST, id="played#Blue@list", variant="Blue")
    control = replace(LOG, id="played#Control@log", variant="Control")
    made = processor(account(blue, control, replace(LOG, output="all"), audiences=(split,)), {})
    effects = made.apply([sent(0, 7, 0, "play", user_identities=MAIL)])
    assert [one["output"] for one in told(effects)] == ["list", "all"]
    assert {one["audience_name"] for one in told(effects)} == {"PLAYED - Blue"}


def test_an_opt_out_is_told_as_deletes_and_then_nothing() -> None:
    made = processor(account(LIST), {})
    made.apply([sent(0, 7, 0, "play", user_identities=MAIL)])
    out = {"event_type": "opt_out", "data": {"is_opted_out": True}}
    (gone,) = told(made.apply([sent(1, 7, 1, events=[out])]))
    assert (gone["action"], gone["cause"]["kind"]) == ("delete", "opt_out")
    effects = made.apply([sent(2, 7, 2, "play", user_identities={"email": "z"})])
    assert told(effects) == []


def test_the_end_of_a_profile_is_told() -> None:
    made = processor(account(LIST), {})
    made.apply([sent(0, 7, 0, "play", user_identities=MAIL), sent(1, 7, DAY, "play")])
    ended = [one for one in told(made.tick(T + 30 * DAY, 10)) if one["action"] == "delete"]
    assert [one["user_identities"][0]["identity"] for one in ended] == ["a@b.c"]


def test_a_connection_made_active_hears_of_every_member() -> None:
    rows: Rows = {}
    idle = replace(LOG, active=False)
    made = processor(account(idle), rows)
    records = [sent(0, 7, 0, "play", user_identities=MAIL), sent(1, 8, 0, "other")]
    effects = made.apply(records)
    assert effects.outputs == []
    deliver(rows, effects)
    switched = made.switch(definitions(account(LOG), 2, at=9))
    assert (switched.started, switched.stopped, switched.outputs) == (["played@log"], [], [])
    deliver(rows, switched)
    effects = made.sweep(10)
    (add,) = told(effects)
    assert add["message_id"] == f"played:7:{T + 9}:played@log:activation:0"
    assert (add["action"], add["cause"]["kind"]) == ("add", "definition")
    assert add["user_attributes"] == {}
    assert effects.memberships == []
    deliver(rows, effects)
    assert made.sweep(10).outputs == []


def test_a_calculated_attribute_is_shared_once_its_history_is_in() -> None:
    rows: Rows = {}
    made = processor(account(replace(LOG, user_attributes=("tier",))), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    shared = definitions(account(LOG), 2)
    deliver(rows, made.switch(shared))
    assert len(made.missing) == 1
    assert made.sweep(10).outputs == []
    deliver(rows, made.switch(shared, made.missing))
    effects = made.sweep(10)
    (update,) = told(effects)
    assert (update["action"], update["user_attributes"]) == ("attribute_update", {"spent": 0})
    assert update["cause"]["kind"] == "definition"


def test_the_history_of_what_is_only_shared_can_be_read() -> None:
    made = processor(account(), {})
    made.switch(definitions(account(LOG), 2))
    history = build_history_plan(account(LOG), made.missing)
    assert frozenset(history.plan.memories) == made.missing
    assert history.lookback_ms == DAY


def test_one_made_inactive_or_removed_stops() -> None:
    for later in (account(replace(LOG, active=False)), account()):
        rows: Rows = {}
        made = processor(account(LOG), rows)
        deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
        switched = made.switch(definitions(later, 2))
        assert (switched.stopped, switched.outputs) == (["played@log"], [])
        deliver(rows, switched)
        assert made.sweep(10).outputs == []
        assert made.tick(T + 5 * DAY, 10).outputs == []


def test_one_that_pauses_between_two_sweeps_hears_of_every_member_again() -> None:
    rows: Rows = {}
    made = processor(account(LOG), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    deliver(rows, made.switch(definitions(account(), 2)))
    deliver(rows, made.switch(definitions(account(LOG), 3)))
    assert [one["action"] for one in told(made.sweep(10))] == ["add"]


def test_other_settings_name_another_list_which_hears_of_every_member() -> None:
    rows: Rows = {}
    made = processor(account(LOG), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    deliver(rows, made.switch(definitions(account(replace(LOG, settings={"list": "b2"})), 2)))
    (add,) = told(made.sweep(10))
    assert (add["action"], add["settings"]) == ("add", {"list": "b2"})


def test_other_shared_attributes_are_told_of_every_member() -> None:
    rows: Rows = {}
    made = processor(account(LOG), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    deliver(rows, made.switch(definitions(account(replace(LOG, user_attributes=("tier",))), 2)))
    (update,) = told(made.sweep(10))
    assert (update["action"], update["user_attributes"]) == ("attribute_update", {})


def test_deleting_an_audience_is_told_once_and_no_member_is() -> None:
    rows: Rows = {}
    made = processor(account(LOG), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    switched = made.switch(definitions(account(audiences=()), 2, at=9))
    ((name, key, value),) = switched.outputs
    assert (name, key) == ("log", b"")
    message = json.loads(value)
    assert message["message_id"] == f"played::{T + 9}:played@log:audience_delete:0"
    assert (message["action"], message["mpid"]) == ("audience_delete", "")
    assert list(message)[-2:] == ["connection", "settings"]
    assert message["settings"] == {"list": "a1"}
    deliver(rows, switched)
    effects = made.sweep(10)
    assert [json.loads(value)["action"] for _key, value in effects.memberships] == ["delete"]
    assert effects.outputs == []


def test_a_deletion_between_two_switches_is_told_and_every_member_is_told_again() -> None:
    rows: Rows = {}
    made = processor(account(LOG), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    switched = made.switch(definitions(account(LOG), 3, at=9), skipped=[account(audiences=())])
    (message,) = told(switched)
    assert (message["action"], switched.started) == ("audience_delete", ["played@log"])
    deliver(rows, switched)
    again = ProfileProcessor(definitions(account(LOG), 3, at=9), "cdp.events", 0)
    again.restore(rows)
    effects = again.sweep(10)
    assert [one["action"] for one in told(effects)] == ["add"]
    assert effects.memberships == []


def test_nobody_is_told_where_the_output_goes_too_or_the_connection_was_inactive() -> None:
    gone = account(audiences=())
    without = replace(gone, outputs=())
    for before, after in ((account(LOG), without), (account(replace(LOG, active=False)), gone)):
        rows: Rows = {}
        made = processor(before, rows)
        deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
        assert made.switch(definitions(after, 2, at=9)).outputs == []


def test_the_end_of_a_test_is_told_to_its_variants_alone() -> None:
    rows: Rows = {}
    split = replace(PLAYED, ab_test=TEST)
    blue = replace(LIST, id="played#Blue@list", variant="Blue", on_audience_delete="delete")
    made = processor(account(blue, LOG, audiences=(split,)), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    switched = made.switch(definitions(account(LOG), 2, at=9))
    (message,) = told(switched)
    assert (message["output"], message["audience_name"]) == ("list", "PLAYED - Blue")
    assert message["on_audience_delete"] == "delete"
    deliver(rows, switched)
    effects = made.sweep(10)
    assert [json.loads(value)["action"] for _key, value in effects.memberships] == ["delete", "add"]
    assert effects.outputs == []
    deliver(rows, effects)
    again = ProfileProcessor(definitions(account(LOG), 2, at=9), "cdp.events", 0)
    again.restore(rows)
    assert [one["output"] for one in told(again.tick(T + 5 * DAY, 10))] == ["log"]


def test_a_draft_is_told_of_no_more_once_its_members_are_deleted() -> None:
    rows: Rows = {}
    made = processor(account(LOG), rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL)]))
    draft = account(LOG, audiences=(replace(PLAYED, emits=False),))
    deliver(rows, made.switch(definitions(draft, 2)))
    effects = made.sweep(10)
    assert [one["action"] for one in told(effects)] == ["delete"]
    deliver(rows, effects)
    assert made.apply([sent(1, 7, 1, user_identities={"email": "x"})]).outputs == []


def switched(
    first: Account, *others: Account, batch: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """What a member with identities is told of when definitions change, once or several times
    before its turn comes.
    """
    rows: Rows = {}
    made = processor(first, rows)
    deliver(rows, made.apply([sent(0, 7, 0, "play", user_identities=MAIL, **(batch or {}))]))
    for number, other in enumerate(others, start=2):
        deliver(rows, made.switch(definitions(other, number)))
    return told(made.sweep(10))


def test_as_a_test_ends_a_connection_of_all_hears_what_else_has_changed() -> None:
    split = (replace(PLAYED, ab_test=TEST),)
    (add,) = switched(account(replace(LOG, active=False), audiences=split), account(LOG))
    assert (add["action"], add["cause"]["kind"]) == ("add", "definition")
    tier = account(replace(LOG, user_attributes=("tier",)))
    (update,) = switched(account(LOG, audiences=split), tier)
    assert (update["action"], update["user_attributes"]) == ("attribute_update", {})


def test_a_list_that_another_stood_for_meanwhile_hears_of_every_member_again() -> None:
    other = account(replace(LOG, settings={"list": "b2"}))
    (add,) = switched(account(LOG), other, account(LOG))
    assert (add["action"], add["settings"]) == ("add", {"list": "a1"})


def test_another_connector_is_another_partner_that_hears_of_every_member() -> None:
    outputs = (Output("list", "webhook"), Output("log", "kafka"))
    (add,) = switched(account(LOG), account(LOG, outputs=outputs))
    assert (add["action"], add["output"]) == ("add", "log")
    made = processor(account(LOG), {})
    gone = account(outputs=outputs, audiences=())
    assert made.switch(definitions(gone, 2)).outputs == []


def test_what_is_shared_under_a_name_may_be_something_else() -> None:
    most = replace(SPENT, id="most", calculation=Calculation.MAX)
    swapped = (replace(SPENT, id="most"), replace(most, id="spent"))
    both = (replace(LOG, user_attributes=("spent",)), replace(LIST, user_attributes=("most",)))
    (one, other) = switched(
        account(*both, calculated_attributes=(SPENT, most)),
        account(*both, calculated_attributes=swapped),
    )
    assert (one["action"], one["user_attributes"]) == ("attribute_update", {})
    assert (other["action"], other["user_attributes"]) == ("attribute_update", {"most": 0})

"""What is wrong with the input as a whole is a fact in the log: at once, then once a minute."""

import json

from cdp_stream.kafka.runtime.input_facts import InputFacts
from cdp_stream.observability.log import set_up_logging
from cdp_stream.partition.effects import Effects


def rejected(*reasons):
    return Effects(rejected=[(b"k", b"v", [("reason", reason)]) for reason in reasons])


def test_odd_times_are_logged_with_their_places(capsys):
    set_up_logging("info", "json")
    facts = InputFacts(lambda: 5.0)
    facts.applied(1, Effects(future_records=2, implausible={"web": 3, "ios": 1}))
    facts.applied(2, Effects(future_records=1, implausible={"web": 1}))
    facts.log_now_and_then()
    facts.log_now_and_then()
    future, implausible = logged(capsys)
    assert (future["fact"], future["records"], future["partitions"]) == (
        "records_in_the_future", 3, [1, 2],
    )  # fmt: skip
    assert (implausible["fact"], implausible["times"], implausible["inputs"]) == (
        "times_implausible", 5, ["ios", "web"],
    )  # fmt: skip


def logged(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_misplaced_records_are_logged_at_once_and_then_once_a_minute(capsys):
    set_up_logging("info", "json")
    time = [0.0]
    facts = InputFacts(lambda: time[0])
    facts.applied(1, rejected(b"not_json"))
    facts.log_now_and_then()
    assert logged(capsys) == []
    facts.applied(3, rejected(b"wrong_partition", b"bad_key", b"wrong_partition"))
    facts.applied(1, rejected(b"wrong_partition"))
    facts.log_now_and_then()
    (fact,) = logged(capsys)
    assert (fact["fact"], fact["level"]) == ("records_in_wrong_partition", "warning")
    assert (fact["records"], fact["partitions"]) == (3, [1, 3])
    facts.applied(2, rejected(b"wrong_partition"))
    time[0] = 59.9
    facts.log_now_and_then()
    assert logged(capsys) == []
    time[0] = 60.0
    facts.log_now_and_then()
    (fact,) = logged(capsys)
    assert (fact["records"], fact["partitions"]) == (1, [2])
    time[0] = 600.0
    facts.log_now_and_then()
    assert logged(capsys) == []

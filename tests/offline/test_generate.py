"""The synthetic stream keeps what its options promise."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from cdp_stream.cli.generate import command
from cdp_stream.core.model.definition import Input
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.offline.generate import START, Shape, generate

SHAPE = Shape(profiles=50, events=3000, days=3, seed=7)


def batches(shape):
    return [json.loads(line) for line in generate(shape)]


def events_of(lines):
    return [(batch, event["data"]) for batch in lines for event in batch["events"]]


def test_the_same_seed_gives_the_same_bytes():
    assert list(generate(SHAPE)) == list(generate(SHAPE))
    assert list(generate(SHAPE)) != list(generate(Shape(profiles=50, events=3000, days=3, seed=8)))


def test_the_bytes_are_the_same_in_every_release():
    shape = Shape(profiles=50, events=3000, days=3, seed=7, late=0.2, duplicates=0.2)
    digest = hashlib.sha256(b"".join(generate(shape))).hexdigest()
    assert digest == "9a132467e76f44cb185263c04e543890d1e4129b2a6125477dda4f780305eeb2"


def test_every_line_is_accepted_whole():
    decoder = BatchDecoder({"app": Input("app", "main")})
    for line in generate(Shape(profiles=50, events=3000, days=3, seed=7, late=0.2, duplicates=0.2)):
        batch, rejects = decoder.decode_line(line)
        assert rejects == ()
        assert batch.events


def test_there_are_as_many_events_and_profiles_as_asked_for():
    lines = batches(SHAPE)
    ids = [data["source_message_id"] for _, data in events_of(lines)]
    assert len(ids) == len(set(ids)) == 3000
    assert len({batch["mpid"] for batch in lines}) == 50


@pytest.mark.parametrize("duplicates", [0.0, 0.3])
def test_without_late_events_nothing_is_earlier_than_what_has_arrived(duplicates):
    arrived = START
    for batch in batches(Shape(profiles=50, events=3000, days=3, seed=7, duplicates=duplicates)):
        assert all(arrived <= event["data"]["timestamp_unixtime_ms"] for event in batch["events"])
        assert (
            batch["timestamp_unixtime_ms"]
            == batch["events"][-1]["data"]["timestamp_unixtime_ms"]
            >= arrived
        )
        arrived = batch["timestamp_unixtime_ms"]
    assert START + 2 * 86_400_000 < arrived <= START + 3 * 86_400_000


def test_late_events_are_late_and_never_before_the_start():
    lines = batches(Shape(profiles=50, events=3000, days=3, seed=7, late=0.25))
    lateness = [
        batch["timestamp_unixtime_ms"] - data["timestamp_unixtime_ms"]
        for batch, data in events_of(lines)
    ]
    assert 0.15 < sum(late > 3_600_000 for late in lateness) / 3000 < 0.3
    assert min(data["timestamp_unixtime_ms"] for _, data in events_of(lines)) >= START
    arrivals = [batch["timestamp_unixtime_ms"] for batch in lines]
    assert arrivals == sorted(arrivals)


def test_duplicates_repeat_an_event_of_the_line_before():
    lines = batches(Shape(profiles=50, events=3000, days=3, seed=7, duplicates=0.25))
    seen: set[str] = set()
    last = ""
    repeated = 0
    for batch in lines:
        ids = [event["data"]["source_message_id"] for event in batch["events"]]
        if ids[-1] in seen:
            repeated += 1
            assert ids == [last]
        seen.update(ids)
        last = ids[-1]
    assert len(seen) == 3000
    assert 0.2 < repeated / (len(lines) - repeated) < 0.3


def test_the_mixture_has_every_kind_a_criterion_reads():
    lines = batches(Shape(profiles=50, events=20_000, days=3, seed=7))
    assert {event["event_type"] for batch in lines for event in batch["events"]} == {
        "application_state_transition",
        "commerce_event",
        "crash_report",
        "custom_event",
        "screen_view",
        "session_end",
        "session_start",
        "uninstall",
    }


def test_the_command_writes_to_standard_output_or_a_file(tmp_path):
    options = ["--profiles", "50", "--events", "3000", "--days", "3", "--seed", "7"]
    printed = CliRunner().invoke(command, options)
    assert printed.exit_code == 0
    assert printed.stdout_bytes == b"".join(generate(SHAPE))
    out = tmp_path / "events.ndjson"
    assert CliRunner().invoke(command, [*options, "--out", str(out)]).exit_code == 0
    assert out.read_bytes() == printed.stdout_bytes


@pytest.mark.parametrize(
    "option", [["--late", "1.5"], ["--profiles", "0"], ["--days", "0"], ["--events", "-1"]]
)
def test_an_impossible_shape_is_a_usage_error(option):
    assert CliRunner().invoke(command, option).exit_code == 2


def test_help_has_an_example():
    assert "Example: cdp generate" in CliRunner().invoke(command, ["--help"]).stdout

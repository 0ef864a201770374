"""How far backfills are, in the log, for Prometheus and as JSON."""

import json

import pytest
from prometheus_client import CollectorRegistry

from cdp_stream.observability.backfill_progress import BackfillProgress, Reading


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def progress(registry, clock):
    return BackfillProgress(registry, lambda audience: audience, clock)


def reading(position, *, audiences=("new",), start=100, end=1_099, **more):
    return Reading(
        audiences, start, position, end, (position - 99) * 2, **{"log_is_shorter": False} | more
    )


def test_nothing_is_reported_where_nothing_is_read(progress, registry):
    assert progress.as_json() == {"audiences": []}
    assert registry.get_sample_value("cdp_backfill_events_total") == 0


def test_the_rate_and_the_time_left_are_of_the_last_seconds(progress, registry, clock):
    progress.note(0, reading(99))
    clock.now += 1
    progress.note(0, reading(349))
    (reported,) = progress.as_json()["audiences"]
    assert reported == {
        "audience": "new",
        "percent": 25.0,
        "events": 500,
        "events_per_second": 500,
        "seconds_left": 3,
        "log_is_shorter": False,
        "partitions": {"0": {"state": "reading", "start": 100, "position": 349, "end": 1_099}},
    }
    assert registry.get_sample_value("cdp_backfill_progress_ratio", {"audience": "new"}) == 0.25
    assert registry.get_sample_value("cdp_backfill_seconds_left", {"audience": "new"}) == 3
    assert registry.get_sample_value("cdp_backfill_records_left", {"partition": "0"}) == 750
    clock.now += 20
    progress.note(0, reading(349))
    assert progress.as_json()["audiences"][0]["events_per_second"] == 0


def test_an_audience_is_as_far_as_its_partitions_together(progress, clock):
    for position in (99, 199):
        progress.note(0, reading(position, audiences=("new", "other")))
        progress.note(3, reading(position * 2, end=2_099, log_is_shorter=True))
        clock.now += 1
    new, other = progress.as_json()["audiences"]
    assert (new["audience"], list(new["partitions"])) == ("new", ["0", "3"])
    # 100 of 1,000 and 299 of 2,000
    assert (new["percent"], new["log_is_shorter"]) == (13.3, True)
    assert new["seconds_left"] == max(round(900 / 100), round(1_701 / 200))
    assert (other["percent"], other["log_is_shorter"]) == (10.0, False)


def test_before_a_rate_is_known_the_time_left_is_not(progress, registry):
    progress.note(0, reading(99))
    assert progress.as_json()["audiences"][0]["seconds_left"] is None
    assert registry.get_sample_value("cdp_backfill_seconds_left", {"audience": "new"}) is None


def test_what_is_merged_is_read_and_what_is_over_is_forgotten(progress):
    progress.note(0, reading(500, state="merging"))
    (reported,) = progress.as_json()["audiences"]
    assert (reported["percent"], reported["seconds_left"]) == (100.0, 0)
    progress.forget(0)
    assert progress.as_json() == {"audiences": []}


def test_a_log_without_records_is_read_at_once(progress):
    progress.note(0, reading(99, end=99))
    assert progress.as_json()["audiences"][0]["percent"] == 100.0


def test_the_log_has_a_line_for_an_audience_every_few_seconds(progress, clock, caplog):
    with caplog.at_level("INFO", logger="cdp"):
        progress.log_now_and_then()
        progress.note(0, reading(349))
        progress.log_now_and_then()
        progress.log_now_and_then()
        clock.now += 6
        progress.log_now_and_then()
    lines = [record.facts for record in caplog.records if record.msg == "backfill"]
    assert [line["audience"] for line in lines] == ["new", "new"]
    assert json.dumps(lines[0])
    assert "partitions" not in lines[0]

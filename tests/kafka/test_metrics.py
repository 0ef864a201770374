"""What the worker tells Prometheus: audiences, freshness, and a bound on how many there are."""

import json
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from cdp_stream.kafka.audience_metrics import NAMED_AUDIENCES, OTHER, AudienceMetrics
from cdp_stream.kafka.log import set_up_logging
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.partition.effects import Effects

NOW = 1_000_000


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def audiences(registry):
    return AudienceMetrics(registry, lambda: NOW)


@dataclass
class Partition:
    """What a processor says of itself."""

    time: int = 5_000
    due: int | None = None
    sizes: dict[str, int] | None = field(default_factory=dict)
    version: str | None = None
    missing: frozenset[str] = frozenset()
    unswept: int = 0

    def rows_to_sweep(self):
        return self.unswept

    def next_due(self):
        return self.due

    def due_waiting(self):
        return 0 if self.due is None else 3

    def audience_sizes(self):
        return self.sizes


def values(registry, name, label="audience"):
    return {
        sample.labels[label]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_members_are_added_up_over_the_partitions_held(registry, audiences):
    audiences.sample(0, NOW, {"buyers": 2, "idle": 0})
    audiences.sample(1, NOW, {"buyers": 3, "idle": 0})
    assert values(registry, "cdp_audience_members") == {"buyers": 5, "idle": 0}
    audiences.forget(0)
    assert values(registry, "cdp_audience_members") == {"buyers": 3, "idle": 0}


def test_while_rows_of_a_partition_are_counted_no_sizes_are_told(registry, audiences):
    audiences.sample(0, NOW, {"buyers": 2})
    audiences.sample(1, NOW, None)
    assert values(registry, "cdp_audience_members") == {}


def test_an_audience_is_as_fresh_as_the_partition_that_is_furthest_behind(registry, audiences):
    audiences.sample(0, NOW - 500, {"buyers": 2})
    audiences.sample(1, NOW - 90_000, {"buyers": 2})
    audiences.sample(2, NOW + 10, None)
    assert values(registry, "cdp_audience_freshness_seconds") == {"buyers": 90.0}
    assert values(registry, "cdp_partition_freshness_seconds", "partition") == {
        "0": 0.5, "1": 90.0, "2": 0.0,
    }  # fmt: skip


def test_no_more_than_a_thousand_audiences_have_a_label_of_their_own(registry, audiences):
    sizes = {f"audience-{number}": 1 for number in range(NAMED_AUDIENCES + 5)}
    audiences.sample(0, NOW, sizes)
    told = values(registry, "cdp_audience_members")
    assert len(told) == NAMED_AUDIENCES + 1
    assert told[OTHER] == 5


def test_changes_share_the_same_bound():
    metrics = Metrics()
    changes = {(f"audience-{number}", "add"): 1 for number in range(NAMED_AUDIENCES + 5)}
    metrics.applied(0, 1, 0.001, Effects(changes=changes))
    told = values(metrics.registry, "cdp_membership_changes_total")
    assert len(told) == NAMED_AUDIENCES + 1
    assert told[OTHER] == 5


def test_batches_that_were_passed_over_are_counted_apart_from_those_applied():
    metrics = Metrics()
    get = metrics.registry.get_sample_value
    assert get("cdp_late_batches_total") == 0
    metrics.applied(0, 3, 0.001, Effects(events=4, late_batches=2))
    assert (get("cdp_late_batches_total"), get("cdp_events_total")) == (2, 4)


def test_a_due_instant_that_has_not_fired_holds_back_what_is_true():
    metrics = Metrics()
    now = metrics._audiences._now_ms()
    metrics.sample(0, lag=7, limit=now, processor=Partition(due=now - 60_000))
    metrics.sample(1, lag=0, limit=now, processor=Partition(due=now + 60_000))
    freshness = values(metrics.registry, "cdp_partition_freshness_seconds", "partition")
    assert freshness["0"] == pytest.approx(60, abs=5)
    assert freshness["1"] == pytest.approx(0, abs=5)
    assert values(metrics.registry, "cdp_due_instants_waiting", "partition") == {"0": 3, "1": 3}
    assert values(metrics.registry, "cdp_input_lag_records", "partition") == {"0": 7, "1": 0}


def test_a_partition_that_went_to_another_worker_is_told_no_more():
    metrics = Metrics()
    for number in (0, 1):
        metrics.sample(number, lag=0, limit=1, processor=Partition(sizes={"buyers": 1}))
    assert metrics.registry.get_sample_value("cdp_partitions_held") == 2
    metrics.forget(1)
    assert metrics.registry.get_sample_value("cdp_partitions_held") == 1
    told = {
        labels["partition"]
        for metric in metrics.registry.collect()
        for _, labels, *_ in metric.samples
        if "partition" in labels
    }
    assert "1" not in told


def test_the_worker_describes_itself():
    metrics = Metrics()
    ready = False
    metrics.describe_worker(
        version="1.2", guarantee="exactly-once", partitions=4, ready=lambda: ready
    )
    get = metrics.registry.get_sample_value
    assert get("cdp_worker_info", {"version": "1.2", "guarantee": "exactly-once"}) == 1
    assert (get("cdp_input_partitions"), get("cdp_ready")) == (4, 0)
    ready = True
    assert get("cdp_ready") == 1


def test_the_definitions_of_each_partition_are_told():
    metrics = Metrics()
    registry = metrics.registry
    metrics.sample(
        0, lag=0, limit=0, processor=Partition(version="12", missing=frozenset("ab"), unswept=5)
    )
    metrics.sample(1, lag=0, limit=0, processor=Partition(version="files-0a1b"))
    metrics.definitions_invalid(2)
    assert values(registry, "cdp_definitions_version", "partition") == {"0": 12, "1": 0}
    assert values(registry, "cdp_definitions_rows_waiting", "partition") == {"0": 5, "1": 0}
    assert values(registry, "cdp_definitions_histories_waiting", "partition") == {"0": 2, "1": 0}
    assert registry.get_sample_value("cdp_definitions_invalid") == 2
    metrics.forget(0)
    assert values(registry, "cdp_definitions_version", "partition") == {"1": 0}


def test_messages_too_large_are_counted_and_logged_by_output(capsys):
    set_up_logging("info", "json")
    metrics = Metrics()
    metrics.applied(0, 1, 0.0, Effects(oversized={"crm": 2, "ads": 1}))
    metrics.swept(0.0, Effects(oversized={"crm": 5}))
    assert values(metrics.registry, "cdp_output_oversized_total", "output") == {
        "crm": 7.0,
        "ads": 1.0,
    }
    facts = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(fact["fact"], fact["output"], fact["count"]) for fact in facts] == [
        ("output_messages_too_large", "crm", 2), ("output_messages_too_large", "ads", 1),
    ]  # fmt: skip

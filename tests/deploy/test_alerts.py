"""Alert rules and dashboard: right in form, about metrics that exist, and explained."""

import json
import re

import pytest
import yaml

from cdp_stream.observability.metrics import Metrics
from cdp_stream.sinks.child import ChildMetrics
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from tests.docs.console import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
BOARD = json.loads((ROOT / "deploy/grafana/dashboards/cdp-stream.json").read_text())
SHOWN = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())]
PAGE = (ROOT / "docs/operations.md").read_text()
# Not of PromQL: what is written like a metric is one.
METRIC = re.compile(r"\b(?:cdp|process)_\w+")


def known_metrics():
    """Names with all suffixes: of ours as they are registered, of the process as they are told."""
    registries = (Metrics().registry, SinkMetrics().registry)
    collectors = (*registries, ChildMetrics())
    told = {
        sample.name for one in collectors for metric in one.collect() for sample in metric.samples
    }
    return told.union(*(names for one in registries for names in one._collector_to_names.values()))


def test_configuration_and_rules_are_right_in_form(promtool):
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_only_then(promtool):
    done = promtool("test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboards_expressions_are_right_in_form(promtool, tmp_path):
    rules = [
        {"record": f"board:panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(SHOWN)
    ]
    file = tmp_path / "board.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expr", [*SHOWN, *(rule["expr"] for rule in RULES)])
def test_an_expression_uses_metrics_that_exist(expr):
    used = set(METRIC.findall(expr))
    assert used
    assert used <= known_metrics()


def test_the_dashboard_shows_every_metric_of_ours_that_changes():
    shown = {name for expr in SHOWN for name in METRIC.findall(expr)}
    unseen = {
        collector
        for registry in (Metrics().registry, SinkMetrics().registry)
        for collector, names in registry._collector_to_names.items()
        if any(name.startswith("cdp_") for name in names) and not shown & set(names)
    }
    assert {next(iter(collector.describe())).name for collector in unseen} == {
        "cdp_worker_info",
        "cdp_partition_time_seconds",
        "cdp_partition_freshness_seconds",
    }


def test_the_dashboards_panels_have_ids_of_their_own_and_do_not_overlap():
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & places
        places |= cells


def test_every_alert_has_a_test_and_a_section_that_says_what_to_do():
    names = [rule["alert"] for rule in RULES]
    tested = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tested
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == set(names)
    assert re.findall(r"^### (Cdp\w+)$", PAGE, re.MULTILINE) == names
    for rule in RULES:
        anchor = rule["annotations"]["runbook"].removeprefix("docs/operations.md#")
        assert anchor == rule["alert"].lower()
        assert rule["labels"]["severity"] in ("critical", "warning")

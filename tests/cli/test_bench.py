"""`cdp bench`: that each benchmark measures, and what it prints; not how fast anything is."""

import json
import subprocess
import sys
from typing import Any

import pytest

from cdp_stream.kafka.clients.probe import free_port

SMALL = ["--scale", "0.0001", "--json"]


def test_one_benchmark_prints_its_figures_and_the_machine() -> None:
    ran = cdp_bench("engine", "--events", "1000", "--profiles", "100", "--runs", "2", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = json.loads(ran.stdout)
    assert found["machine"]["cores"] >= 1
    figures = {figure.pop("name"): figure for figure in found["results"]}
    cpu = figures["engine: CPU per event"]
    assert set(cpu) == {"value", "unit", "budget", "holds", "runs"}
    assert (cpu["unit"], cpu["budget"], len(cpu["runs"])) == ("us", 8.0, 2)
    assert min(cpu["runs"]) <= cpu["value"] <= max(cpu["runs"])


def test_what_cannot_be_measured_is_reported_and_the_rest_goes_on() -> None:
    ran = cdp_bench(*SMALL, "--broker", f"127.0.0.1:{free_port()}")
    assert ran.returncode == 3
    assert names_of(json.loads(ran.stdout)) >= {"engine: CPU per event"}
    assert "worker: no Kafka broker answers at" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("cdp: not measured: worker, recovery, due")


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("arguments", "figures"),
    [
        ("worker --events 20000 --profiles 1000 --runs 1", 5),
        ("recovery --rows 1000 --runs 2", 4),
        ("due --profiles 1000 --seconds 6", 7),
        ("memory --profiles 100", 3),
        ("backfill --events 100000 --profiles 1000", 3),
        ("outputs --changes 20000 --events 20000 --profiles 1000 --seconds 5 --runs 1", 16),
    ],
)
def test_each_benchmark_measures(kafka_broker: str, arguments: str, figures: int) -> None:
    ran = cdp_bench(*arguments.split(), "--broker", kafka_broker, "--json")
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert len(found["results"]) == figures
    assert all(figure["value"] > 0 for figure in found["results"])


def names_of(found: Any) -> set[str]:
    return {figure["name"] for figure in found["results"]}


def cdp_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cdp_stream", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=590)

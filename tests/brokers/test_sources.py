import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers.sources import sources

CHECKOUT = Path(__file__).parents[2]
NO_DOCKER = "tcp://127.0.0.1:1"


def collect(tmp_path, **environ):
    """Collect the tests on Apache Kafka on a machine with neither Java nor Docker."""
    variables = {"PATH": str(tmp_path), "DOCKER_HOST": NO_DOCKER, "HOME": str(tmp_path), **environ}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/kafka/test_apache.py"],
        cwd=CHECKOUT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_named_broker_is_the_only_source():
    found = sources({"CDP_TEST_BROKER": "kafka.test:9092"})
    assert [source.name for source in found] == ["CDP_TEST_BROKER=kafka.test:9092"]


def test_without_any_source_the_kafka_tests_are_left_out_and_the_reason_is_said(tmp_path):
    done = collect(tmp_path)
    assert done.returncode == 0
    assert "test_a_record_written_is_read" not in done.stdout
    assert "test_an_old_java_is_refused" in done.stdout
    assert (
        "3 Kafka tests left out: CDP_TEST_BROKER is not set, no Docker engine answers, "
        "and there is no java" in done.stdout
    )


def test_where_kafka_is_insisted_on_its_absence_fails_the_run(tmp_path):
    done = collect(tmp_path, CDP_REQUIRE_KAFKA="1")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert (
        "3 tests need Apache Kafka and its surroundings, but CDP_TEST_BROKER is not set"
        in done.stderr
    )


def test_with_a_named_broker_only_the_tests_that_kill_one_are_left_out(tmp_path):
    done = collect(tmp_path, CDP_TEST_BROKER="kafka.test:9092")
    assert done.returncode == 0
    assert "test_a_record_written_is_read" in done.stdout
    assert "1 Kafka tests left out: they start a broker of their own, and there is no java" in (
        done.stdout
    )

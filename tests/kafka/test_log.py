"""Log lines: one a fact, in the form asked for, and nothing of input or of secrets in them."""

import json
import logging

import pytest

from cdp_stream.errors import BrokerError
from cdp_stream.kafka.log import log, set_up_logging


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_fact_is_one_line_of_json(capsys):
    set_up_logging("info", "json")
    log("partitions_assigned", kept=[1, 2], seconds=0.25, reason="a\nb")
    (line,) = lines(capsys)
    told = json.loads(line)
    assert told.pop("at").endswith("Z")
    assert told == {
        "level": "info", "fact": "partitions_assigned", "kept": [1, 2], "seconds": 0.25,
        "reason": "a\nb",
    }  # fmt: skip


def test_a_fact_is_one_line_of_logfmt(capsys):
    set_up_logging("info", "logfmt")
    log("topics_created", topics=["a b", "c"], partitions=4, reason='a "b"\nc', ok=True, none=None)
    (line,) = lines(capsys)
    assert line.partition(" ")[2] == (
        "level=info fact=topics_created "
        r'topics="[\"a b\", \"c\"]" partitions=4 reason="a \"b\"\nc" ok=true none=null'
    )


def test_what_is_below_the_level_is_not_written(capsys):
    set_up_logging("warning")
    log("worker_starting")
    log("partition_lost", level=logging.WARNING)
    assert [json.loads(line)["fact"] for line in lines(capsys)] == ["partition_lost"]


def test_of_libraries_nothing_below_a_warning_is_written_even_at_debug(capsys):
    set_up_logging("debug")
    for name in ("aiokafka.conn", "faust", "mode.services", "asyncio"):
        logging.getLogger(name).debug("Request %s", b"password")
        logging.getLogger(name).info("Authenticated as %s", "cdp")
    log("seen", level=logging.DEBUG)
    assert [json.loads(line)["fact"] for line in lines(capsys)] == ["seen"]


@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_what_was_read_is_not_in_a_librarys_warning(capsys, log_format):
    set_up_logging("info", log_format)
    logger = logging.getLogger("faust.agents")
    try:
        b"jane@example.com \xff".decode()
    except UnicodeDecodeError as error:
        logger.exception("Crashed reason=%r", error)  # noqa: TRY401 - as libraries do
        logger.warning("Cannot take %(value)r", {"value": b"jane@example.com"})
        logger.warning("Cannot take %d", ValueError("jane@example.com"))
    told = capsys.readouterr().err
    assert "jane" not in told
    assert "UnicodeDecodeError" in told
    assert "16 bytes" in told
    assert len(told.splitlines()) == 3


def test_what_a_broker_said_is(capsys):
    set_up_logging()
    logging.getLogger("aiokafka").warning("Retry: %s", BrokerError("no leader for cdp.events"))
    (line,) = lines(capsys)
    assert json.loads(line)["message"] == "Retry: BrokerError: no leader for cdp.events"

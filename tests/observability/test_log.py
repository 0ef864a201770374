"""Log lines: one a fact, in the form asked for, and nothing of input or of secrets in them."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys

import pytest
from aiokafka.errors import KafkaError, NodeNotReadyError

from cdp_stream.errors import BrokerError
from cdp_stream.observability.log import Tallied, log, set_up_logging


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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_a_fact_is_laid_out_for_people(monkeypatch, no_color):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setenv("NO_COLOR", no_color)
    set_up_logging("info")
    log("partitions_assigned", kept=[1], seconds=0.25)
    log("partition_lost", level=logging.WARNING, partition=3, next="nothing: it is tried again")
    first, second = terminal.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ partitions_assigned  kept=\[1\] seconds=0.25", first)
    colour, end = ("", "") if no_color else ("\x1b[33m", "\x1b[0m")
    told = "Z WARNING partition_lost  partition=3  -> nothing: it is tried again"
    assert second[len(colour) + 8 :] == told + end
    assert second.startswith(colour)


def test_a_format_that_is_set_holds_on_a_terminal_too(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    set_up_logging("info", "json")
    log("partitions_assigned")
    assert json.loads(terminal.getvalue())["fact"] == "partitions_assigned"


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


def said_by_aiokafka(at, text="Unable to connect to node %s", *args):
    record = logging.LogRecord("aiokafka", logging.WARNING, "", 0, text, args or (1,), None)
    record.created = at
    logging.root.handle(record)


def told_of(capsys):
    told = [json.loads(line) for line in lines(capsys)]
    return [(line["message"], line.get("suppressed")) for line in told]


def test_what_a_library_says_again_and_again_is_written_ever_more_rarely(capsys):
    set_up_logging()
    for number in range(100):
        said_by_aiokafka(1_000.0 + number * 0.05, "Unable to connect to node %s", number)
    said_by_aiokafka(1_001.0, "Group coordinator %s is gone", 2)
    for at in (1_010.0, 1_020.0, 1_030.0, 1_060.0, 1_070.0):
        said_by_aiokafka(at)
    # After a while in which it was not said it is news again.
    said_by_aiokafka(1_500.0)
    assert told_of(capsys) == [
        ("Unable to connect to node 0", None),
        ("Group coordinator 2 is gone", None),
        ("Unable to connect to node 1", 99),
        ("Unable to connect to node 1", 1),
        ("Unable to connect to node 1", 1),
        ("Unable to connect to node 1", None),
    ]


def test_an_hour_of_the_same_is_a_dozen_lines(capsys):
    set_up_logging()
    for second in range(3_600):
        said_by_aiokafka(1_000.0 + second)
    assert len(lines(capsys)) <= 12


def test_that_there_is_no_connection_is_one_thing_however_it_is_said(capsys):
    set_up_logging()
    gone = ConnectionRefusedError("refused")
    said_by_aiokafka(1_000.0, "Unable to connect to node %s: %s", 1, gone)
    said_by_aiokafka(1_000.0, "Failed fetch messages from %s: %s", 1, NodeNotReadyError("not yet"))
    said_by_aiokafka(1_000.0, "Commit refused: %s", KafkaError("rights"))
    assert [message for message, _ in told_of(capsys)] == [
        "Unable to connect to node 1: ConnectionRefusedError: refused",
        "Commit refused: KafkaError: KafkaError: rights",
    ]


def test_our_own_facts_are_never_left_out(capsys):
    set_up_logging()
    for _ in range(3):
        log("partition_lost")
    assert len(lines(capsys)) == 3


async def test_what_asyncio_says_of_a_task_is_written_without_what_it_held(capsys):
    set_up_logging()

    async def fail():
        raise ValueError("jane@example.com")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "future": task,
         "exception": task.exception()}
    )  # fmt: skip
    (line,) = map(json.loads, lines(capsys))
    assert line["message"] == "Task exception was never retrieved"
    assert line["error"] == "ValueError"


def test_a_command_shows_facts_from_warnings_on_and_what_they_say():
    code = """
import logging
from cdp_stream.observability.log import log
log("seen")
log("state_record_invalid", level=logging.ERROR, offset=3, reason="no key")
"""
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert shown == 'cdp: state_record_invalid offset=3 reason="no key"\n'


def test_a_fact_that_comes_by_the_thousand_is_told_once_a_minute_with_its_count(capsys):
    set_up_logging()
    now = [100.0]
    tallied = Tallied("records_rejected", now=lambda: now[0], next="look")
    tallied.note("not_json", 3)
    for _ in range(1_000):
        tallied.note("not_json")
        tallied.note("bad_key", 2)
    now[0] += 59
    tallied.log_due()
    now[0] += 1
    tallied.log_due()
    tallied.log_due()
    told = [json.loads(line) for line in lines(capsys)]
    assert [(one["fact"], one["reason"], one["count"]) for one in told] == [
        ("records_rejected", "not_json", 3),
        ("records_rejected", "bad_key", 2),
        ("records_rejected", "not_json", 1_000),
        ("records_rejected", "bad_key", 1_998),
    ]
    assert told[0]["next"] == "look"

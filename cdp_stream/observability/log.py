"""Structured logs: one line per fact, on standard error, never with personal data or secrets.

A fact is a name and values that an operator acts on: counts, topics, partitions, offsets,
durations. It never contains keys and values of records, nor text from input. Libraries are not as
strict, so of theirs nothing below a warning is written (aiokafka's debug lines contain records, and
passwords), and an exception or bytes in a warning are replaced by their kind.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

from cdp_stream.errors import CdpError
from cdp_stream.settings import LogFormat

__all__ = ["Tallied", "log", "set_up_logging"]

_LOGGER = logging.getLogger("cdp")
_FROM_LIBRARIES = ("faust", "aiokafka", "mode", "kafka")
_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "31"}
_ASYNCIO = "asyncio"
_SAME_S = 10.0
_LONGEST_SAME_S = 600.0
_TALLIED_S = 60.0
_KINDS = 1_000
_KIND_CHARS = 80
_NO_CONNECTION = (KafkaConnectionError, NodeNotReadyError, ConnectionError)
_FREE_OF_INPUT = (CdpError, KafkaError, OSError, TimeoutError)
"""Exceptions whose text is of brokers, files and settings."""


class _Collapsed(logging.Filter):
    """Lets a library log each kind of line once in so many seconds, with the number suppressed.

    Without its broker aiokafka writes more than a hundred lines a second, of ten kinds. For a kind
    that continues, each pause is twice as long as the one before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int, str], tuple[float, float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; facts of our own always are."""
        if hasattr(record, "facts"):
            return True
        kind = _kind(record)
        since, pause, repeated = self._seen.get(kind, (-_LONGEST_SAME_S, 0.0, 0))
        passed = record.created - since
        if 0 <= passed < pause:
            self._seen[kind] = (since, pause, repeated + 1)
            return False
        if len(self._seen) >= _KINDS:
            self._seen.clear()
        goes_on = repeated and 0 <= passed < 2 * pause
        pause = min(2 * pause, _LONGEST_SAME_S) if goes_on else _SAME_S
        self._seen[kind] = (record.created, pause, 0)
        record.repeated = repeated
        return True


def _kind(record: logging.LogRecord) -> tuple[str, int, str]:
    """The kind of a line. All messages that a node cannot be reached are one kind."""
    args = record.args if isinstance(record.args, tuple) else ()
    if any(isinstance(arg, _NO_CONNECTION) for arg in args):
        return (record.name.partition(".")[0], record.levelno, "no connection")
    return (record.name, record.levelno, str(record.msg)[:_KIND_CHARS])


class _FactLines(logging.Formatter):
    """A line per record: ``at`` (UTC), ``level``, ``fact``, and then its values.

    Args:
        written: Formats a line as text.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, written: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self._written = written

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
        }
        facts = getattr(record, "facts", None)
        if facts is None:
            line |= {"fact": "library", "logger": record.name, "message": _message(record)}
            if repeated := getattr(record, "repeated", 0):
                line["suppressed"] = repeated
            if record.exc_info and record.exc_info[1] is not None:
                line["error"] = _without_input(record.exc_info[1])
        else:
            line |= {"fact": record.msg, **facts}
        return self._written(line)


class _CommandLines(logging.Formatter):
    """A command that has not set up logging shows facts as it shows its own warnings."""

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", None)
        return (
            super().format(record) if facts is None else f"cdp: {record.msg} {_logfmt_line(facts)}"
        )


def _json_line(line: dict[str, Any]) -> str:
    return json.dumps(line, default=str)


def _logfmt_line(line: dict[str, Any]) -> str:
    return " ".join(f"{name}={_logfmt(value)}" for name, value in line.items())


def _logfmt(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text and text.isprintable() and not any(character in ' ="\\' for character in text)
    return text if plain else json.dumps(text)


def _message(record: logging.LogRecord) -> str:
    if record.name == _ASYNCIO:
        # The lines after the first describe a task or a callback, and exceptions with values.
        return str(record.msg).partition("\n")[0]
    args = record.args
    if isinstance(args, tuple):
        args = tuple(_without_input(arg) for arg in args)
    elif args:
        args = {name: _without_input(arg) for name, arg in args.items()}
    try:
        return str(record.msg) % args if args else str(record.msg)
    except (TypeError, ValueError):
        return str(record.msg)  # the format needs a number, and the argument is a name


def _without_input(arg: object) -> object:
    if isinstance(arg, BaseException):
        name = type(arg).__name__
        return f"{name}: {arg}" if isinstance(arg, _FREE_OF_INPUT) else name
    if isinstance(arg, bytes | bytearray | memoryview):
        return f"{len(arg)} bytes"
    return arg


def _terminal_line(line: dict[str, Any]) -> str:
    """For people: the time of day (UTC), the level unless it is the usual one, the fact, its
    values, and what to do next.
    """
    values = {k: v for k, v in line.items() if k not in {"at", "level", "fact", "next"}}
    level = "" if line["level"] == "info" else f"{line['level'].upper()} "
    text = f"{line['at'][11:19]}Z {level}{line['fact']}"
    if values:
        text += f"  {_logfmt_line(values)}"
    if "next" in line:
        text += f"  -> {line['next']}"
    code = None if os.environ.get("NO_COLOR") else _COLOURS.get(line["level"])
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


if logging.lastResort is not None:
    logging.lastResort.setFormatter(_CommandLines())


def set_up_logging(level: str = "info", log_format: LogFormat | None = None) -> None:
    """Send facts of at least ``level`` to standard error; of libraries, warnings and worse.

    Args:
        level: The least level of facts.
        log_format: How they are written; ``None``: for people on a terminal, as JSON elsewhere.
    """
    handler = logging.StreamHandler(sys.stderr)
    usual = _terminal_line if sys.stderr.isatty() else _json_line
    written = {"json": _json_line, "logfmt": _logfmt_line, None: usual}
    handler.setFormatter(_FactLines(written[log_format]))
    handler.addFilter(_Collapsed())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    _LOGGER.setLevel(level.upper())
    for name in _FROM_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def log(fact: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Write one fact, if its level is enabled."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, fact, extra={"facts": facts})


class Tallied:
    """A fact that may occur by the thousand: one line a minute for each kind, with its count.

    Args:
        fact: Its name.
        kind: Name of the value that has the kind.
        level: Its level.
        now: A monotonic clock, seconds.
        facts: Values of each line besides the kind and the count.
    """

    def __init__(
        self,
        fact: str,
        *,
        kind: str = "reason",
        level: int = logging.WARNING,
        now: Callable[[], float] = time.monotonic,
        **facts: Any,
    ) -> None:
        self._fact = fact
        self._kind = kind
        self._level = level
        self._now = now
        self._facts = facts
        self._logged_at: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}

    def note(self, kind: str, count: int = 1) -> None:
        """Count some of a kind; kinds are few, and contain nothing of input."""
        self._unlogged[kind] = self._unlogged.get(kind, 0) + count
        self.log_due()

    def log_due(self) -> None:
        """Log what is due; called regularly, so that the last ones are logged too."""
        if not self._unlogged:
            return
        now = self._now()
        for kind, count in list(self._unlogged.items()):
            logged_at = self._logged_at.get(kind)
            if logged_at is None or now - logged_at >= _TALLIED_S:
                self._logged_at[kind] = now
                del self._unlogged[kind]
                values = {self._kind: kind, "count": count, **self._facts}
                log(self._fact, level=self._level, **values)

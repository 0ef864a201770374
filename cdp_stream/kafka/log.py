"""Structured logs: one line per fact, on standard error, never with personal data or secrets.

A fact is a name and values that an operator acts on: counts, topics, partitions, offsets,
durations. Keys and values of records never go in, nor does text from input. Libraries are not as
strict, so of theirs nothing below a warning is written (aiokafka's debug lines hold records, and
passwords), and of an exception or of bytes in a warning only what they are, not what is in them.
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
_TELL_NO_INPUT = (CdpError, KafkaError, OSError, TimeoutError)
"""Exceptions whose text is of brokers, files and settings."""


class _Collapsed(logging.Filter):
    """Lets a library say the same thing once in so many seconds, and then how often it did.

    A broker that is away makes aiokafka write more than a hundred lines a second, of ten kinds. Of
    a kind that goes on and on each pause is twice as long as the one before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int, str], tuple[float, float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; facts of our own always are."""
        if hasattr(record, "facts"):
            return True
        kind = _kind(record)
        since, pause, untold = self._said.get(kind, (-_LONGEST_SAME_S, 0.0, 0))
        passed = record.created - since
        if 0 <= passed < pause:
            self._said[kind] = (since, pause, untold + 1)
            return False
        if len(self._said) >= _KINDS:
            self._said.clear()
        goes_on = untold and 0 <= passed < 2 * pause
        pause = min(2 * pause, _LONGEST_SAME_S) if goes_on else _SAME_S
        self._said[kind] = (record.created, pause, 0)
        record.untold = untold
        return True


def _kind(record: logging.LogRecord) -> tuple[str, int, str]:
    """Lines of one kind say the same. That a node cannot be reached is said in many words."""
    args = record.args if isinstance(record.args, tuple) else ()
    if any(isinstance(arg, _NO_CONNECTION) for arg in args):
        return (record.name.partition(".")[0], record.levelno, "no connection")
    return (record.name, record.levelno, str(record.msg)[:_KIND_CHARS])


class _FactLines(logging.Formatter):
    """A line per record: ``at`` (UTC), ``level``, ``fact``, and then its values.

    Args:
        written: Makes text of a line.
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
            if untold := getattr(record, "untold", 0):
                line["more_like_it"] = untold
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
        # Behind the first line stands what a task or a callback was about, exceptions with values.
        return str(record.msg).partition("\n")[0]
    args = record.args
    if isinstance(args, tuple):
        args = tuple(_without_input(arg) for arg in args)
    elif args:
        args = {name: _without_input(arg) for name, arg in args.items()}
    try:
        return str(record.msg) % args if args else str(record.msg)
    except (TypeError, ValueError):
        return str(record.msg)  # it wanted a number where we give a name


def _without_input(arg: object) -> object:
    if isinstance(arg, BaseException):
        name = type(arg).__name__
        return f"{name}: {arg}" if isinstance(arg, _TELL_NO_INPUT) else name
    if isinstance(arg, bytes | bytearray | memoryview):
        return f"{len(arg)} bytes"
    return arg


def _terminal_line(line: dict[str, Any]) -> str:
    """For people: the time of day (UTC), the level where it is not the usual one, the fact, its
    values; what to do next last.
    """
    values = {k: v for k, v in line.items() if k not in {"at", "level", "fact", "next"}}
    level = "" if line["level"] == "info" else f"{line['level'].upper()} "
    told = f"{line['at'][11:19]}Z {level}{line['fact']}"
    if values:
        told += f"  {_logfmt_line(values)}"
    if "next" in line:
        told += f"  -> {line['next']}"
    code = None if os.environ.get("NO_COLOR") else _COLOURS.get(line["level"])
    return f"\x1b[{code}m{told}\x1b[0m" if code else told


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
    """Write one fact, if its level is wanted."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, fact, extra={"facts": facts})


class Tallied:
    """A fact that may come by the thousand: of each kind one line a minute, with how many it was.

    Args:
        fact: Its name.
        kind: Name of the value that says of which kind.
        level: Its level.
        now: A monotonic clock, seconds.
        facts: What each line says beside the kind and the count.
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
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def note(self, kind: str, count: int = 1) -> None:
        """Count some of a kind; a kind is one of a few, and nothing of input."""
        self._untold[kind] = self._untold.get(kind, 0) + count
        self.tell()

    def tell(self) -> None:
        """Write what is due; called now and then, so that the last ones are not left untold."""
        if not self._untold:
            return
        now = self._now()
        for kind, count in list(self._untold.items()):
            told_at = self._told_at.get(kind)
            if told_at is None or now - told_at >= _TALLIED_S:
                self._told_at[kind] = now
                del self._untold[kind]
                said = {self._kind: kind, "count": count, **self._facts}
                log(self._fact, level=self._level, **said)

"""Structured logs: one line of JSON per fact, on standard error, never with personal data.

A fact is a name and values that an operator acts on: counts, topics, partitions, offsets,
durations. Keys and values of records never go in, nor does text from input.
"""

import json
import logging
import sys
from typing import Any

__all__ = ["log", "set_up_logging"]

_LOGGER = logging.getLogger("cdp")
_FROM_LIBRARIES = ("faust", "aiokafka", "mode", "kafka")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
        }
        facts = getattr(record, "facts", None)
        if facts is None:
            line |= {"fact": "library", "logger": record.name, "message": record.getMessage()}
            if record.exc_info and record.exc_info[1] is not None:
                line["error"] = repr(record.exc_info[1])
        else:
            line |= {"fact": record.msg, **facts}
        return json.dumps(line, default=str)


def set_up_logging(level: str = "info") -> None:
    """Send facts of at least ``level`` to standard error; of libraries, warnings and worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    _LOGGER.setLevel(level.upper())
    for name in _FROM_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING if level != "debug" else logging.DEBUG)


def log(fact: str, *, level: int = logging.INFO, **facts: Any) -> None:
    """Write one fact, if its level is wanted."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, fact, extra={"facts": facts})

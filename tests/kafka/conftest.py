"""What every test of the Kafka edge shares."""

import logging
from collections.abc import Iterator

import pytest

from cdp_stream.observability.log import _FROM_LIBRARIES, _FactLines


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What is set up in a test goes with it; pytest's own handlers come and go by themselves."""
    loggers = [logging.getLogger(name) for name in (None, "cdp", *_FROM_LIBRARIES)]
    levels = [logger.level for logger in loggers]
    yield
    for handler in logging.root.handlers[:]:
        if isinstance(handler.formatter, _FactLines):
            logging.root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)

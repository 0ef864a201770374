"""Changes in the worker's log: a line each, without personal data unless that is asked for."""

import json
import logging
from contextlib import asynccontextmanager

import pytest

from cdp_stream.connectors.change import AUDIENCE_DELETE
from cdp_stream.connectors.partners.log import Log
from cdp_stream.observability.log import set_up_logging
from tests.connectors.changes import NOON, change
from tests.connectors.conformance_local import LocalCase, Place, local_conformance, opened
from tests.connectors.folding import members_after


class _Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.facts = []

    def emit(self, record):
        self.facts.append(record.facts)


@asynccontextmanager
async def place(directory):
    kept, logger = _Kept(), logging.getLogger("cdp")
    level = logger.level

    async def members():
        return members_after(kept.facts)

    logger.addHandler(kept)
    logger.setLevel("INFO")
    try:
        yield Place({"full": True}, members)
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)


TestConforms = local_conformance(LocalCase(Log, place))


@pytest.fixture
def log_as_it_was():
    """The test sets it up as a worker does; afterwards it is as it was."""
    root, own = logging.root, logging.getLogger("cdp")
    before = root.handlers[:], root.level, own.level
    yield
    root.handlers[:], level, own_level = before
    root.setLevel(level)
    own.setLevel(own_level)


async def test_a_line_without_personal_data(log_as_it_was, capsys, tmp_path):
    set_up_logging()
    told = change(identities={"email": "ann@example.com"}, attributes={"city": "Ulm"})
    async with opened(Log, {}, tmp_path) as made:
        await made.write([told, change(AUDIENCE_DELETE)])
    add, gone = map(json.loads, capsys.readouterr().err.splitlines())
    del add["at"]
    assert add == {
        "level": "info",
        "fact": "change",
        "output": "out",
        "connection": "vip@out",
        "action": "add",
        "audience_id": "vip",
        "mpid": "101",
        "effective_at": NOON,
        "message_id": f"vip:101:{NOON}:0",
    }
    assert (gone["action"], gone["mpid"]) == ("audience_delete", "")

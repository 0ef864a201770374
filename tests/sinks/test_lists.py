"""The partner's lists that sinks make."""

from __future__ import annotations

from cdp_stream.sinks.destination import HttpDestination, Watch
from cdp_stream.sinks.environment import Redaction
from cdp_stream.sinks.lists import Lists
from cdp_stream.sinks.memory import Memory
from tests.sinks.connectors import Listed, PostSettings, change
from tests.sinks.topic import memory


def lists(known: Memory) -> Lists:
    connector = Listed("out", PostSettings(url="https://partner.example"))
    destination = HttpDestination(connector, Redaction(()), Watch())
    return Lists("out", destination, known, lambda: True)


async def test_a_list_that_is_gone_is_forgotten_by_what_was_for_it() -> None:
    known = memory()
    of_out = lists(known)
    await known.note_list("a@out", "made")
    await of_out.forget(change(list_id="named"))
    await of_out.forget(change(list_id="made", connection="b@out"))
    await of_out.forget(change(list_id="made", action="audience_delete"))
    assert of_out.known("a@out") == "made"
    await of_out.forget(change(list_id="made"))
    assert of_out.known("a@out") is None
    await known.note_list("a@out", "again")
    await of_out.forget(change(list_id=None))  # taken before there was one
    assert of_out.known("a@out") is None

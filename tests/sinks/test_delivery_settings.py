"""Which list a change goes to: that which it is about, until a fault says that it is gone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.exchange import Fault
from cdp_stream.core.model.connection import Connection
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.record_reader import RecordReader, UndefinedError, UnreadableError
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.state.sink_state import SinkState
from tests.sinks.connectors import Listed, PostSettings, message
from tests.sinks.without_kafka import Producer, sink_state, until

OLD, NEW, NEWER = {"list_id": "old"}, {"list_id": "new"}, {"list_id": "newer"}


class Reading:
    """A reader of one output, and what its connections are defined to be."""

    def __init__(self, known: SinkState, *earlier: list[Connection]) -> None:
        self.state = known
        self.delivery_settings = DeliverySettings(known, lambda: earlier)
        connector = Listed("out", PostSettings(url="https://partner.example"))
        self.reader = RecordReader(
            connector, Secrets({}), Redaction(()), self.delivery_settings, known
        )

    async def define(self, settings: dict[str, Any] | None) -> None:
        await self.delivery_settings.define(
            [] if settings is None else [Connection("a@out", "a", "out", settings=settings)]
        )

    def read(self, settings: dict[str, Any], action: str = "add") -> OutputChange[Any]:
        return self.reader.read(message(1, mpid=7, action=action, settings=settings))

    def list_of(self, settings: dict[str, Any], action: str = "add") -> str | None:
        return self.read(settings, action).list_id


def sent(settings: dict[str, Any], action: str = "add") -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(message(1, mpid=7, action=action, settings=settings))
    return found


async def test_what_waits_goes_to_the_list_that_it_is_about() -> None:
    reading = Reading(sink_state())
    await reading.define(OLD)
    await reading.define(NEW)
    assert [reading.list_of(OLD), reading.list_of(NEW), reading.list_of(OLD)] == [
        "old", "new", "old",
    ]  # fmt: skip


async def test_after_a_fault_about_its_list_what_waits_goes_to_the_one_that_is_defined() -> None:
    log = Producer()
    reading = Reading(sink_state(log))
    await reading.define(OLD)
    await reading.delivery_settings.refuse(sent(OLD))
    assert reading.list_of(OLD) == "old"
    await reading.define(NEW)
    assert reading.list_of(OLD) == "new"
    assert "'old'" not in str([value for _topic, _key, value in log.written])
    # That one is gone too.
    await reading.delivery_settings.refuse(sent(OLD))
    await reading.define(NEWER)
    assert (reading.list_of(OLD), reading.list_of(NEW)) == ("newer", "newer")
    written = len(log.written)
    await reading.delivery_settings.refuse(sent(NEW))
    await reading.delivery_settings.refuse(sent(NEW))
    assert len(log.written) == written + 1


async def test_the_deletion_of_an_audience_is_about_the_list_that_it_had() -> None:
    reading = Reading(sink_state())
    await reading.define(OLD)
    await reading.define(NEW)
    await reading.delivery_settings.refuse(sent(OLD))
    assert reading.list_of(OLD, "audience_delete") == "old"
    await reading.delivery_settings.refuse(sent(NEW, "audience_delete"))
    await reading.define(NEWER)
    assert reading.list_of(NEW) == "new"


async def test_a_connection_that_is_not_defined_any_more_keeps_its_settings() -> None:
    reading = Reading(sink_state())
    await reading.define(OLD)
    await reading.delivery_settings.refuse(sent(OLD))
    await reading.define(None)
    assert reading.list_of(OLD) == "old"


async def test_settings_of_another_connector_are_a_fault_that_can_be_resumed() -> None:
    reading, other = Reading(sink_state()), {"segment": 7}
    await reading.define(other)
    await reading.define(NEW)
    with pytest.raises(Fault, match="segment"):
        reading.read(other)
    await reading.delivery_settings.refuse(sent(other))
    assert reading.list_of(other) == "new"
    with pytest.raises(UnreadableError, match="are invalid: segment"):
        reading.read(other, "audience_delete")


# -- settings that no definitions gave -----------------------------------------------------------

FORGED = {"list_id": "${CDP_SECRET_OTHER}"}


async def undefined(reading: Reading, settings: dict[str, Any], action: str = "add") -> Exception:
    """What becomes of a record with settings that are not its connection's."""
    with pytest.raises(UndefinedError) as first:
        reading.read(settings, action)
    assert not first.value.has_read_earlier, (
        "earlier versions are looked at before it is said for good"
    )
    await until(reading.delivery_settings.has_read_earlier)
    with pytest.raises(UndefinedError) as told_of:
        reading.read(settings, action)
    assert told_of.value.has_read_earlier
    assert told_of.value.connection == "a@out"
    return told_of.value.outcome


async def test_settings_that_no_definitions_gave_are_a_fault_that_can_be_resumed() -> None:
    reading = Reading(sink_state())
    await reading.define(NEW)
    fault = await undefined(reading, FORGED)
    assert isinstance(fault, Fault)
    assert fault.scope == "connection"
    assert "no definitions gave connection a@out the settings in its record" in fault.message
    assert "OTHER" not in fault.message
    await reading.delivery_settings.refuse(sent(FORGED))
    assert reading.list_of(FORGED) == "new"


async def test_no_audience_is_deleted_with_settings_that_no_definitions_gave() -> None:
    reading = Reading(sink_state())
    await reading.define(NEW)
    assert isinstance(await undefined(reading, FORGED, "audience_delete"), UnreadableError)


async def test_a_connection_that_was_never_defined_gets_no_settings_of_a_record() -> None:
    reading = Reading(sink_state())
    await reading.define(None)
    assert isinstance(await undefined(reading, OLD), UnreadableError)
    assert reading.list_of({}) is None, "without settings there is nothing to be believed"


async def test_settings_of_another_connection_are_not_this_one_s() -> None:
    reading = Reading(sink_state(), [Connection("b@out", "b", "out", settings=OLD)])
    await reading.define(NEW)
    assert isinstance(await undefined(reading, OLD), Fault)


async def test_what_earlier_versions_of_the_definitions_gave_is_believed() -> None:
    reading = Reading(sink_state(), [Connection("a@out", "a", "out", settings=OLD)])
    await reading.define(NEW)
    with pytest.raises(UndefinedError):
        reading.read(OLD)
    await until(reading.delivery_settings.has_read_earlier)
    assert reading.list_of(OLD) == "old"
    # There may be more of them with every version that is taken over.
    await reading.define(NEWER)
    assert not reading.delivery_settings.has_read_earlier()


async def test_what_another_worker_s_files_gave_is_remembered_by_all() -> None:
    known = sink_state()
    await Reading(known).define(OLD)
    restarted = Reading(known)
    await restarted.define(NEW)
    assert restarted.list_of(OLD) == "old"


async def test_of_one_connection_the_newest_settings_are_remembered() -> None:
    known = sink_state()
    reading = Reading(known)
    for number in range(25):
        await reading.define({"list_id": str(number)})
    assert len(known.settings("a@out")) == 20
    restarted = Reading(known)
    assert restarted.list_of({"list_id": "24"}) == "24"
    with pytest.raises(UndefinedError):
        restarted.read({"list_id": "4"})


async def test_lists_made_at_another_connector_s_partner_are_forgotten() -> None:
    known = sink_state()
    await known.note_connector("out", "facebook")
    await known.note_list("a@out", "17")
    await known.note_list("a@other", "18")
    await known.note_connector("out", "facebook")
    assert known.list_of("a@out") == "17"
    await known.note_connector("out", "tiktok")
    assert (known.list_of("a@out"), known.list_of("a@other")) == (None, "18")


async def test_lists_of_an_output_that_was_removed_wait_for_its_connector_alone() -> None:
    known = sink_state()
    await known.note_connector("out", "facebook")
    await known.note_list("a@out", "17")
    await known.note_connector("out", None)
    assert known.outputs() == []
    assert known.connector("out") is None
    # A deletion that waits in the output's topic is about that list.
    await known.note_connector("out", "facebook")
    assert known.list_of("a@out") == "17"
    assert known.outputs() == ["out"]
    await known.note_connector("out", None)
    await known.note_connector("out", "tiktok")
    assert known.list_of("a@out") is None
    assert known.connector("out") == "tiktok"

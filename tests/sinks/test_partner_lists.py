"""Lists that are made for connections, without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.partners.facebook import Facebook
from cdp_stream.connectors.partners.firehose import Firehose
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.destination import destination_of
from cdp_stream.sinks.delivery.partner_lists import PartnerLists
from cdp_stream.sinks.delivery.pipeline import Pipeline
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.offsets.progress import Progress
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.sinks.state.sink_state import SinkState
from tests.sinks.connectors import Listed, PostSettings, change, message
from tests.sinks.without_kafka import assignment, context, sink_state, until


@dataclass
class Making:
    """A sink that makes a list that another worker wants; its partner answers when it is let.

    Attributes:
        asked: set as the partner is asked.
        may: the partner answers from then on.
    """

    lists: PartnerLists
    pipeline: Pipeline
    state: SinkState
    faults: list[str]
    asked: asyncio.Event
    may: asyncio.Event


@asynccontextmanager
async def served(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """The address of a partner."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Results:
    """What came of deliveries.

    Attributes:
        there: set as something has.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.there = asyncio.Event()

    def delivered(self, items: Collection[InFlight]) -> None:
        self.there.set()

    def delivery_failed(self, fault: Fault, change: OutputChange[Any]) -> None:
        self.faults.append(fault)
        self.there.set()


def sender_of(connector: HttpConnector[Any, Any]) -> Any:
    """Its destination; it writes no file."""
    metrics = SinkMetrics(of_process=False).of("out")
    return destination_of(connector, Path(), Redaction(()), metrics)


@asynccontextmanager
async def making(status: int) -> AsyncIterator[Making]:
    asked, may = asyncio.Event(), asyncio.Event()

    async def handle(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await may.wait()
        return web.json_response({"id": 42}, status=status)

    faults: list[str] = []

    def fault(found: Fault, connection: str, message: Mapping[str, Any]) -> None:
        assert connection == message["connection"]
        faults.append(connection)

    async with served(handle) as url:
        connector = Listed("out", PostSettings(url=url, allow_private=True))
        redaction = Redaction([])
        destination = sender_of(connector)
        await destination.open()
        state = sink_state()
        reader = RecordReader(connector, Secrets({}), redaction, DeliverySettings(state), state)
        of = context(destination, connector=connector, reader=reader, state=state)
        parts = await assignment(of, Progress(0, None, ()))
        lists = PartnerLists(of, parts, destination)
        await state.want_list("out", "a@out", json.loads(message(1, mpid=7)))
        lists.make_wanted(fault)
        pipeline = Pipeline(of, parts, lists, Results())
        try:
            yield Making(lists, pipeline, state, faults, asked, may)
        finally:
            may.set()
            await destination.close()


async def test_a_list_that_another_worker_wants_is_made() -> None:
    async with making(200) as made:
        made.may.set()
        await until(lambda: not made.state.lists_wanted("out"))
        assert made.state.list_of("a@out") == "42"


async def test_a_fault_of_it_stops_its_connection() -> None:
    async with making(401) as made:
        made.may.set()
        await until(lambda: bool(made.faults))
        assert made.faults == ["a@out"]
        assert made.state.lists_wanted("out") == []


@pytest.mark.parametrize("answers_in_time", [True, False])
async def test_coming_to_rest_ends_it_without_a_fault(answers_in_time: bool) -> None:
    async with making(401) as made:
        await made.asked.wait()
        resting = asyncio.create_task(made.pipeline.drain(5.0 if answers_in_time else 0.0))
        if answers_in_time:
            await asyncio.sleep(0)
            made.may.set()
        await resting
        works = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
        assert "PartnerLists._make_one" not in works
        made.may.set()
        assert made.faults == []
        assert len(made.state.lists_wanted("out")) == 1, "it is made by whoever comes next"


async def test_a_deleted_list_is_forgotten_by_the_changes_that_were_for_it() -> None:
    known = sink_state()
    of = context(state=known)
    connector = Listed("out", PostSettings(url="https://partner.example"))
    of_out = PartnerLists(of, await assignment(of), sender_of(connector))
    await known.note_list("a@out", "made")
    await of_out.forget(change(list_id="named"))
    await of_out.forget(change(list_id="made", connection="b@out"))
    await of_out.forget(change(list_id="made", action="audience_delete"))
    assert known.list_of("a@out") == "made"
    await of_out.forget(change(list_id="made"))
    assert known.list_of("a@out") is None
    await known.note_list("a@out", "again")
    await of_out.forget(change(list_id=None))  # taken before there was one
    assert known.list_of("a@out") is None


FACEBOOK = {"ad_account_id": "1", "access_token": "a-token"}
FIREHOSE = {"token": "a-token"}
DELETIONS: list[Any] = [
    (Facebook, lambda url: {"api_url": url, **FACEBOOK}, "42"),
    (Firehose, lambda url: {"url": url, **FIREHOSE}, '{"partner_list":"42"}'),
]


async def told_of_a_deletion(
    connector: type[HttpConnector[Any, Any]], settings: Any, made: str | None
) -> list[str]:
    """What a partner that has a list of the audience's name is asked as the audience is deleted.

    Args:
        made: The list that was made for the connection after the deletion had been read.
    """
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path} {(await request.read()).decode()}")
        return web.json_response({"data": [{"id": "theirs", "name": "A"}]})

    results = Results()
    async with served(handle) as url:
        model = connector.output_settings.model_validate({**settings(url), "allow_private": True})
        made_by = connector("out", model)
        destination = sender_of(made_by)
        await destination.open()
        of = context(destination, connector=made_by)
        known = of.state
        parts = await assignment(of, Progress(0, None, ()))
        lists = PartnerLists(of, parts, destination)
        pipeline = Pipeline(of, parts, lists, results)
        gone = replace(
            change(mpid=0, action="audience_delete"),
            settings=connector.connection_settings(),
        )
        if made is not None:
            await known.note_list("a@out", made)
        try:
            pipeline.add_alone(InFlight(gone, 0, 1, b"", b"{}"))
            async with asyncio.timeout(5):
                await results.there.wait()
        finally:
            await destination.close()
    assert results.faults == []
    assert known.list_of("a@out") == made
    return asked


@pytest.mark.parametrize(("connector", "settings", "_made"), DELETIONS)
async def test_nothing_is_made_found_or_deleted_for_an_audience_that_had_no_list(
    connector: Any, settings: Any, _made: str
) -> None:
    assert await told_of_a_deletion(connector, settings, None) == []


@pytest.mark.parametrize(("connector", "settings", "made"), DELETIONS)
async def test_the_list_that_was_made_meanwhile_is_the_one_that_goes(
    connector: Any, settings: Any, made: str
) -> None:
    (asked,) = await told_of_a_deletion(connector, settings, made)
    assert asked.startswith("DELETE /v25.0/42 ") or '"action":"remove"' in asked

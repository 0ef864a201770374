"""Lists that are made for connections, without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web

from cdp_stream.connectors.connector import Batching, HttpConnector
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.facebook import Facebook
from cdp_stream.connectors.firehose import Firehose
from cdp_stream.sinks.delivery.delivery_settings import DeliverySettings
from cdp_stream.sinks.delivery.destination import HttpDestination, Watch
from cdp_stream.sinks.delivery.partner_lists import PartnerLists
from cdp_stream.sinks.delivery.pipeline import Outlet, Pipeline, Reports
from cdp_stream.sinks.delivery.record_reader import RecordReader
from cdp_stream.sinks.http.secrets import Redaction, Secrets
from cdp_stream.sinks.offsets.in_flight import InFlight
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from cdp_stream.sinks.state.sink_state import SinkState
from tests.sinks.connectors import Listed, PostSettings, change, message
from tests.sinks.without_kafka import Producer, sink_state, state_topics, until


@dataclass
class Making:
    """A sink that makes a list that another worker wants; its partner answers when it is let.

    Attributes:
        asked: set as the partner is asked.
        may: the partner answers from then on.
    """

    lists: PartnerLists
    outgoing: Pipeline
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


@asynccontextmanager
async def making(status: int) -> AsyncIterator[Making]:
    asked, may = asyncio.Event(), asyncio.Event()

    async def handle(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await may.wait()
        return web.json_response({"id": 42}, status=status)

    producer = Producer()
    _, state = state_topics(producer)
    faults: list[str] = []

    def fault(found: Fault, message: Mapping[str, Any]) -> None:
        faults.append(str(message["connection"]))

    async with served(handle) as url:
        connector = Listed("out", PostSettings(url=url, allow_private=True))
        redaction = Redaction([])
        destination = HttpDestination(connector, redaction, Watch())
        await destination.open()
        lists = PartnerLists("out", destination, state, lambda: True)
        outlet = Outlet(destination, Batching(), lists, producer, "rejected", "out")  # type: ignore[arg-type]
        reports = Reports(lambda _: True, lambda _: None, fault, faults.append)  # type: ignore[arg-type]
        await state.want_list("out", "a@out", json.loads(message(1, mpid=7)))
        reader = RecordReader(connector, Secrets({}), redaction, DeliverySettings(state), state)
        lists.make_wanted(reader, fault)
        outgoing = Pipeline(outlet, reports, SinkMetrics().of("out"))
        try:
            yield Making(lists, outgoing, state, faults, asked, may)
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
        resting = asyncio.create_task(made.outgoing.come_to_rest(5.0 if answers_in_time else 0.0))
        if answers_in_time:
            await asyncio.sleep(0)
            made.may.set()
        await resting
        works = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
        assert "Lists._make_wanted" not in works
        made.may.set()
        assert made.faults == []
        assert len(made.state.lists_wanted("out")) == 1, "it is made by whoever comes next"


def lists_of(known: SinkState) -> PartnerLists:
    connector = Listed("out", PostSettings(url="https://partner.example"))
    destination = HttpDestination(connector, Redaction(()), Watch())
    return PartnerLists("out", destination, known, lambda: True)


async def test_a_list_that_is_gone_is_forgotten_by_what_was_for_it() -> None:
    known = sink_state()
    of_out = lists_of(known)
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

    known, confirmed = sink_state(), asyncio.Event()
    faults: list[Fault] = []

    def fault(found: Fault, _change: Any) -> None:
        faults.append(found)
        confirmed.set()

    async with served(handle) as url:
        model = connector.output_settings.model_validate({**settings(url), "allow_private": True})
        destination = HttpDestination(connector("out", model), Redaction([]), Watch())
        await destination.open()
        lists = PartnerLists("out", destination, known, lambda: True)
        outlet = Outlet(destination, Batching(), lists, Producer(), "rejected", "out")  # type: ignore[arg-type]
        reports = Reports(lambda _: True, lambda _: confirmed.set(), fault, lambda _: None)
        outgoing = Pipeline(outlet, reports, SinkMetrics().of("out"))
        gone = replace(
            change(mpid=0, action="audience_delete"),
            settings=connector.connection_settings(),
        )
        if made is not None:
            await known.note_list("a@out", made)
        try:
            outgoing.add_alone(InFlight(gone, 0, 1, 1, b"", b"{}"))
            async with asyncio.timeout(5):
                await confirmed.wait()
        finally:
            await destination.close()
    assert faults == []
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

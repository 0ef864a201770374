"""Connector and partner talk: in memory, or over real HTTP, as the sender would have them do.

What the sender adds (waiting, limits, giving up) is left out: an answer that asks for another try
is tried again at once, a few times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx
from httpx_aiohttp import AiohttpTransport

from cdp_stream.connectors.change import AUDIENCE_DELETE, OutputChange
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import Answer, Fault, Outcome, Request, Token, TryAgain

__all__ = ["Exchange", "Later", "converse", "converse_over_http"]

TRIES = 200
MOST_REQUESTS = 5_000
R = TypeVar("R")
Ask = Callable[[Request], Answer]
Conversation = Generator[Request, Answer, R]


class Later(Exception):  # noqa: N818 - no error of ours
    """The partner asked to be tried again, more often than we did."""

    def __init__(self, again: TryAgain) -> None:
        super().__init__(f"again after {again.after_s}")
        self.again = again


@dataclass
class Exchange:
    """One connector at work.

    Attributes:
        now: epoch ms, for signatures and tokens.
        yielded, sent: every request, before and after it was authorized.
        lists: connection -> the list that was made for it.
        fetching_token: whether the request that is under way asks for a token.
    """

    connector: HttpConnector[Any, Any]
    now: int
    tries: int = TRIES
    yielded: list[Request] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)
    token: Token | None = None
    lists: dict[str, str] = field(default_factory=dict)
    fetching_token: bool = False

    def steps(self, changes: Sequence[OutputChange[Any]]) -> Conversation[Outcome]:
        """Deliver; yields authorized requests."""
        ready = []
        for change in changes:
            if change.list_id is None:
                list_id = self.lists.get(change.connection) or self.connector.list_of(
                    change.settings
                )
                makes = self.connector.creates_lists and change.action != AUDIENCE_DELETE
                if list_id is None and makes:
                    list_id = yield from self._led(self.connector.create_list(change))
                if list_id is not None:
                    self.lists[change.connection] = list_id
                    change = replace(change, list_id=list_id)  # noqa: PLW2901
            ready.append(change)
        return (yield from self._led(self.connector.deliver(ready)))

    def _led(self, conversation: Conversation[R]) -> Conversation[R]:
        try:
            request = next(conversation)
            while True:
                answer = yield from self._answered(request)
                request = conversation.send(answer)
        except StopIteration as done:
            value: R = done.value
            return value
        finally:
            conversation.close()

    def _answered(self, request: Request) -> Conversation[Answer]:
        self.yielded.append(request)
        assert len(self.yielded) <= MOST_REQUESTS, "the connector asks without end"
        again = TryAgain()
        for _ in range(self.tries):
            yield from self._renewed()
            authorized = self.connector.authorized(request, self.now, self.token)
            self.sent.append(authorized)
            answer = yield authorized
            found = self.connector.classify(request, answer)
            if found is None:
                return answer
            if isinstance(found, Fault):
                raise found
            again = found
        raise Later(again)

    def _renewed(self) -> Conversation[None]:
        if self.token is not None and self.token.expires_at > self.now:
            return
        fetch = self.connector.fetch_token(self.now)
        if fetch is None:
            return
        try:
            request = next(fetch)
            while True:
                self.sent.append(request)
                self.fetching_token = True
                answer = yield request
                self.fetching_token = False
                request = fetch.send(answer)
        except StopIteration as done:
            self.token = done.value


def converse(exchange: Exchange, changes: Sequence[OutputChange[Any]], ask: Ask) -> Outcome:
    """Deliver in memory.

    Raises:
        Fault: of the connector.
        Later: the partner asked to be tried again too often.
    """
    steps = exchange.steps(changes)
    try:
        request = next(steps)
        while True:
            request = steps.send(ask(request))
    except StopIteration as done:
        outcome: Outcome = done.value
        return outcome
    finally:
        steps.close()


async def converse_over_http(exchange: Exchange, changes: Sequence[OutputChange[Any]]) -> Outcome:
    """The same over real HTTP, as the product's sender sends: httpx on aiohttp.

    Raises:
        Fault, Later: as above.
    """
    steps = exchange.steps(changes)
    async with httpx.AsyncClient(transport=AiohttpTransport(), timeout=30) as client:
        try:
            request = next(steps)
            while True:
                request = steps.send(await _ask(client, request))
        except StopIteration as done:
            outcome: Outcome = done.value
            return outcome
        finally:
            steps.close()


async def _ask(client: httpx.AsyncClient, request: Request) -> Answer:
    response = await client.request(
        request.method, request.url, content=request.body, headers=dict(request.headers)
    )
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.status_code == 429:
        # A partner's rule of rate is real; a test's is a fraction of a second long.
        await asyncio.sleep(min(float(headers.get("retry-after", "0.05")), 0.2))
    return Answer(response.status_code, response.content, headers)

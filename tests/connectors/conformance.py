"""What every connector over HTTP is held to. Its test states a `Case` and says

    TestConforms = conformance(CASE)

Nothing is sent here: requests go to a partner in memory (tests/partners), and, in one test, to the
same partner behind a real HTTP server.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE, OutputChange
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import Answer, Fault, Outcome, Request, TryAgain
from cdp_stream.connectors.settings import secret_fields
from tests.connectors.changes import MPIDS, change, identity, identity_types, streams
from tests.partners.converse import Exchange, Later, converse, converse_over_http
from tests.partners.partner import Partner
from tests.partners.serving import serving

__all__ = ["NOW", "Answered", "Case", "Expected", "Golden", "conformance", "nth"]

NOW = 1_754_050_000_000
"""What time it is, where a signature or a token asks; epoch ms."""

Becomes = Literal["taken", "rejected", "retry", "output", "connection"]


@dataclass(frozen=True)
class Expected:
    """A request as it must go out, authorized.

    Attributes:
        body: bytes or text to the letter; anything else is compared as decoded JSON. A body that
            was packed with gzip is unpacked first.
        headers: these must be there, with these values; others may be.
    """

    method: str
    url: str
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Golden:
    """Changes, and the requests by which the partner is told.

    Attributes:
        changes: made with `changes.change`; the suite fills in the case's settings and list.
        rejected: index -> words that must be in the reason.
    """

    name: str
    changes: Sequence[OutputChange[Any]]
    requests: Sequence[Expected]
    rejected: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """What an answer of the partner comes to.

    Attributes:
        becomes: `taken`: it is as good as done; `rejected`: those changes alone; `retry`; a fault
            of the `output` or of the `connection`.
        request: the how-manieth request is answered so, from 0; the partner answers the others.
        changes: what is delivered; default: an add of every accepted type.
        rejected: indices, for `rejected`.
        words: must be in the fault's or the rejection's text.
    """

    name: str
    answer: Answer
    becomes: Becomes
    request: int = 0
    changes: Sequence[OutputChange[Any]] | None = None
    rejected: frozenset[int] = frozenset({0})
    words: str = ""


@dataclass(frozen=True)
class Case:
    """What the suite must know of a connector.

    Attributes:
        settings, connection: of the output and of the connection, as in the definitions.
        list_id: where the connection's settings name a list or the connector makes one: its id.
        partner: a new one, that knows of the credentials and holds the (empty) list, and the users
            of `changes.identity(type, n)` where it has users.
        kept_as: how the partner keeps an identity (its hash, ...); None when it is not sent.
        kept: what it keeps of members, mpid -> identities, where that is not each identity.
        goldens: together they add and delete each accepted identity; one deletes an audience unless
            the connector declares `keep`.
        answers: each documented error.
        most_rows, rows_in: how many rows a request may have, and has.
        most_bytes: of a request's body.
        usual: statuses that mean something else than usual, and what they become.
        address: what settings say that the partner is elsewhere (default: `{"api_url": url}`).
    """

    connector: type[HttpConnector[Any, Any]]
    settings: Mapping[str, Any]
    partner: Callable[[], Partner]
    kept_as: Callable[[str, str], str | None]
    goldens: Sequence[Golden]
    connection: Mapping[str, Any] = field(default_factory=dict)
    list_id: str | None = None
    answers: Sequence[Answered] = ()
    most_rows: int | None = None
    rows_in: Callable[[Request], int] | None = None
    most_bytes: int | None = None
    usual: Mapping[int, Becomes] = field(default_factory=dict)
    kept: Callable[[Mapping[str, Mapping[str, str]]], set[str]] | None = None
    address: Callable[[str], Mapping[str, Any]] = lambda url: {
        "api_url": url,
        "allow_private": True,
    }

    def delivered(
        self,
        *changes: OutputChange[Any],
        partner: Partner,
        settings: Mapping[str, Any] | None = None,
        connection: Mapping[str, Any] | None = None,
    ) -> tuple[Outcome, Exchange]:
        """What comes of changes at a partner.

        Args:
            changes: Delivered together.
            partner: It answers.
            settings: Those of the output that differ from the case's; None leaves one out.
            connection: Other settings of the connection than the case's.
        """
        case = self
        if connection is not None:
            list_id = str(connection["list_id"]) if "list_id" in connection else None
            case = replace(case, connection=connection, list_id=list_id)
        if settings is not None:
            merged = {**case.settings, **settings}
            kept = {name: value for name, value in merged.items() if value is not None}
            case = replace(case, settings=kept)
        exchange = case.exchange()
        return converse(exchange, [case.filled(one) for one in changes], partner.answer), exchange

    def exchange(self, **settings: Any) -> Exchange:
        """The connector as it would be at work."""
        model = self.connector.output_settings
        made = self.connector("out", model.model_validate({**self.settings, **settings}))
        return Exchange(made, NOW)

    def filled(self, one: OutputChange[Any]) -> OutputChange[Any]:
        """A change with the connection's settings and list."""
        made = self.connector.connection_settings.model_validate(dict(self.connection))
        changes = {"settings": made} if one.settings is None else {}
        if one.list_id is None:
            changes["list_id"] = self.list_id
        return replace(one, **changes)

    def add(self, action: str = ADD, *, mpid: str = MPIDS[0]) -> OutputChange[Any]:
        """A change with an identity of each accepted type."""
        number = MPIDS.index(mpid)
        held = {one: identity(one, number) for one in identity_types(self.connector)}
        return self.filled(change(action, mpid=mpid, identities=held, ordinal=int(action != ADD)))

    def state(self, members: Mapping[str, Mapping[str, str]]) -> set[str]:
        """How a partner keeps members, mpid -> identities."""
        if self.kept is not None:
            return self.kept(members)
        each = (one for held in members.values() for one in held.items())
        kept = (self.kept_as(identity_type, value) for identity_type, value in each)
        return {one for one in kept if one is not None}

    def secrets(self) -> list[str]:
        """Every secret of the settings."""
        names = secret_fields(self.connector.output_settings)
        return [str(self.settings[name]) for name in names if name in self.settings]


def conformance(case: Case) -> type[Conformance]:
    """The suite for one connector; pytest collects it under the name that it is given."""
    return type("TestConforms", (Conformance,), {"case": case, "__test__": True})


_EACH_CONNECTOR = [HealthCheck.differing_executors]
"""Each connector runs the same test; nothing of an example is kept for the next one."""


class Conformance:
    """One test for each thing that a connector owes; see `Case`."""

    __test__ = False
    case: ClassVar[Case]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test a golden case, and one an answer."""
        case = type(self).case
        if "golden" in metafunc.fixturenames:
            metafunc.parametrize("golden", case.goldens, ids=[one.name for one in case.goldens])
        if "answered" in metafunc.fixturenames:
            answers = [*case.answers, *_usual(case)]
            metafunc.parametrize("answered", answers, ids=[one.name for one in answers])

    def test_what_it_declares_is_whole(self) -> None:
        connector = self.case.connector
        assert connector.name
        assert connector.title
        assert connector.summary.endswith(".")
        assert connector.batching.count >= 1
        for model in (connector.output_settings, connector.connection_settings):
            undescribed = [n for n, one in model.model_fields.items() if not one.description]
            assert undescribed == []
        assert secret_fields(connector.connection_settings) == frozenset()

    def test_unknown_settings_are_refused(self) -> None:
        for model, known in (
            (self.case.connector.output_settings, self.case.settings),
            (self.case.connector.connection_settings, self.case.connection),
        ):
            model.model_validate(dict(known))
            with pytest.raises(ValidationError, match="extra_forbidden"):
                model.model_validate({**known, "no_such_setting": 1})

    def test_golden_requests(self, golden: Golden) -> None:
        exchange = self.case.exchange()
        partner = self.case.partner()
        outcome = converse(exchange, [self.case.filled(c) for c in golden.changes], partner.answer)
        got = [_shown(request, wanted) for request, wanted in _paired(exchange, golden)]
        wanted = [_wanted(one) for one in golden.requests]
        assert got == wanted
        assert set(outcome.rejected) == set(golden.rejected)
        for index, words in golden.rejected.items():
            assert words in outcome.rejected[index]

    def test_the_goldens_add_and_delete_every_accepted_identity(self) -> None:
        wanted = set(self.case.connector.identities or ())
        for action in (ADD, DELETE):
            changes = [c for one in self.case.goldens for c in one.changes if c.action == action]
            assert changes
            assert {one for c in changes for one, _ in c.identities} >= wanted, action

    def test_deletion_of_an_audience_is_as_declared(self) -> None:
        declared = self.case.connector.on_audience_delete
        golden = [
            one
            for one in self.case.goldens
            if any(c.action == AUDIENCE_DELETE for c in one.changes)
        ]
        assert bool(golden) == (declared != "keep")
        if declared != "delete":
            return
        exchange, partner = self.case.exchange(), self.case.partner()
        gone = self.case.filled(change(AUDIENCE_DELETE))
        converse(exchange, [self.case.add()], partner.answer)
        assert partner.members(self.case.list_id) != set()
        for _again in range(2):
            assert converse(exchange, [gone], partner.answer) == Outcome()
        assert partner.members(self.case.list_id) == set()

    def test_a_full_batch_keeps_to_the_limits(self) -> None:
        case = self.case
        exchange, partner = case.exchange(), case.partner()
        types = identity_types(case.connector)
        count = exchange.connector.gathering.count
        batch = [
            case.filled(change(mpid=str(n), identities={one: nth(one, n) for one in types}))
            for n in range(1, count + 1)
        ]
        converse(exchange, batch, _agreeable(partner))
        assert exchange.sent
        for request in exchange.sent:
            if case.most_bytes is not None:
                assert len(request.body) <= case.most_bytes
            if case.most_rows is not None and case.rows_in is not None:
                assert case.rows_in(request) <= case.most_rows

    def test_an_answer_is_read_as_documented(self, answered: Answered) -> None:
        exchange = self.case.exchange()
        exchange.tries = 3
        changes = [self.case.filled(one) for one in (answered.changes or [self.case.add()])]
        found, text = _result(exchange, changes, self.case.partner(), answered)
        assert found == answered.becomes, text
        assert answered.words in text
        # What a partner repeats of secrets in its answer is taken out by the sender.
        assert [secret for secret in self.case.secrets() if secret in text] == []

    def test_too_many_requests_is_tried_again_with_and_without_a_time(self) -> None:
        exchange = self.case.exchange()
        connector = exchange.connector
        request = _first_request(exchange, [self.case.add()], self.case.partner())
        for headers in ({}, {"retry-after": "7"}, {"retry-after": "Fri, 01 Aug 2025 12:00:00 GMT"}):
            found = connector.classify(request, Answer(429, b"", headers))
            assert isinstance(found, TryAgain)
            assert found.after_s is None or found.after_s >= 0

    def test_secrets_are_in_nothing_that_is_logged(self) -> None:
        exchange, partner = self.case.exchange(), self.case.partner()
        converse(exchange, [self.case.add(), self.case.add(DELETE)], partner.answer)
        secrets = self.case.secrets()
        assert all(len(secret) >= 6 for secret in secrets), "too short to be looked for"
        shown = f"{exchange.yielded!r} {exchange.connector!r} {exchange.connector.settings!r}"
        assert [secret for secret in secrets if secret in shown] == []

    @settings(max_examples=settings().max_examples // 4 + 25, suppress_health_check=_EACH_CONNECTOR)
    @given(data=st.data())
    def test_any_changes_end_in_the_membership(self, data: st.DataObject) -> None:
        case = self.case
        stream = data.draw(streams(identity_types(case.connector)))
        exchange, partner = case.exchange(), case.partner()
        waiting = [case.filled(one) for one in stream.changes]
        while waiting:
            size = data.draw(st.integers(1, min(len(waiting), 10)))
            batch = waiting[:size]
            if exchange.connector.gathering.count == 1:
                batch = waiting[:1]
            crash = data.draw(st.sampled_from([None, None, 0, 1, 2]), label="crash before request")
            if crash is not None:
                _until(exchange, batch, partner, crash)
            assert converse(exchange, batch, partner.answer) == Outcome()
            waiting = waiting[len(batch) :]
        assert partner.members(case.list_id) == case.state(stream.members)

    @settings(max_examples=settings().max_examples // 4 + 25, suppress_health_check=_EACH_CONNECTOR)
    @given(data=st.data())
    def test_garbage_in_answers_does_no_harm(self, data: st.DataObject) -> None:
        case = self.case
        exchange, partner = case.exchange(), case.partner()
        exchange.tries = 2
        changes = [case.add(), case.add(DELETE, mpid=MPIDS[1])]

        def ask(request: Request) -> Answer:
            return data.draw(_spoiled(partner.answer(request)))

        try:
            outcome = converse(exchange, changes, ask)
        except (Fault, Later):
            return
        assert set(outcome.rejected) <= {0, 1}
        assert all(isinstance(why, str) and why for why in outcome.rejected.values())

    async def test_over_real_http_the_list_equals_the_membership(self) -> None:
        case = self.case
        partner = case.partner()
        changes = [case.add(mpid=mpid) for mpid in MPIDS]
        changes += [case.add(DELETE, mpid=mpid) for mpid in MPIDS[:2]]
        async with serving(partner) as address:
            exchange = case.exchange(**case.address(address.url))
            step = min(exchange.connector.gathering.count, 4)
            for start in range(0, len(changes), step):
                outcome = await converse_over_http(exchange, changes[start : start + step])
                assert outcome == Outcome()
        stay = {one.mpid: dict(one.identities) for one in changes[2:4]}
        assert partner.members(case.list_id) == case.state(stay)


def _usual(case: Case) -> list[Answered]:
    """What HTTP statuses mean everywhere, unless the case says other."""
    said: dict[int, Becomes] = dict.fromkeys((408, 429, 500, 502, 503, 504), "retry")
    said |= {401: "output", 403: "output", **case.usual}
    return [
        Answered(f"status-{status}", Answer(status, b"no"), becomes)
        for status, becomes in said.items()
    ]


def _result(
    exchange: Exchange, changes: list[OutputChange[Any]], partner: Partner, answered: Answered
) -> tuple[str, str]:
    first = answered.request + 1

    def ask(request: Request) -> Answer:
        before = len(exchange.yielded)
        # An answer that asks for another try is given each time.
        asked = before == first and not exchange.fetching_token
        return answered.answer if asked else partner.answer(request)

    try:
        outcome = converse(exchange, changes, ask)
    except Fault as fault:
        return fault.scope, fault.message
    except Later:
        return "retry", ""
    assert len(exchange.yielded) >= first, "there was no such request"
    if outcome.rejected:
        assert set(outcome.rejected) == set(answered.rejected)
        return "rejected", " ".join(outcome.rejected.values())
    return "taken", ""


def _first_request(
    exchange: Exchange, changes: list[OutputChange[Any]], partner: Partner
) -> Request:
    converse(exchange, changes, partner.answer)
    return exchange.yielded[0]


def _until(
    exchange: Exchange, changes: list[OutputChange[Any]], partner: Partner, requests: int
) -> None:
    """Die when so many requests have been answered."""

    class _Dead(BaseException):
        pass

    done = 0

    def ask(request: Request) -> Answer:
        nonlocal done
        if done == requests:
            raise _Dead
        done += 1
        return partner.answer(request)

    with suppress(_Dead):
        converse(exchange, changes, ask)


def _agreeable(partner: Partner) -> Callable[[Request], Answer]:
    """A partner without a rate."""
    partner.quota = None
    return partner.answer


def _paired(exchange: Exchange, golden: Golden) -> list[tuple[Request, Expected | None]]:
    wanted: list[Expected | None] = [*golden.requests]
    wanted += [None] * (len(exchange.sent) - len(wanted))
    return list(zip(exchange.sent, wanted, strict=False))


def _shown(request: Request, wanted: Expected | None) -> tuple[str, str, Any, dict[str, str]]:
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    shown: Any = body
    if wanted is None or not isinstance(wanted.body, bytes | str):
        try:
            shown = json.loads(body)
        except ValueError:
            shown = body
    names = request.headers.keys() & (wanted.headers.keys() if wanted else request.headers.keys())
    headers = {name: request.headers[name] for name in names}
    return request.method, request.url, shown, headers


def _wanted(one: Expected) -> tuple[str, str, Any, dict[str, str]]:
    body = one.body.encode() if isinstance(one.body, str) else one.body
    return one.method, one.url, body, dict(one.headers)


def nth(identity_type: str, n: int) -> str:
    """As `changes.identity`, for any n."""
    if identity_type.startswith(("mobile", "phone")):
        return f"+4479{n:08d}"
    if identity_type == "email":
        return f"somebody-with-a-long-name-{n:08d}@mail.example.com"
    return f"00000000-0000-4000-8000-{n:012d}"


_JUNK = st.sampled_from(
    [None, True, -1, 10**30, "", "x", [], {}, [None], [[]], {"x": {}}, [1, "a"]]
)


@st.composite
def _spoiled(draw: st.DrawFn, answer: Answer) -> Answer:
    """The answer as it is, or with other types in it, or another body, or another status."""
    kind = draw(st.sampled_from(["as it is", "junk", "bytes", "mutated", "status"]))
    status = draw(
        st.sampled_from([answer.status, 200, 201, 202, 204, 207, 400, 404, 409, 418, 422])
    )
    if kind == "as it is":
        return answer
    if kind == "junk":
        return Answer(status, json.dumps(draw(_JUNK)).encode(), answer.headers)
    if kind == "bytes":
        return Answer(status, draw(st.binary(max_size=30)), {})
    if kind == "mutated" and (value := answer.json()) is not None:
        return Answer(status, json.dumps(_mutated(draw, value)).encode(), answer.headers)
    return Answer(status, answer.body, answer.headers)


def _mutated(draw: st.DrawFn, value: Any) -> Any:
    if draw(st.integers(0, 3)) == 0:
        return draw(_JUNK)
    if isinstance(value, dict):
        return {key: _mutated(draw, one) for key, one in value.items()}
    if isinstance(value, list):
        return [_mutated(draw, one) for one in value]
    return value

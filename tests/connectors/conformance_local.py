"""What every connector to a file, a database or a topic is held to.

Its test states a `LocalCase` and says `TestConforms = local_conformance(CASE)`. Nothing is a
stand-in here: the file is on the disk, the database and the broker are real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cdp_stream.connectors.change import ADD, AUDIENCE_DELETE, DELETE, OutputChange
from cdp_stream.connectors.connector import LocalConnector
from cdp_stream.connectors.exchange import Outcome
from cdp_stream.connectors.settings import secret_fields
from tests.connectors.changes import MPIDS, change, identity, identity_types, streams

__all__ = ["LocalCase", "Place", "local_conformance", "opened"]


@dataclass
class Place:
    """One destination, empty at first.

    Attributes:
        settings: of an output that goes there.
        members: who is in there: mpid -> the identities.
    """

    settings: Mapping[str, Any]
    members: Callable[[], Awaitable[Mapping[str, Mapping[str, str]]]]


@dataclass(frozen=True)
class LocalCase:
    """What the suite must know.

    Attributes:
        place: makes an empty destination in a directory.
    """

    connector: type[LocalConnector[Any, Any]]
    place: Callable[[Path], AbstractAsyncContextManager[Place]]

    def filled(self, one: OutputChange[Any]) -> OutputChange[Any]:
        """A change with the connection's settings."""
        return replace(one, settings=self.connector.connection_settings())


@asynccontextmanager
async def opened(
    connector: type[LocalConnector[Any, Any]], settings: Mapping[str, Any], directory: Path
) -> AsyncIterator[LocalConnector[Any, Any]]:
    """A connector at work, from its start to its end."""
    made = connector("out", connector.output_settings.model_validate(dict(settings)))
    await made.open(directory)
    try:
        yield made
    finally:
        await made.close()


def local_conformance(case: LocalCase) -> type[LocalConformance]:
    """The suite for one connector; pytest collects it under the name that it is given."""
    return type("TestConforms", (LocalConformance,), {"case": case, "__test__": True})


class LocalConformance:
    """One test for each thing that such a connector owes."""

    __test__ = False
    case: ClassVar[LocalCase]

    def test_what_it_declares_is_whole(self) -> None:
        connector = self.case.connector
        assert connector.name
        assert connector.title
        assert connector.summary.endswith(".")
        assert connector.takes_attributes
        assert connector.identities is None
        fields = connector.output_settings.model_fields
        assert [name for name, field in fields.items() if not field.description] == []

    async def test_unknown_settings_are_refused(self, tmp_path: Path) -> None:
        async with self.case.place(tmp_path) as place:
            known = dict(place.settings)
        with pytest.raises(ValidationError, match="extra_forbidden"):
            self.case.connector.output_settings.model_validate({**known, "no_such": 1})

    async def test_no_secret_is_shown(self, tmp_path: Path) -> None:
        async with self.case.place(tmp_path) as place:
            made = self.case.connector("out", self._model(place))
        shown = f"{made!r} {made.settings!r} {made.settings}"
        names = secret_fields(self.case.connector.output_settings) & place.settings.keys()
        assert [name for name in names if str(place.settings[name]) in shown] == []

    # Each connector runs it; nothing of an example is kept for the next one.
    @settings(
        max_examples=settings().max_examples // 8 + 20,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(data=st.data())
    async def test_any_changes_end_in_the_membership(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """However they are cut into batches, and after crashes in the midst of it."""
        directory = tmp_path_factory.mktemp("end")
        stream = data.draw(streams(identity_types(self.case.connector)))
        waiting = [self.case.filled(one) for one in stream.changes]
        async with self.case.place(directory) as place:
            while waiting:
                size = data.draw(st.integers(1, len(waiting)))
                crash = data.draw(st.booleans(), label="crash before it is confirmed")
                async with opened(self.case.connector, place.settings, directory) as made:
                    assert await made.write(waiting[:size]) == Outcome()
                if not crash:
                    waiting = waiting[size:]
            assert await place.members() == stream.members

    async def test_a_deleted_audience_has_no_members(self, tmp_path: Path) -> None:
        async with self.case.place(tmp_path) as place:
            async with opened(self.case.connector, place.settings, tmp_path) as made:
                await made.write([self._add(mpid) for mpid in MPIDS])
                for _again in range(2):
                    assert (
                        await made.write([self.case.filled(change(AUDIENCE_DELETE))]) == Outcome()
                    )
            assert await place.members() == {}

    async def test_attributes_and_odd_text_arrive(self, tmp_path: Path) -> None:
        odd = {
            "name": "a\"b,c;\n'\\ \u2028 \u00e9 \U0001f600",
            "big": 2**70,
            "list": ["x", None, 1.5],
        }
        one = change(
            identities={"email": 'o\'neil\n"x"@example.com'}, attributes=odd, name="V,I\nP\u2028"
        )
        async with self.case.place(tmp_path) as place:
            async with opened(self.case.connector, place.settings, tmp_path) as made:
                assert await made.write([self.case.filled(one)]) == Outcome()
            assert await place.members() == {"101": {"email": 'o\'neil\n"x"@example.com'}}

    def _model(self, place: Place) -> Any:
        return self.case.connector.output_settings.model_validate(dict(place.settings))

    def _add(self, mpid: str, action: str = ADD) -> OutputChange[Any]:
        held = {"email": identity("email", MPIDS.index(mpid))}
        return self.case.filled(
            change(action, mpid=mpid, identities=held, ordinal=int(action == DELETE))
        )

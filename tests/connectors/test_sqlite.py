"""Tables of members in SQLite."""

import json
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest

from cdp_stream.connectors.change import AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.partners.sqlite import Sqlite
from tests.connectors.changes import NOON, change
from tests.connectors.conformance_local import LocalCase, Place, local_conformance, opened


def read(directory, query="SELECT * FROM cdp_memberships ORDER BY mpid"):
    with closing(sqlite3.connect(directory / "sub" / "crm.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def settings(directory):
    return {"path": str(directory / "sub" / "crm.db")}


@asynccontextmanager
async def place(directory):
    async def members():
        return {row["mpid"]: json.loads(row["user_identities"]) for row in read(directory)}

    yield Place(settings(directory), members)


TestConforms = local_conformance(LocalCase(Sqlite, place))


async def test_a_row_says_who_is_in_since_when(tmp_path):
    one = change(identities={"email": "a@x.org"}, attributes={"ltv": 2**70}, variant="B")
    async with opened(Sqlite, settings(tmp_path), tmp_path) as made:
        await made.write([one])
    assert read(tmp_path) == [
        {
            "connection": "vip#B@out",
            "mpid": "101",
            "audience_id": "vip",
            "audience_name": "VIP customers - B",
            "variant": "B",
            "since": NOON,
            "changed_at": NOON,
            "message_id": f"vip:101:{NOON}:0",
            "user_identities": '{"email":"a@x.org"}',
            "user_attributes": '{"ltv":1180591620717411303424}',
        }
    ]


async def test_an_older_change_that_comes_again_undoes_nothing(tmp_path):
    add = change(identities={"email": "a@x.org"})
    leave = change(DELETE, identities={"email": "a@x.org"}, at=NOON + 1)
    async with opened(Sqlite, settings(tmp_path), tmp_path) as made:
        await made.write([add, leave])
        await made.write([add])
    assert read(tmp_path) == []


async def test_a_batch_that_fails_leaves_nothing(tmp_path):
    """The next try writes all of it."""
    good = change(identities={"email": "a@x.org"})
    bad = change(mpid="102", identities={"email": "b@x.org"})
    broken = change(mpid=object(), identities={"email": "c@x.org"})
    async with opened(Sqlite, settings(tmp_path), tmp_path) as made:
        with pytest.raises(Fault):
            await made.write([good, bad, broken])
        assert read(tmp_path) == []
        await made.write([good, bad])
    assert [row["mpid"] for row in read(tmp_path)] == ["101", "102"]


async def test_only_the_deleted_audience_goes(tmp_path):
    mine = change(identities={"email": "a@x.org"})
    other = change(identities={"email": "a@x.org"}, audience="other")
    async with opened(Sqlite, settings(tmp_path), tmp_path) as made:
        await made.write([mine, other, change(AUDIENCE_DELETE)])
    assert [row["audience_id"] for row in read(tmp_path)] == ["other"]
    ids = read(tmp_path, "SELECT audience_id FROM cdp_memberships_changes")
    assert ids == [{"audience_id": "other"}]


async def test_a_locked_database_may_pass(tmp_path):
    async with opened(Sqlite, settings(tmp_path), tmp_path) as made:
        made._database.execute("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(tmp_path / "sub" / "crm.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OSError, match="locked"):
                await made.write([change(identities={"email": "a@x.org"})])
        await made.write([change(identities={"email": "a@x.org"})])
    assert len(read(tmp_path)) == 1


async def test_a_file_that_is_no_database_is_a_fault(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "crm.db").write_text("this is a letter, and no database at all\n" * 99)
    made = Sqlite("out", Sqlite.output_settings.model_validate(settings(tmp_path)))
    with pytest.raises(Fault, match="not a database"):
        await made.open(tmp_path)


async def test_a_folder_that_is_none_is_a_fault(tmp_path):
    (tmp_path / "sub").write_text("")
    made = Sqlite("out", Sqlite.output_settings.model_validate(settings(tmp_path)))
    with pytest.raises(Fault, match="cannot be used"):
        await made.open(tmp_path)

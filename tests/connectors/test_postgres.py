"""Tables of members in a real PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest

from cdp_stream.connectors.change import AUDIENCE_DELETE, DELETE
from cdp_stream.connectors.exchange import Fault
from cdp_stream.connectors.partners.postgres import Postgres
from tests.connectors.changes import NOON, change
from tests.connectors.conformance_local import LocalCase, Place, local_conformance, opened
from tests.partners.postgresql import Postgresql, server

pytestmark = pytest.mark.usefixtures("postgresql")


async def query(text, *values, url=None):
    async with await psycopg.AsyncConnection.connect(url or server().url()) as database:
        cursor = await database.execute(text, values)
        return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def place(directory):
    table = f"m_{uuid4().hex}"

    async def members():
        return dict(await query(f"SELECT mpid, user_identities FROM {table}"))

    yield Place({"url": server().url(), "table": table}, members)


TestConforms = local_conformance(LocalCase(Postgres, place))


@pytest.fixture
def settings():
    return {"url": server().url(), "table": f"m_{uuid4().hex}"}


def connector(settings):
    return Postgres("out", Postgres.output_settings.model_validate(settings))


async def test_a_row_says_who_is_in_since_when(tmp_path, settings):
    one = change(identities={"email": "a@x.org"}, attributes={"ltv": 2**70}, variant="B")
    async with opened(Postgres, settings, tmp_path) as made:
        await made.write([one])
    assert await query(f"SELECT * FROM {settings['table']}") == [
        (
            "vip#B@out", "101", "vip", "VIP customers - B", "B", NOON, NOON, f"vip:101:{NOON}:0",
            {"email": "a@x.org"}, {"ltv": 2**70},
        )
    ]  # fmt: skip


async def test_an_older_change_that_comes_again_undoes_nothing(tmp_path, settings):
    add = change(identities={"email": "a@x.org"})
    leave = change(DELETE, identities={"email": "a@x.org"}, at=NOON + 1)
    async with opened(Postgres, settings, tmp_path) as made:
        await made.write([add, leave, add])
        await made.write([add])
    assert await query(f"SELECT * FROM {settings['table']}") == []


async def test_only_the_deleted_audience_goes(tmp_path, settings):
    mine = change(identities={"email": "a@x.org"})
    other = change(identities={"email": "a@x.org"}, audience="other")
    async with opened(Postgres, settings, tmp_path) as made:
        await made.write([mine, other, change(AUDIENCE_DELETE)])
    assert await query(f"SELECT audience_id FROM {settings['table']}") == [("other",)]
    assert await query(f"SELECT audience_id FROM {settings['table']}_changes") == [("other",)]


@pytest.mark.parametrize(
    "odd", ["a\x00b", "a\\u0000b", "half \ud800 of one", "\\\x00", "\U0001f600"]
)
async def test_text_that_postgresql_cannot_hold_is_written_as_nearly_as_it_can(
    tmp_path, settings, odd
):
    async with opened(Postgres, settings, tmp_path) as made:
        await made.write([change(identities={"email": "a@x.org"}, attributes={"odd": odd})])
    (row,) = await query(f"SELECT user_attributes FROM {settings['table']}")
    assert row[0]["odd"] == odd.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


async def test_workers_that_begin_at_once_make_one_table(settings, tmp_path):
    made = [connector(settings) for _ in range(6)]
    await asyncio.gather(*(one.open(tmp_path) for one in made))
    await asyncio.gather(
        *(
            one.write([change(mpid=str(n), identities={"email": f"{n}@x.org"})])
            for n, one in enumerate(made)
        )
    )
    await asyncio.gather(*(one.close() for one in made))
    assert await query(f"SELECT count(*) FROM {settings['table']}") == [(6,)]


async def test_a_table_in_a_schema_and_no_right_to_make_one(tmp_path, settings):
    name = f"s_{uuid4().hex}"
    await query(f"CREATE SCHEMA {name}")
    settings = {**settings, "table": f"{name}.members"}
    async with opened(Postgres, settings, tmp_path) as made:
        await made.write([change(identities={"email": "a@x.org"})])
    await query(f"CREATE ROLE {name} LOGIN PASSWORD 'p4ssword'")
    await query(f"GRANT USAGE ON SCHEMA {name} TO {name}")
    mine = {**settings, "url": server().url(name, "p4ssword")}
    made = connector(mine)
    await made.open(tmp_path)
    with pytest.raises(Fault, match="permission denied"):
        await made.write([change(mpid="2", identities={"email": "b@x.org"})])
    await query(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {name}")
    await made.write([change(mpid="2", identities={"email": "b@x.org"})])
    await made.close()
    assert await query(f"SELECT mpid FROM {name}.members ORDER BY 1") == [("101",), ("2",)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (lambda: server().url(password="wrong-password"), "authentication failed"),
        (lambda: server().url(user="nobody"), "authentication failed"),
        (lambda: server().url(database="nowhere"), "does not exist"),
        (lambda: server().url() + "?sslmode=require", "does not support SSL"),
        (lambda: "postgresql://cdp@host/db?wrong-password", "is none that PostgreSQL knows"),
    ],
)
async def test_what_will_not_pass_is_a_fault(tmp_path, settings, url, words):
    made = connector({**settings, "url": url()})
    with pytest.raises(Fault, match=words) as caught:
        await made.open(tmp_path)
    assert "wrong-password" not in caught.value.message


async def test_a_server_that_goes_and_comes_back_loses_nothing(tmp_path):
    own = Postgresql()
    try:
        made = connector({"url": own.url()})
        await made.open(tmp_path)
        await made.write([change(identities={"email": "a@x.org"})])
        own.stop()
        for _ in range(2):
            with pytest.raises(OSError, match="PostgreSQL"):
                await made.write([change(mpid="2", identities={"email": "b@x.org"})])
        own.start()
        await made.write([change(mpid="2", identities={"email": "b@x.org"})])
        await made.close()
        rows = await query("SELECT mpid FROM cdp_memberships ORDER BY mpid", url=own.url())
        assert rows == [("101",), ("2",)]
    finally:
        own.remove()


VERIFIED = {"sslmode": "verify-full", "sslrootcert": "system"}


async def test_a_server_elsewhere_has_to_prove_who_it_is(tmp_path, settings):
    # The server of these tests, under a name that is none of this machine's.
    url = server().url().replace("127.0.0.1", "db.example") + "?hostaddr=127.0.0.1"
    made = connector({**settings, "url": url})
    with pytest.raises(Fault, match="server does not support SSL, but SSL was required"):
        await made.open(tmp_path)
    trusted = connector({**settings, "url": f"{url}&sslmode=prefer"})
    await trusted.open(tmp_path)
    await trusted.close()


@pytest.mark.parametrize(
    ("url", "security"),
    [
        ("postgresql://u:p@db.example/d", VERIFIED),
        ("postgresql://u:p@10.0.0.7/d", VERIFIED),
        ("postgresql://u:p@localhost,db.example/d", VERIFIED),
        ("postgresql://u:p@/d?service=crm", VERIFIED),
        ("postgresql://u:p@db.example/d?sslrootcert=/ca.pem", {"sslmode": "verify-full"}),
        ("postgresql://u:p@db.example/d?sslmode=prefer", {}),
        ("postgresql://u:p@localhost/d", {}),
        ("postgresql://u:p@127.0.0.1:5433/d", {}),
        ("postgresql://u:p@[::1]/d", {}),
        ("postgresql:///d?host=/run/postgresql", {}),
        ("postgresql:///d", {}),
    ],
)
def test_how_far_a_server_has_to_prove_who_it_is(settings, url, security):
    assert connector({**settings, "url": url}).security() == security

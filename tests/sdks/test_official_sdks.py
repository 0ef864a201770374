"""Code written for mParticle's server SDKs works unchanged: what they send is read as it is meant.

A server of the test takes what an SDK posts; its batches go through `cdp replay` and through a
worker. The programs are `send.py` and `send.js`.
"""

import asyncio
import base64
import json
import subprocess
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cdp_stream.cli.main import main
from cdp_stream.kafka.topics.ensure import ensure_topics
from cdp_stream.settings import Settings
from tests.brokers.workers import records_of, running_worker
from tests.node import packages
from tests.schemas.validation import complaints

HERE = Path(__file__).parent
DEFINITIONS = HERE / "definitions.yaml"
ALL_BUT_8 = {
    "began-a-session",
    "bought-shoes",
    "consented",
    "golden",
    "known-by-another-id",
    "known-by-email",
    "known-by-the-sdks-own-word",
    "on-seventeen",
    "saw-home",
    "signed-up-in-the-footer",
    "size-39",
}


class Api(BaseHTTPRequestHandler):
    """The two routes that the SDKs post to."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        batches = {"/v2/events": [body], "/v2/bulkevents": body}[self.path]
        _, _, login = self.headers["Authorization"].partition(" ")
        assert base64.b64decode(login) == b"KEY:SECRET"
        self.server.batches.extend(batches)
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing on standard error."""


def by_python(host, folder):
    script = [sys.executable, "-W", "ignore", HERE / "send.py", host]
    done = subprocess.run(
        script, check=True, cwd=folder, timeout=60, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def by_node(host, folder):
    return packages.run((HERE / "send.js").read_text(), folder, HOST=host)


@pytest.fixture(scope="module", params=[by_python, by_node])
def batches(request, tmp_path_factory):
    """What one of the SDKs posts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        server.batches = []
        threading.Thread(target=server.serve_forever).start()
        try:
            host = f"http://127.0.0.1:{server.server_port}/v2"
            printed = request.param(host, tmp_path_factory.mktemp("sdk"))
        finally:
            server.shutdown()
    assert [json.loads(line) for line in printed.splitlines()] == server.batches
    return server.batches


@pytest.fixture
def events(batches, tmp_path):
    file = tmp_path / "batches.ndjson"
    file.write_text("".join(f"{json.dumps(batch)}\n" for batch in batches))
    return file


def replayed(events, capsys):
    assert main(["replay", "--definitions", str(DEFINITIONS), "--events", str(events)]) == 0
    said = capsys.readouterr()
    assert "rejected" not in said.err
    return said.out.splitlines()


def test_the_batches_are_those_that_the_page_describes(batches):
    assert [batch["mpid"] for batch in batches] == [7, 8]
    assert batches[0]["user_identities"]["customerid"] == "c-7"
    assert [complaints("batch", batch) for batch in batches] == [[], []]


def test_a_replay_of_them_gives_the_members(events, capsys):
    members = defaultdict(list)
    for line in replayed(events, capsys):
        change = json.loads(line)
        members[change["audience_id"]].append(change["mpid"])
        names = {entry["identity_type"] for entry in change["user_identities"]}
        assert names <= {"customer_id", "email", "other_id_2"}
    both = {audience for audience, mpids in members.items() if mpids == ["7", "8"]}
    assert both == {"known-by-customer-id", "signed-up"}
    assert {audience for audience, mpids in members.items() if mpids == ["7"]} == ALL_BUT_8
    assert len(members) == len(both) + len(ALL_BUT_8)


@pytest.mark.embedded
@pytest.mark.slow
def test_a_worker_says_the_same(events, embedded_broker, topic_prefix, tmp_path, capsys):
    expected = replayed(events, capsys)
    asyncio.run(ensure_topics(Settings(broker=embedded_broker, prefix=topic_prefix)))
    flags = ("--broker", embedded_broker, "--prefix", topic_prefix)
    assert main(["produce", "--events", str(events), "--until", "last", "--create", *flags]) == 0
    with running_worker(embedded_broker, topic_prefix, DEFINITIONS, tmp_path, "--clock", "stream"):
        read = records_of(embedded_broker, f"{topic_prefix}.memberships", len(expected))
        found = asyncio.run(read)
        told = asyncio.run(records_of(embedded_broker, f"{topic_prefix}.output.seen", 3))
    assert sorted(record.value.decode() for record in found) == sorted(expected)
    for record in found:
        assert complaints("membership-change", json.loads(record.value)) == []
    for record in told:
        assert complaints("output-message", json.loads(record.value)) == []

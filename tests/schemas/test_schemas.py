"""The published schemas are those of the code, and say yes to what the code takes and writes."""

import json
import re

import pytest
import yaml
from jsonschema import Draft7Validator

from cdp_stream.cli.init import write_folder
from cdp_stream.core.model.change import CAUSES, Cause, Change
from cdp_stream.definitions import load_text
from cdp_stream.definitions.records.connector_settings import plain
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.source.yaml_reader import parse
from cdp_stream.formats.definitions_record import DefinitionFile, encode_record
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.membership import encode_change
from cdp_stream.formats.rejects import Reason, Reject, reject_headers
from cdp_stream.offline.generate import Shape, generate
from cdp_stream.sinks.state.faults import faulted, paused, running
from tests.docs.console import ROOT
from tests.docs.schemas.asyncapi import INTERNAL, topic_plans
from tests.docs.schemas.documents import SCHEMAS, documents
from tests.formats.records import IOS
from tests.node import packages
from tests.schemas.validation import FOLDER, complaints, validator

DEFINITIONS = ROOT / "tests/definitions"
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "docs/definitions.md", *sorted((ROOT / "docs/criteria").glob("*.md"))]
GOOD = [
    *sorted((DEFINITIONS / "good").glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*/definitions.yaml")),
    ROOT / "cdp_stream/cli/starter/definitions.yaml",
    ROOT / "tests/topologies/everything.yaml",
]
# What only holds over several records, or is not in the data that YAML gives.
BEYOND_A_SCHEMA = {
    "account-missing",
    "aliases-fine-but-wrong-inside",
    "api-key-twice",
    "attributes-not-taken",
    "cycles",
    "duplicate-keys",
    "ids-twice",
    "input-ids-twice",
    "long-number",
    "lookback-too-long",
    "remaining-alone",
    "remaining-not-last",
    "remaining-twice",
    "remaining-with-criteria",
    "secret-not-allowed",
    "unknown-workspace-and-inputs",
    "unread-event",
    "unread-event-in-new-criteria",
    "window-beyond-own-lookback",
    "windows-over-several-workspaces",
    "workspace-ids-twice",
    "workspaces-missing",
}


def data_of(content):
    """What an editor's YAML reader makes of a file; None where it is no YAML of ours."""
    node = parse(content, "file", Problems())
    return None if node is None else plain(node)


# -- the documents themselves ----------------------------------------------------------------------


def test_what_is_published_is_what_the_code_makes():
    made = documents()
    assert {path.name for path in FOLDER.iterdir()} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, "python -m tests.docs.schemas docs/schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one_of_its_draft(name):
    Draft7Validator.check_schema(validator(name).schema)


def test_the_asyncapi_document_is_one():
    packages.install()
    official = packages.MODULES / "@asyncapi/specs/schemas/3.0.0-without-$id.json"
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
    found = Draft7Validator(json.loads(official.read_text()))
    assert [error.message for error in found.iter_errors(document)] == []
    channels = document["channels"]
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in channels
    channels["events"]["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] = ["none"]
    assert not found.is_valid(document)


def test_the_asyncapi_document_has_every_topic_that_is_an_interface():
    document = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text())
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert addresses == {f"cdp.{suffix}" for suffix in topic_plans().keys() - INTERNAL}
    named = set(re.findall(r"\./(\S+)\.schema\.json", (FOLDER / "asyncapi.yaml").read_text()))
    assert named == SCHEMAS.keys() - {"definitions"}


# -- definitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", GOOD, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_good_definition_is_valid(file):
    assert complaints("definitions", data_of(file.read_bytes())) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_show_is_valid(page):
    for shown in YAML_BLOCK.findall(page.read_text()):
        found = yaml.safe_load(shown)
        if isinstance(found, dict) and found.keys() & {"audiences", "journeys", "connections"}:
            assert complaints("definitions", {"version": 1} | data_of(shown.encode())) == []


def test_a_bad_definition_is_invalid_where_a_schema_can_know():
    accepted = set()
    for file in sorted((DEFINITIONS / "bad").glob("*.yaml")):
        found = data_of(file.read_bytes())
        if found is not None and not complaints("definitions", found):
            accepted.add(file.stem)
    assert accepted == BEYOND_A_SCHEMA


@pytest.mark.parametrize(
    ("criterion", "is_right"),
    [
        ("{event: Sign Up}", True),
        ("{event: Sign Up, count: {at_least: 1, at_most: 2}}", False),
        ("{event: Sign Up, equals: 3}", False),
        ("{commerce: Purchase}", True),
        ("{commerce: buy}", False),
        ("{user_attribute: age, at_least: 18}", True),
        ("{user_attribute: age, at_least: '18'}", False),
        ("{user_attribute: age}", False),
        ("{user_attribute: age, at_least: 18, less_than: 30}", False),
        ("{location: {within: 50km, of: [48.85, 2.35]}}", True),
        ("{location: {within: 50km, of: [148.85, 2.35]}}", False),
        ("{and: [{event: A}]}", False),
        ("{not: {event: A}, exclude: [{event: B}]}", True),
    ],
)
def test_the_schema_and_the_check_agree(criterion, is_right):
    text = f"""
version: 1
account: a
workspaces: [{{id: w, inputs: [{{id: web, kind: platform}}]}}]
audiences: [{{id: x, criteria: {criterion}}}]
"""
    assert (complaints("definitions", data_of(text.encode())) == []) is is_right
    assert (load_text(text).problems == []) is is_right


def test_every_connector_has_its_settings():
    folder = sorted((ROOT / "docs/connectors").glob("*.md"))
    shown = [block for page in folder for block in YAML_BLOCK.findall(page.read_text())]
    outputs = [one for text in shown for one in (data_of(text.encode()) or {}).get("outputs", [])]
    assert len({one["connector"] for one in outputs}) >= 28
    for one in outputs:
        assert complaints("definitions", {"version": 1, "outputs": [one]}) == []
        wrong = one | {"settings": one.get("settings", {}) | {"colour": "red"}}
        assert complaints("definitions", {"version": 1, "outputs": [wrong]}) != []


# -- batches ---------------------------------------------------------------------------------------


def rejects_of(batch):
    decoder = BatchDecoder({"ios": IOS})
    return decoder.decode(json.dumps(batch).encode(), b"7", (), 1_767_225_604_700)[1]


def test_batches_that_are_taken_are_valid(tmp_path):
    folder = tmp_path / "shop"
    write_folder(folder, 1_767_225_600_000)
    page = (ROOT / "docs/events.md").read_text()
    lines = [
        *generate(Shape(20, 300, 3, 1, 0.1, 0.1)),
        *(folder / "events.ndjson").read_bytes().splitlines(),
        *(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1].encode(),),
    ]
    check = validator("batch")
    for line in lines:
        assert [error.message for error in check.iter_errors(json.loads(line))] == []


EVENT = {"event_type": "custom_event", "data": {"event_name": "A"}}
BATCHES = [
    {"events": [EVENT]},
    {"events": None, "user_attributes": {"tag": None, "list": [1, "a", None]}},
    {"user_identities": [{"identity_type": "email", "identity": "a@example.com"}]},
    {"user_identities": {"customerid": 5, "email": None}},
    {"consent_state": {"gdpr": {"ads": {"consented": True}, "mail": None}, "ccpa": None}},
    {"context": {"location": {"latitude": 1.5, "longitude": None}}, "device_info": None},
    {"events": [{"event_type": "commerce_event", "data": {"product_action": {"action": "x"}}}]},
    {"events": [{"event_type": "session_start", "data": {"location": None}}]},
    {"events": [{"event_type": "other", "data": {}}]},
    {"events": [{"event_type": "custom_event", "data": {}}]},
    {"events": [{"event_type": "custom_event"}]},
    {"events": [{"event_type": "commerce_event", "data": {}}]},
    {"events": [EVENT | {"data": {"event_name": "A" * 257}}]},
    {"events": [EVENT | {"data": {"event_name": "A", "timestamp_unixtime_ms": -1}}]},
    {"events": [EVENT | {"data": {"event_name": "A", "custom_attributes": {"a": []}}}]},
    {"events": {}},
    {"user_attributes": {"a": {}}},
    {"user_attributes": {"a": ["x" * 513]}},
    {"user_attributes": {"a": "x" * 4097}},
    {"deleted_user_attributes": "a"},
    {"user_identities": [{"identity_type": "email"}]},
    {"consent_state": {"gdpr": {"ads": {"consented": "yes"}}}},
    {"attribution_info": {"publisher": 5}},
    {"mpid": "007"},
    {"mpid": 7.5},
    {"timestamp_unixtime_ms": "2026-01-01"},
]


@pytest.mark.parametrize("part", BATCHES, ids=lambda part: json.dumps(part)[:60])
def test_a_batch_is_valid_where_nothing_of_it_is_rejected(part):
    batch = {"mpid": 7} | part
    assert (complaints("batch", batch) == []) is (rejects_of(batch) == ())


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CAUSES)
def test_a_change_is_valid(kind):
    cause = Cause(kind, None, None, 5)
    change = Change("add", "a", "A", -7, 5, 0, None, cause, "0123456789ab", (("email", "x"),))
    message = json.loads(encode_change(change, "shop"))
    assert complaints("membership-change", message) == []
    assert list(message) == list(validator("membership-change").schema["properties"])
    assert complaints("membership-change", message | {"action": "audience_delete"}) != []


def test_headers_of_rejects_are_valid():
    for reason in Reason:
        headers = reject_headers(Reject(reason, "$: expected", None), "cdp.events", 3, 12)
        told = {name: value.decode() for name, value in headers}
        assert complaints("rejected-headers", told) == []


def test_records_of_faults_are_valid():
    for record in (faulted("crm", "a@crm", "no", 5), paused("crm", None, 5), running("c", None, 5)):
        assert complaints("fault", record) == []


def test_an_applied_version_is_valid():
    record = json.loads(encode_record(1, [DefinitionFile("a.yaml", "version: 1")]))
    assert complaints("definitions-record", record) == []

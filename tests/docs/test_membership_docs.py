"""docs/memberships.md shows what the engine emits: its examples, its fields, its causes."""

import json
import re

import pytest
import yaml

from cdp_stream.cli.init import write_folder
from cdp_stream.cli.main import main
from cdp_stream.core.model.change import CAUSES
from tests.docs.console import ROOT
from tests.docs.schemas.asyncapi import topic_plans

PAGE = (ROOT / "docs/memberships.md").read_text()
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
NOW = 1_767_225_600_000  # the instant at which the sample events of the examples end


@pytest.fixture
def emitted(tmp_path, capsys):
    """What comes of the events of `cdp init`, with the definition that the page shows added."""
    write_folder(tmp_path, NOW)
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    file = tmp_path / "definitions.yaml"
    definitions = yaml.safe_load(file.read_text())
    definitions["audiences"] += yaml.safe_load(shown)["audiences"]
    file.write_text(yaml.safe_dump(definitions))
    events = str(tmp_path / "events.ndjson")
    assert main(["replay", "--definitions", str(file), "--events", events]) == 0
    changes = map(json.loads, capsys.readouterr().out.splitlines())
    return {change["message_id"]: change for change in changes}


@pytest.mark.parametrize("text", EXAMPLES, ids=["time", "variant"])
def test_an_example_is_what_the_engine_emits(text, emitted):
    shown = json.loads(text)
    found = emitted[shown["message_id"]]
    assert list(shown) == list(found)
    assert re.fullmatch("[0-9a-f]{12}", shown["definition"])
    assert shown | {"definition": found["definition"]} == found


def test_every_field_is_explained_in_its_order(emitted):
    section = PAGE.split("## A membership change")[1].split("### Cause")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)
    fields = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert all(fields == list(change) for change in emitted.values())


def test_every_cause_is_explained():
    section = PAGE.split("### Cause")[1].split("\n##")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(CAUSES)


def test_every_topic_is_listed_with_its_cleanup_and_retention():
    section = PAGE.split("## Topics")[1].split("\n## ")[0]
    listed = {}
    for row in re.findall(r"^\| (`cdp\.[^\n]*) \|$", section, re.MULTILINE):
        cells = row.split(" | ")
        for name in re.findall(r"`cdp\.([^`]+)`", cells[0]):
            listed[name.replace("<output id>", "{output}")] = cells[-1]
    plans = topic_plans()
    del plans["events"]
    assert listed.keys() == plans.keys()
    for name, plan in plans.items():
        days = int(plan.settings.get("retention.ms", 0)) // 86_400_000
        assert listed[name] == plan.cleanup + (f", kept for {days} days" if days else "")

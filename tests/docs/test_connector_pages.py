"""A page of a connector tells every setting, and its example is one that would be taken."""

import re
from pathlib import Path

import pytest
import yaml

from cdp_stream.connectors.connector import LocalConnector
from cdp_stream.connectors.registry import connector_class
from cdp_stream.connectors.settings import HttpSettings, OutputSettings, secret_fields

DIRECTORY = Path(__file__).parents[2] / "docs" / "connectors"
PAGES = sorted(path for path in DIRECTORY.glob("*.md") if path.stem != "README")


def connector(path):
    return connector_class(path.stem)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_setting_is_told_and_no_other(path):
    made, text = connector(path), path.read_text()
    common = OutputSettings if issubclass(made, LocalConnector) else HttpSettings
    settings = made.output_settings.model_fields.keys() - common.model_fields.keys()
    settings |= made.connection_settings.model_fields.keys()
    (section,) = re.findall(r"^## Settings\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert told == settings


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_accepted_identity_is_told(path):
    accepted = connector(path).identities
    text = path.read_text()
    assert [one for one in accepted or () if f"`{one}`" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_example_would_be_taken(path):
    made, text = connector(path), path.read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    definitions = yaml.safe_load(example)
    (output,) = definitions["outputs"]
    assert output["connector"] == path.stem
    settings = output.get("settings", {})
    made.output_settings.model_validate(settings)
    for name in secret_fields(made.output_settings) & settings.keys():
        assert re.fullmatch(r"\$\{[A-Z_]+\}", settings[name]), name
    for connection in definitions["connections"]:
        assert connection["output"] == output["id"]
        made.connection_settings.model_validate(connection.get("settings", {}))
        assert made.takes_attributes or "user_attributes" not in connection


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_the_deletion_of_an_audience_does_is_told(path):
    assert "\n## Deletion of an audience\n" in path.read_text()

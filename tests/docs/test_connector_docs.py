"""docs/connectors: a page for each connector, its tables from the code, its example accepted."""

import re

import pytest
import yaml

from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.connectors.settings import secret_fields
from tests.docs.connector_pages import FOLDER, made_index, made_part, part_of

REFERENCE = re.compile(r"\$\{[A-Z0-9_]+\}")


def page(name):
    return (FOLDER / f"{name}.md").read_text()


def test_there_is_a_page_for_each_connector():
    pages = {path.stem for path in FOLDER.glob("*.md")}
    assert pages == {*CONNECTORS, "README", "writing"}


@pytest.mark.parametrize("name", CONNECTORS)
def test_the_tables_are_those_of_the_code(name):
    """`python -m tests.docs.connector_pages` writes them anew."""
    assert part_of(page(name)) == made_part(name)


def test_the_index_is_that_of_the_code():
    assert part_of(page("README")) == made_index()


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_page_says_what_is_sent_and_what_deletion_does(name):
    text = page(name)
    assert connector_class(name).summary in text
    for heading in ("## What is sent\n", "## When an audience is deleted\n"):
        assert len(text.split(heading)[1].split("\n## ")[0]) > 10


@pytest.mark.parametrize("name", CONNECTORS)
def test_the_example_is_accepted(name):
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    example = yaml.safe_load(block)
    connector = connector_class(name)
    (output,), (connection,) = example["outputs"], example["connections"]
    assert output["connector"] == name
    assert connection["output"] == output["id"]
    connector.output_settings.model_validate(output["settings"])
    connector.connection_settings.model_validate(connection.get("settings", {}))
    for secret in secret_fields(connector.output_settings) & output["settings"].keys():
        assert REFERENCE.fullmatch(output["settings"][secret])
    if "user_attributes" in connection:
        assert connector.takes_attributes

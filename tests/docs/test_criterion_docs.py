"""Every subject has a page with an example that is right; the operator reference is up to date."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from cdp_stream.definitions import load_text
from cdp_stream.definitions.criteria.criterion_keys import CRITERION_SUBJECTS, EXCLUDE, GROUPS
from cdp_stream.definitions.criteria.tests_on_values import VALUE_OPERATORS
from tests.docs.operators_page import OPERATOR_EXAMPLES, operators_page

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page.name: page.read_text() for page in sorted((DOCS / "criteria").glob("*.md"))}
INDEX = PAGES["README.md"]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
(ACCOUNT,) = BLOCK.findall(INDEX)
EXAMPLES = [
    pytest.param(block[1], id=f"{name}:{text.count(chr(10), 0, block.start()) + 1}")
    for name, text in PAGES.items()
    for block in BLOCK.finditer(text)
]


def file_of(example: str) -> str:
    """A block as a whole file: itself, or an audience of the account on the index page."""
    if example.startswith("version:"):
        return example
    return f"{ACCOUNT}  - id: example\n    criteria:\n{textwrap.indent(example, ' ' * 6)}"


def keys_in(node: object) -> set[str]:
    if isinstance(node, dict):
        return set(node).union(*map(keys_in, node.values()))
    return set().union(*map(keys_in, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right(example: str) -> None:
    loaded = load_text(file_of(example))
    assert [str(problem) for problem in loaded.problems] == []
    assert loaded.account is not None


def test_what_is_wrong_in_an_example_would_be_seen() -> None:
    assert [p.code for p in load_text(file_of("evnt: Play Video\n")).problems] == ["unknown-key"]


@pytest.mark.parametrize("subject", [*CRITERION_SUBJECTS, *GROUPS, EXCLUDE])
def test_a_subject_has_a_page_with_an_example(subject: str) -> None:
    (row,) = re.findall(rf"^\|[^|]*`{subject}`[^|]*\| \[(.+)\]\(\1\) \|$", INDEX, re.MULTILINE)
    page = PAGES[row]
    assert f"`{subject}`" in page.partition("\n")[0]
    used = set().union(*(keys_in(yaml.safe_load(block)) for block in BLOCK.findall(page)))
    assert subject in used


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", INDEX))
    assert linked == set(PAGES) - {"README.md"}


def test_the_reference_of_operators_is_what_the_code_says() -> None:
    assert (DOCS / "operators.md").read_text() == operators_page()


def test_the_reference_has_every_operator() -> None:
    assert {operator for operator, _, _ in OPERATOR_EXAMPLES} == set(VALUE_OPERATORS)

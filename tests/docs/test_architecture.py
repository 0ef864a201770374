"""docs/architecture.md: the files that an event, and a change of definitions, pass."""

import re

import pytest

from tests.docs.console import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")


def steps(heading):
    """The numbered steps of a section."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\d+\. (?:.+\n)(?: +.+\n)*", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "most"),
    [("The way of an event", 25), ("The way of a change of definitions", 10)],
)
def test_a_way_through_the_code_is_short_and_names_files_that_exist(heading, most):
    files = {name for step in steps(heading) for name in re.findall(r"`([\w/]+\.py)`", step)}
    assert most >= len(files) > most // 2
    assert {name for name in files if not (ROOT / "cdp_stream" / name).exists()} == set()


def test_the_steps_of_a_way_are_numbered_throughout():
    for heading in ("The way of an event", "The way of a change of definitions"):
        numbers = [int(step.partition(".")[0]) for step in steps(heading)]
        assert numbers == list(range(1, len(numbers) + 1)) != []

"""The reference of the definition language has every code and word, and its example is right."""

import re
from pathlib import Path

import pytest

from cdp_stream.core.operators import OPERATORS
from cdp_stream.definitions import CODES, load_text
from cdp_stream.definitions.conditions import SOURCES
from cdp_stream.definitions.counts import COUNT_FORMS
from cdp_stream.definitions.criterion_keys import (
    CRITERION_SUBJECTS,
    EVENT_KEYS,
    GROUPS,
    LATER_SUBJECTS,
)
from cdp_stream.definitions.schema import (
    AudienceRecord,
    DocumentRecord,
    InputRecord,
    JourneyRecord,
    MilestoneRecord,
    WorkspaceRecord,
)
from cdp_stream.definitions.subjects import COMMERCE_ACTIONS
from cdp_stream.definitions.windows import ANY_TIME, DATE_OPERATORS

DOCS = Path(__file__).parents[2] / "docs"
LANGUAGE = (DOCS / "definitions.md").read_text()
PROBLEMS = (DOCS / "problems.md").read_text()
RECORDS = (
    DocumentRecord,
    WorkspaceRecord,
    InputRecord,
    AudienceRecord,
    JourneyRecord,
    MilestoneRecord,
)
WORDS = {
    *OPERATORS,
    *DATE_OPERATORS,
    ANY_TIME,
    *COUNT_FORMS,
    *SOURCES,
    *GROUPS,
    *CRITERION_SUBJECTS,
    *LATER_SUBJECTS,
    *EVENT_KEYS,
    *COMMERCE_ACTIONS,
    *(key for record in RECORDS for key in (*record.model_fields, *record.LATER)),
}


def test_every_code_has_a_heading_and_every_heading_is_a_code() -> None:
    assert sorted(re.findall(r"^### (\S+)$", PROBLEMS, re.MULTILINE)) == sorted(CODES)


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_of_the_language_is_in_the_reference(word: str) -> None:
    assert re.search(rf"`[^`\n]*\b{word}\b[^`\n]*`", LANGUAGE)


def test_the_example_of_the_reference_is_right() -> None:
    found = re.search(r"```yaml\n(.*?)```", LANGUAGE, re.DOTALL)
    assert found is not None
    loaded = load_text(found[1])
    assert loaded.problems == []
    assert loaded.account is not None
    assert len(loaded.account.audiences) == 4

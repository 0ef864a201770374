"""The reference of the definition language has every code and word, and its example is right."""

import re
from pathlib import Path

import pytest

from cdp_stream.core.model.criterion import Calculation
from cdp_stream.core.model.operators import OPERATORS
from cdp_stream.definitions import CODES, load_text
from cdp_stream.definitions.account.schema import (
    AbTestRecord,
    AcceptanceRecord,
    AudienceRecord,
    CalculatedAttributeRecord,
    ConnectionRecord,
    DocumentRecord,
    InputRecord,
    JourneyRecord,
    MilestoneRecord,
    OutputRecord,
    VariantRecord,
    WorkspaceRecord,
)
from cdp_stream.definitions.account.subjects import COMMERCE_ACTIONS
from cdp_stream.definitions.criteria.conditions import SOURCES
from cdp_stream.definitions.criteria.consents import REGULATIONS, STATES
from cdp_stream.definitions.criteria.counts import COUNT_FORMS
from cdp_stream.definitions.criteria.criterion_keys import (
    CRITERION_SUBJECTS,
    EVENT_KEYS,
    GROUPS,
    OTHER_KEYS,
)
from cdp_stream.definitions.criteria.places import METRES
from cdp_stream.definitions.criteria.profile_criteria import ATTRIBUTION_FIELDS, LOCATION_FIELDS
from cdp_stream.definitions.criteria.windows import ANY_TIME, DATE_OPERATORS
from cdp_stream.definitions.source.problems import WARNINGS

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
    CalculatedAttributeRecord,
    AbTestRecord,
    VariantRecord,
    OutputRecord,
    ConnectionRecord,
    AcceptanceRecord,
)
WORDS = {
    *OPERATORS,
    *DATE_OPERATORS,
    ANY_TIME,
    *COUNT_FORMS,
    *SOURCES,
    *GROUPS,
    *CRITERION_SUBJECTS,
    *EVENT_KEYS,
    *OTHER_KEYS,
    *COMMERCE_ACTIONS,
    *(calculation.value for calculation in Calculation),
    *LOCATION_FIELDS,
    *ATTRIBUTION_FIELDS,
    *METRES,
    *REGULATIONS,
    *(state for states in STATES.values() for state in states),
    *(key for record in RECORDS for key in record.model_fields),
}


def test_every_code_has_a_heading_and_every_heading_is_a_code() -> None:
    headings = re.findall(r"^### (\S+)$", PROBLEMS, re.MULTILINE)
    assert sorted(headings) == sorted((*CODES, *WARNINGS))


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


def test_the_example_of_connections_is_right() -> None:
    whole, outputs, *_ = re.findall(r"```yaml\n(.*?)```", LANGUAGE, re.DOTALL)
    loaded = load_text(whole + outputs)
    assert loaded.problems == []
    assert loaded.account is not None
    assert [made.id for made in loaded.account.connections] == [
        "paris-premium#Red button@crm-mail",
        "paris-premium@crm-mail",
    ]

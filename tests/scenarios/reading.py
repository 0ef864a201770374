"""Reads the scenarios of this folder, which are files of `cdp test`, for other readers of them.

The short form of `cdp test` has no opt-out and no batch that arrives before the one before it:
those are whole batches. It has no batch without a time, and nothing that arrives after the end:
those are files in `batches/`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cdp_stream.core.plan.plan import Plan
from cdp_stream.definition_tests.case import Case
from cdp_stream.definition_tests.read import load_suites

Json = Any
Change = tuple[int, str, str, str, str | None, int]
"""(effective_at, mpid, action, audience, variant, ordinal)."""
HERE = Path(__file__).parent


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2 as definitions are read: dates are text, booleans only `true` and `false`."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (the loader's own attribute)
        first: [
            (tag, regexp)
            for tag, regexp in resolvers
            if tag.rpartition(":")[2] in ("int", "float", "null")
            or (tag.endswith(":bool") and first in "tTfF")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True, slots=True)
class Scenario:
    """One test of one file.

    Attributes:
        text: The definitions.
        definitions: The same as plain values, for who does not read them as the product does.
        plan: The same as `cdp test` reads them.
        case: The test as `cdp test` reads it.
        batches: In their order, each with the api key of its input.
        until: How far time runs, epoch ms.
        expected: Every change in the order of `cdp replay`; changes of one profile at one instant
            have the ordinals 0, 1, ... in their order.
    """

    text: str
    definitions: Json
    plan: Plan
    case: Case
    batches: list[Json]
    until: int | None
    expected: list[Change]


def scenario_files() -> list[Path]:
    """Every file, by name."""
    return sorted(HERE.glob("*.yaml"))


def read_scenario(path: Path) -> Scenario:
    """The test of a file."""
    loaded = load_suites([path])
    assert loaded.wrong == ()
    (suite,) = loaded.suites
    (case,) = suite.cases
    text = (HERE / "definitions" / path.name).read_text(encoding="utf-8")
    definitions = yaml.load(text, Loader=CoreLoader)
    keys = {
        source["id"]: source["api_key"]
        for workspace in definitions["workspaces"]
        for source in workspace["inputs"]
        if "api_key" in source
    }
    batches = [
        json.loads(line.content)
        | ({} if line.input_id is None else {"api_key": keys[line.input_id]})
        for step in case.steps
        for line in step.lines
    ]
    end = case.steps[-1]
    (listed,) = end.changes
    ordinals: Counter[tuple[int | None, int]] = Counter()
    expected = []
    for change in listed.changes:
        place = (change.at, change.mpid)
        expected.append(
            (change.at, str(change.mpid), change.action, change.audience_id, change.variant,
             ordinals[place])
        )  # fmt: skip
        ordinals[place] += 1
    return Scenario(text, definitions, suite.plan, case, batches, end.at, expected)


def change_of(found: Json) -> Change:
    """A change of a replay or a recount in the form in which scenarios are compared."""
    return (
        found["effective_at"],
        found["mpid"],
        found["action"],
        found["audience_id"],
        found["variant"],
        found["ordinal"],
    )

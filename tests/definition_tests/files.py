"""Test files for the tests of test files."""

from __future__ import annotations

from pathlib import Path

from cdp_stream.definition_tests.read import LoadedSuites, load_suites
from cdp_stream.definition_tests.run import Outcome, run_case

DEFINITIONS = """\
version: 1
account: acme
workspaces:
  - id: shop
    lookback: 30d
    profile_lifetime: unlimited
    inputs:
      - {id: web, kind: platform, api_key: k-web}
      - {id: app, kind: platform}
audiences:
  - {id: buyers, criteria: {commerce: purchase, when: {last: 10s}}}
  - {id: gold, criteria: {user_attribute: plan, equals: gold}}
  - {id: app-visitors, inputs: [app], criteria: {screen_view: any, when: {last: 10s}}}
journeys:
  - id: trial
    milestones:
      - id: began
        criteria: {event: Sign Up}
        then:
          - {id: paid, criteria: {commerce: purchase}}
          - {id: rest, remaining: true}
"""

HEAD = """\
version: 1
definitions: ../definitions.yaml
input: web
start: 2026-01-01
tests:
"""


def write(folder: Path, tests: str, head: str = HEAD) -> Path:
    """A test file beside its definitions."""
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "definitions.yaml").write_text(DEFINITIONS)
    path = folder / "tests" / "shop.yaml"
    path.write_text(head + tests)
    return path


def load(folder: Path, tests: str, head: str = HEAD) -> LoadedSuites:
    """The file, read."""
    return load_suites([write(folder, tests, head)])


def outcomes(folder: Path, tests: str, head: str = HEAD) -> list[Outcome]:
    """The file, read without a problem, and run."""
    loaded = load(folder, tests, head)
    assert loaded.problems == []
    return [run_case(case, suite.plan) for suite in loaded.suites for case in suite.cases]


def outcome(folder: Path, steps: str, head: str = HEAD) -> Outcome:
    """One test with these steps, run."""
    lines = "".join(f"      {line}\n" for line in steps.strip().splitlines())
    (found,) = outcomes(folder, f"  - name: it\n    steps:\n{lines}", head)
    return found

"""Reads test files: every problem of them and of their definitions, in one run.

Source: docs/testing.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cdp_stream.core.plan.build import build_plan
from cdp_stream.core.plan.plan import Plan
from cdp_stream.definition_tests.case import Case, Step, Suite
from cdp_stream.definition_tests.expectations import Expectations
from cdp_stream.definition_tests.instants import Times
from cdp_stream.definition_tests.schema import CaseRecord, SuiteRecord
from cdp_stream.definition_tests.steps import StepReader
from cdp_stream.definitions import Loaded, load_files
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.load import read_documents
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import Problem, Problems, Severity


@dataclass(frozen=True, slots=True)
class LoadedSuites:
    """Test files as read.

    Attributes:
        suites: those without an error, in order.
        problems: of the files and of their definitions, each once, by file, line and column.
        definitions: what the suites are about, each set of files once; for their warnings.
        wrong: the files that have an error themselves or in their definitions, in order, each with
            its problems.
    """

    suites: tuple[Suite, ...]
    problems: list[Problem]
    definitions: tuple[Loaded, ...]
    wrong: tuple[tuple[str, tuple[Problem, ...]], ...]


def load_suites(paths: Iterable[str | Path]) -> LoadedSuites:
    """The tests of files; a folder means its `*.yaml`, by name. Nothing is raised."""
    suites: list[Suite] = []
    definitions: dict[tuple[str, ...], Loaded] = {}
    wrong: list[tuple[str, tuple[Problem, ...]]] = []
    everything = Problems()
    for path in paths:
        unread = Problems()
        files = read_documents([path], unread)
        if not files:
            wrong.append((str(path), tuple(unread.found)))
        everything.found.extend(unread.found)
        for file, document in files:
            problems = Problems([found for found in unread.found if found.file == file])
            read = None if document is None else _suite(file, document, problems)
            everything.found.extend(problems.found)
            if read is None or _has_errors(problems):
                wrong.append((file, tuple(problems.sorted())))
            else:
                suites.append(read[0])
                definitions[read[1].files] = read[1]
    return LoadedSuites(
        tuple(suites), everything.sorted(), tuple(definitions.values()), tuple(wrong)
    )


def _has_errors(problems: Problems) -> bool:
    return any(found.severity is Severity.ERROR for found in problems.found)


def _suite(file: str, document: Mapping, problems: Problems) -> tuple[Suite, Loaded] | None:
    """The tests of one file and their definitions; None when either has an error."""
    read = read_record(SuiteRecord, document, "", problems)
    if read is None:
        return None
    loaded = _definitions(read, Path(file).parent, problems)
    account = None if loaded is None else loaded.account
    plan = None if account is None else build_plan(account)
    tests = read.items("tests")
    if not tests and "tests" not in read.wrong:
        problems.error(
            "empty-list", read.mark("tests"), "tests", "there is no test", "add one under `tests:`"
        )
    cases = [_case(node, path, read, file, plan, problems) for node, path in tests]
    _note_same_names(cases, problems)
    if loaded is None or plan is None:
        return None
    return Suite(file, plan, tuple(case for case in cases if case is not None)), loaded


def _definitions(read: Read[SuiteRecord], folder: Path, problems: Problems) -> Loaded | None:
    """The definitions that the file names, relative to its folder; None when it names none.

    Their own problems are noted too.
    """
    if "definitions" in read.wrong:
        return None
    node: Node = read.record.definitions
    items = node.items if isinstance(node, Sequence) else [node]
    paths: list[str] = []
    for item in items:
        if isinstance(item, Scalar) and isinstance(item.value, str):
            paths.append(os.path.normpath(folder / item.value))
        else:
            problems.wrong_type(item, "definitions", "the path of a definition file")
    if not items:
        advice = "name the definition files, relative to this one"
        problems.error("empty-list", node.mark, "definitions", "the list is empty", advice)
    if len(paths) != len(items) or not paths:
        return None
    loaded = load_files(paths)
    problems.found.extend(loaded.problems)
    return loaded


def _case(
    node: Node,
    path: str,
    suite: Read[SuiteRecord],
    file: str,
    plan: Plan | None,
    problems: Problems,
) -> Case | None:
    read = read_record(CaseRecord, node, path, problems)
    if read is None:
        return None
    name = read.record.name
    if not name and "name" not in read.wrong:
        problems.error("missing-key", read.node.mark, path, "the test has no name", "add `name:`")
    start = _start(read, suite, problems)
    times = Times(start, problems)
    audiences = None if plan is None else [audience.id for audience in plan.audiences]
    reader = StepReader(
        Path(file).parent,
        times,
        Expectations(audiences, times, problems),
        None if plan is None else plan.inputs,
        problems,
    )
    default = reader.input_of(suite.node, "", None)
    default = reader.input_of(read.node, path, default)
    steps = [reader.read(item, at, default) for item, at in read.items("steps")]
    case = Case(name or "", read.node.mark, tuple(step for step in steps if step is not None))
    if "steps" not in read.wrong and not any(map(_expects, case.steps)):
        message = "the test expects nothing, so it could not fail"
        advice = "add a step with `expect`, `members`, `not_members` or `changes`"
        problems.error("no-expectation", read.node.mark, path, message, advice)
    return case


def _start(read: Read[CaseRecord], suite: Read[SuiteRecord], problems: Problems) -> int | None:
    """What offsets count from: the test's own `start`, else the file's."""
    own: Node | None = read.record.start
    if own is not None:
        return Times(None, problems).instant(own, f"{read.path}.start")
    shared: Node | None = suite.record.start
    return None if shared is None else Times(None, problems).instant(shared, "start")


def _expects(step: Step) -> bool:
    return bool(step.members or step.changes or step.rejected)


def _note_same_names(cases: list[Case | None], problems: Problems) -> None:
    seen: dict[str, Case] = {}
    for case in cases:
        if case is None or not case.name:
            continue
        earlier = seen.setdefault(case.name, case)
        if earlier is not case:
            message = f"a test at line {earlier.mark.line} is called `{shown(case.name)}` too"
            advice = "name the difference in the name"
            problems.error("duplicate-id", case.mark, "tests", message, advice)

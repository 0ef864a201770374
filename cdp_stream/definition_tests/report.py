"""What became of the tests: as text for people, as one object, as JUnit XML.

Source: docs/testing.md, results.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from cdp_stream.definition_tests.diff import instant_text
from cdp_stream.definition_tests.run import Failure, Outcome
from cdp_stream.definitions.source.nodes import shown
from cdp_stream.definitions.source.problems import Problem, Severity
from cdp_stream.errors import counted

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file.

    Attributes:
        outcomes: of its tests, in order; none where the file could not be used.
        problems: of the file and its definitions; only where they could not be used.
    """

    file: str
    outcomes: tuple[Outcome, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def failed(self) -> int:
        """How many tests failed."""
        return sum(not outcome.passed for outcome in self.outcomes)


def diff_text(failures: Sequence[Failure]) -> str:
    """The failures of a test, each with its place and what was expected beside what is."""
    lines = []
    for failure in failures:
        at = "" if failure.at is None else f" at {instant_text(failure.at)}"
        lines.append(f"line {failure.mark.line}: {failure.title}{at}")
        lines.extend(f"  {line}" for line in failure.lines)
    return "\n".join(lines)


def as_text(results: Sequence[FileResult]) -> str:
    """A line for each test, the diff of those that failed, and the sum."""
    lines = []
    for result in results:
        for outcome in result.outcomes:
            mark = outcome.case.mark
            verdict = "ok  " if outcome.passed else "FAIL"
            lines.append(f"{verdict} {result.file}:{mark.line}: {shown(outcome.case.name, 200)}")
            if not outcome.passed:
                lines.extend(f"     {line}" for line in diff_text(outcome.failures).splitlines())
    lines.append(summary(results))
    return "\n".join(lines)


def summary(results: Sequence[FileResult]) -> str:
    """The last line."""
    failed = sum(result.failed for result in results)
    total = sum(len(result.outcomes) for result in results)
    wrong = sum(bool(result.problems) for result in results)
    parts = [f"{total - failed} passed", f"{failed} failed"]
    if wrong:
        parts.append(f"{counted(wrong, 'file')} not run")
    return ", ".join(parts)


def as_json(results: Sequence[FileResult]) -> dict[str, Any]:
    """The object of `cdp test --json`."""
    failed = sum(result.failed for result in results)
    tests = [
        {
            "name": outcome.case.name,
            "file": result.file,
            "line": outcome.case.mark.line,
            "passed": outcome.passed,
            "diff": None if outcome.passed else diff_text(outcome.failures),
        }
        for result in results
        for outcome in result.outcomes
    ]
    return {"passed": len(tests) - failed, "failed": failed, "tests": tests}


def as_junit(results: Sequence[FileResult]) -> bytes:
    """JUnit XML: a suite for each file, an error for a file that could not be used."""
    root = ET.Element("testsuites", {"name": "cdp test"} | _counts(results))
    for result in results:
        counts = _counts([result])
        suite = ET.SubElement(root, "testsuite", {"name": _xml_text(result.file)} | counts)
        for outcome in result.outcomes:
            case = _testcase(suite, result.file, outcome.case.name, outcome.case.mark.line)
            if not outcome.passed:
                titles = ", ".join(dict.fromkeys(found.title for found in outcome.failures))
                failure = ET.SubElement(case, "failure", message=_xml_text(titles))
                failure.text = _xml_text(diff_text(outcome.failures))
        if result.problems:
            case = _testcase(suite, result.file, "the file can be used", 1)
            errors = [found for found in result.problems if found.severity is Severity.ERROR]
            error = ET.SubElement(case, "error", message=_xml_text(errors[0].message))
            error.text = _xml_text("\n".join(map(str, errors)))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _counts(results: Sequence[FileResult]) -> dict[str, str]:
    errors = sum(bool(result.problems) for result in results)
    return {
        "tests": str(sum(len(result.outcomes) for result in results) + errors),
        "failures": str(sum(result.failed for result in results)),
        "errors": str(errors),
        "skipped": "0",
    }


def _testcase(suite: ET.Element, file: str, name: str, line: int) -> ET.Element:
    return ET.SubElement(
        suite,
        "testcase",
        name=_xml_text(name),
        classname=_xml_text(file),
        file=_xml_text(file),
        line=str(line),
    )


def _xml_text(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return _NOT_IN_XML.sub("\ufffd", text)

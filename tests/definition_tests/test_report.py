"""Results as text, as one object, as JUnit XML."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cdp_stream.definition_tests.read import load_suites
from cdp_stream.definition_tests.report import FileResult, as_json, as_junit, as_text
from cdp_stream.definition_tests.run import run_case
from tests.definition_tests.files import write

TESTS = """\
  - name: "holds & <is>"
    steps: [{profile: 7, user_attributes: {plan: gold}, expect: {gold: [7]}}]
  - {name: "bell \\a", steps: [{at: 0s, expect: {gold: [7]}}]}
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[FileResult]:
    monkeypatch.chdir(tmp_path)
    write(Path(), TESTS)
    loaded = load_suites(["tests/shop.yaml", "none.yaml"])
    return [
        *(FileResult(s.file, tuple(run_case(c, s.plan) for c in s.cases)) for s in loaded.suites),
        *(FileResult(file, (), problems) for file, problems in loaded.wrong),
    ]


def test_text_has_a_line_for_each_test_and_the_sum(results: list[FileResult]) -> None:
    assert as_text(results).splitlines() == [
        "ok   tests/shop.yaml:6: holds & <is>",
        "FAIL tests/shop.yaml:8: bell \\x07",
        "     line 8: gold at 2026-01-01T00:00:00Z",
        "       - 7  expected, is not a member",
        "1 passed, 1 failed, 1 file not run",
    ]


def test_the_object_has_every_test(results: list[FileResult]) -> None:
    assert as_json(results) == {
        "passed": 1,
        "failed": 1,
        "tests": [
            {
                "name": "holds & <is>",
                "file": "tests/shop.yaml",
                "line": 6,
                "passed": True,
                "diff": None,
            },
            {
                "name": "bell \a",
                "file": "tests/shop.yaml",
                "line": 8,
                "passed": False,
                "diff": "line 8: gold at 2026-01-01T00:00:00Z\n  - 7  expected, is not a member",
            },
        ],
    }


def test_junit_has_a_suite_for_each_file_and_only_what_xml_can_hold(
    results: list[FileResult],
) -> None:
    root = ET.fromstring(as_junit(results))
    assert root.attrib == {
        "name": "cdp test",
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    shop, none = root.findall("testsuite")
    assert [case.get("name") for case in shop.findall("testcase")] == [
        "holds & <is>",
        "bell \ufffd",
    ]
    (failure,) = shop.iter("failure")
    assert failure.get("message") == "gold"
    assert failure.text == "line 8: gold at 2026-01-01T00:00:00Z\n  - 7  expected, is not a member"
    assert none.attrib == {
        "name": "none.yaml",
        "tests": "1",
        "failures": "0",
        "errors": "1",
        "skipped": "0",
    }
    (error,) = none.iter("error")
    assert "unreadable-file" in (error.text or "")

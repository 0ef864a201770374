"""Every setting, metric, reject reason and problem code has its place in the documentation."""

import dataclasses
import re

import pytest

from cdp_stream.definitions.problems import CODES
from cdp_stream.formats.rejects import Reason
from cdp_stream.kafka.metrics import Metrics
from cdp_stream.settings import Settings, load_settings
from tests.docs.console import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def headings(text: str) -> list[str]:
    return re.findall(r"^### (\S+)$", text, re.MULTILINE)


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (?:`([^`]+)`)? ?\| (?:`([^`]+)`|none) \|",
        page("settings.md"),
        re.MULTILINE,
    )
    fields = dataclasses.fields(Settings)
    assert [row[0] for row in rows] == [field.name for field in fields]
    for name, variable, flag, default in rows:
        assert variable == f"CDP_{name.upper()}"
        assert flag in ("", "--" + name.replace("_", "-"))
        if default:
            settings, _ = load_settings({name: default}, {})
            assert getattr(settings, name) == getattr(Settings(), name)


def test_every_metric_is_documented_with_its_kind_and_labels() -> None:
    rows = re.findall(r"^\| `(cdp_\w+)` \| (\w+) \| ([^|]*)\|", page("metrics.md"), re.MULTILINE)
    documented = {
        name: (kind, frozenset(re.findall(r"`(\w+)`(?! ?,? ?\w*\))", labels.split("(")[0])))
        for name, kind, labels in rows
    }
    metrics = Metrics()
    known = {}
    for collector, names in metrics.registry._collector_to_names.items():
        (described,) = collector.describe()
        name = described.name + ("_total" if described.type == "counter" else "")
        assert name in names
        known[name] = (described.type, frozenset(getattr(collector, "_labelnames", ())))
    assert documented == known


@pytest.mark.parametrize("reason", Reason)
def test_every_reject_reason_is_documented(reason: Reason) -> None:
    assert reason.value in headings(page("events.md"))


def test_no_other_reject_reason_is_documented() -> None:
    known = {reason.value for reason in Reason}
    assert {name for name in headings(page("events.md")) if "_" in name} <= known


def test_every_problem_code_is_documented() -> None:
    assert sorted(headings(page("problems.md"))) == sorted(CODES)


def test_every_page_is_in_the_index() -> None:
    index = page("README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()

"""Every setting and metric has its place in the documentation, and every page in the index."""

import dataclasses
import re

from cdp_stream.core.identity_types import IDENTITY_TYPES, OTHER_SPELLINGS
from cdp_stream.observability.metrics import Metrics
from cdp_stream.settings import Settings, load_settings
from cdp_stream.sinks.child import ChildMetrics
from cdp_stream.sinks.reporting.metrics import SinkMetrics
from tests.docs.console import ROOT


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


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
    registries = (Metrics().registry, SinkMetrics().registry)
    known = {
        f"{metric.name}_total": (metric.type, frozenset()) for metric in ChildMetrics().collect()
    }
    of_both = (item for one in registries for item in one._collector_to_names.items())
    for collector, names in of_both:
        if not any(name.startswith("cdp_") for name in names):
            continue
        (described,) = collector.describe()
        name = described.name + ("_total" if described.type == "counter" else "")
        assert name in names
        known[name] = (described.type, frozenset(getattr(collector, "_labelnames", ())))
    assert documented == known


def test_every_page_is_in_the_index() -> None:
    index = page("README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_every_identity_type_is_documented_with_its_spellings() -> None:
    section = page("events.md").split("### Identity types")[1].split("\n## ")[0]
    known: dict[str, set[str]] = {name: set() for name in IDENTITY_TYPES}
    for spelling, name in OTHER_SPELLINGS.items():
        known[name].add(spelling)
    numbers = range(2, 11)
    documented = {
        f"other_id_{number}": {f"other{number}"}
        for number in numbers
        if "`other_id_2` to `other_id_10` | `other2` to `other10`" in section
    }
    for types, spellings in re.findall(r"^\| (`[^|]*) \|([^|]*)\|$", section, re.MULTILINE):
        names, others = re.findall(r"`(\w+)`", types), set(re.findall(r"`(\w+)`", spellings))
        for name in names:
            near = others if len(names) == 1 else {one for one in others if one in known[name]}
            documented.setdefault(name, near)
    assert documented == known

"""What the documentation shows is what the commands print, and its links lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml

from cdp_stream.definitions import load_files, load_text
from cdp_stream.lint import warnings_of
from tests.docs.console import ROOT, Session, run, sessions_of, without_digests

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "examples").glob("*/README.md")),
)
SESSIONS = [session for page in PAGES for session in sessions_of(page)]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda s: f"{s.page}:{s.line}")
def test_a_shown_command_prints_what_is_shown(session: Session, tmp_path: Path) -> None:
    assert session.commands
    assert without_digests(run(session, tmp_path)) == without_digests(session.printed)


def test_the_examples_show_commands() -> None:
    pages = {session.page for session in SESSIONS}
    assert pages >= {"examples/cdnow/README.md", "examples/travel/README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for target in _LINK.findall((ROOT / page).read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (fragment and fragment not in _anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*/definitions.yaml")), ids=str)
def test_examples_have_no_problems(path: Path) -> None:
    loaded = load_files([path])
    assert loaded.problems == []
    assert loaded.account is not None
    assert [warning for warning in warnings_of(loaded) if warning.accepted is None] == []


def test_the_definitions_in_the_readme_are_right() -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)
    frame = {
        "version": 1,
        "account": "readme",
        "workspaces": [
            {"id": "w", "lookback": "unlimited", "inputs": [{"id": "web", "kind": "platform"}]}
        ],
    }
    document = frame | yaml.safe_load("".join(shown))
    document["audiences"].append({"id": "repeat", "criteria": {"commerce": "purchase"}})
    assert load_text(yaml.safe_dump(document)).problems == []


def _anchors(file: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    kept = (
        re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(file.read_text())
    )
    return {heading.strip().replace(" ", "-") for heading in kept}

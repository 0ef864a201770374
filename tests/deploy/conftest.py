"""Tests that need promtool are left out where there is none; in CI its absence fails them."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.brokers.fixtures import REPORT
from tests.docs.console import ROOT

Ran = subprocess.CompletedProcess[str]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if shutil.which("promtool") is not None or os.environ.get("CI"):
        return
    without = [item for item in items if "promtool" in getattr(item, "fixturenames", ())]
    if without:
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=without)
        config.stash[REPORT].append(
            f"{len(without)} tests left out: there is no promtool (Debian's package prometheus)"
        )


@pytest.fixture
def promtool() -> Callable[..., Ran]:
    """Runs promtool where the rules are."""

    def run(*arguments: object) -> Ran:
        return subprocess.run(
            ["promtool", *map(str, arguments)],
            cwd=ROOT / "deploy/prometheus",
            capture_output=True,
            text=True,
            check=False,
        )

    return run

"""Whoever runs the tests draws the examples that everybody draws."""

import os
import subprocess
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).parents[2]


def test_examples_do_not_depend_on_chance():
    assert settings.get_profile("dev").derandomize
    assert not settings.get_profile("soak").derandomize


def test_make_fixes_the_order_of_sets():
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONHASHSEED"}
    command = ["make", "-s", "--eval", "show: ; @echo $$PYTHONHASHSEED", "show"]
    shown = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "0\n"

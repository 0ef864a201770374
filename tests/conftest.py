"""What every test shares: the brokers, and how hard hypothesis tries."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.brokers.fixtures", "tests.distribution"]

# Tests start some hundred processes: each would compile all that it imports, three quarters of its
# start, if a variable of the shell kept the first from leaving it to the others.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples in every run and on every machine: what fails here fails for everybody.
settings.register_profile(
    "dev",
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# What `make soak` runs: examples that nobody has seen, as many as asked for.
settings.register_profile(
    "soak",
    max_examples=int(os.environ.get("EXAMPLES") or 5_000),
    deadline=None,
    derandomize=False,  # hypothesis' own default depends on where it runs
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A soak takes as long as it takes: the tests' own time limits are for fewer examples."""
    if settings.get_current_profile_name() == "soak":
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)

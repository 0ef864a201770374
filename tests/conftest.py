"""What every test shares: the brokers, and how hard hypothesis tries."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.brokers.fixtures"]

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev")
)

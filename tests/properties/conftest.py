"""Hypothesis profiles: `dev` by default, `ci` with HYPOTHESIS_PROFILE=ci."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis.errors import InvalidArgument

try:
    settings.get_profile("dev")
    settings.get_profile("ci")
except InvalidArgument:
    settings.register_profile("dev", max_examples=50)
    settings.register_profile("ci", max_examples=400, derandomize=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

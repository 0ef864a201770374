"""The suite's own asserts are explained like those of a test module."""

import pytest

pytest.register_assert_rewrite(
    "tests.connectors.conformance", "tests.connectors.conformance_local", "tests.partners.partner"
)

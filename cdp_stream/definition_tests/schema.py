"""The records of a test file: their keys and which of them are required.

Source: docs/testing.md, the file.
"""

from __future__ import annotations

from typing import Any

from cdp_stream.definitions.account.schema import Nodes, Record, Version


class SuiteRecord(Record):
    """A whole test file."""

    NODES = frozenset({"definitions", "start", "tests"})

    version: Version
    definitions: Any
    start: Any = None
    input: str | None = None
    tests: Nodes


class CaseRecord(Record):
    """One test; `name` is asked for by its reader."""

    NODES = frozenset({"start", "steps"})

    name: str | None = None
    start: Any = None
    input: str | None = None
    steps: Nodes

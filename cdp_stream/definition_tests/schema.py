"""The records of a test file: their keys and which of them are required.

Source: docs/testing.md, the file.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator

from cdp_stream.definitions.schema import Nodes, Record, checked_version


class SuiteRecord(Record):
    """A whole test file."""

    NODES = frozenset({"definitions", "start", "tests"})

    version: Annotated[int, PlainValidator(checked_version)]
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

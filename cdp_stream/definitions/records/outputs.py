"""Reads outputs: a connector, and what it has to know of the partner.

Source: docs/definitions.md, outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cdp_stream.connectors.connector import Connector
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.core.model.connection import Output
from cdp_stream.definitions.account.ids import Ids
from cdp_stream.definitions.account.records import read_record
from cdp_stream.definitions.account.schema import OutputRecord
from cdp_stream.definitions.records.connector_settings import read_settings
from cdp_stream.definitions.source.nodes import Node, shown
from cdp_stream.definitions.source.problems import Problems

ConnectorClass = type[Connector[Any, Any]]


@dataclass(frozen=True, slots=True)
class OutputRead:
    """An output as written; `connector` None where it names none that exists."""

    output: Output
    connector: ConnectorClass | None


@dataclass(slots=True)
class Outputs:
    """The outputs that were read.

    Attributes:
        complete: whether every one is known; otherwise a reference to an unknown one is no problem.
    """

    by_id: dict[str, OutputRead] = field(default_factory=dict)
    complete: bool = True


class OutputReader:
    """Reads outputs over all files; their ids are a namespace of their own."""

    def __init__(self, problems: Problems) -> None:
        self.outputs = Outputs()
        self._problems = problems
        self._ids = Ids("the output", problems)

    def read(self, node: Node, path: str) -> None:
        """Read one; what is wrong with it is noted."""
        read = read_record(OutputRecord, node, path, self._problems)
        if read is None or "id" in read.wrong:
            self.outputs.complete = False
        if read is None:
            return
        connector = None
        if "connector" not in read.wrong:
            value = read.node.entries["connector"].value
            connector = self._connector(read.record.connector, value, f"{path}.connector")
        settings: dict[str, Any] = {}
        if connector is not None:
            model, at = connector.output_settings, f"{path}.settings"
            value_or_none = read.node.get("settings")
            settings = read_settings(value_or_none, read.node.mark, at, model, self._problems)
        name = read.record.id
        if "id" not in read.wrong and self._ids.claim(name, read.mark("id"), f"{path}.id"):
            output = Output(name, read.record.connector, settings)
            self.outputs.by_id[name] = OutputRead(output, connector)

    def _connector(self, name: str, node: Node, path: str) -> ConnectorClass | None:
        if name in CONNECTORS:
            return connector_class(name)
        message = f"there is no connector `{shown(name)}`"
        advice = self._problems.near_or_list(name, CONNECTORS)
        self._problems.error("unknown-reference", node.mark, path, message, advice)
        return None

"""Partitions whose profiles were moved."""

from dataclasses import replace

from cdp_stream.core.engine.migration import Wired, catalog_of
from cdp_stream.formats.definitions_row import (
    DEFINITIONS_KEY,
    PartitionDefinitions,
    encode_definitions,
)
from tests.partition.records import plan


def in_force(version, epoch=1, swept=1, outputs=()):
    catalog = catalog_of(plan())
    connections = {
        f"played@{output}": Wired(f"played@{output}", "played", output, "log", None, None, "{}", ())
        for output in outputs
    }
    catalog = replace(catalog, connections=connections)
    state = PartitionDefinitions(version, 5, 5, epoch, swept, catalog, {})
    return {DEFINITIONS_KEY: encode_definitions(state)}

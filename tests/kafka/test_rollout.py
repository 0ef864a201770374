"""How far a partition is with applied definitions, by its row."""

import pytest

from cdp_stream.core.engine.migration import Catalog
from cdp_stream.formats.definitions_row import PartitionDefinitions
from cdp_stream.kafka.definitions.in_force import Step, step_of


@pytest.mark.parametrize(
    ("version", "slots", "swept", "step"),
    [
        ("6", {"a", "b"}, 3, Step.WAITING),
        ("files-0123", {"a", "b"}, 3, Step.WAITING),
        ("7", {"a"}, 2, Step.READING),
        ("7", {"a", "b"}, 2, Step.MIGRATING),
        ("7", {"a", "b", "more"}, 3, Step.IN_FORCE),
        ("8", set(), 2, Step.IN_FORCE),
    ],
)
def test_a_partition_is_done_with_all_history_and_all_rows(version, slots, swept, step):
    catalog = Catalog({}, {}, frozenset(slots), {})
    row = PartitionDefinitions(version, 0, 0, epoch=3, swept=swept, catalog=catalog, past={})
    assert step_of(row, 7, {"a", "b"}) is step

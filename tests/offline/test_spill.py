"""Sorting gives the same order whether or not it needs the disk."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.errors import DiskError
from cdp_stream.offline.spill import Sorted, SpillingSorter

ids = st.integers(-(2**63), 2**63 - 1)
records = st.builds(
    Sorted,
    st.integers(0, 3) | ids,
    st.integers(-2, 2) | ids,
    st.integers(0, 3),
    st.sampled_from([b"", b"a", b"\n" * 300]),
)


def in_order(given_records: list[Sorted], run_bytes: int) -> list[Sorted]:
    with SpillingSorter(run_bytes) as sorter:
        for record in given_records:
            sorter.add(record)
        return list(sorter)


@given(st.lists(records, max_size=40), st.sampled_from([1, 500, 2_000, 10**9]))
def test_the_order_does_not_depend_on_the_disk(some: list[Sorted], run_bytes: int) -> None:
    assert in_order(some, run_bytes) == sorted(some)


def test_instant_then_profile_as_a_number_then_ordinal() -> None:
    rows = [(2, 1, 0), (1, 10, 0), (1, 9, 1), (1, 9, 0), (1, -3, 0), (1, -20, 0), (1, 0, 0)]
    found = in_order([Sorted(*row, b"") for row in rows], run_bytes=1)
    assert [record[:3] for record in found] == [
        (1, -20, 0),
        (1, -3, 0),
        (1, 0, 0),
        (1, 9, 0),
        (1, 9, 1),
        (1, 10, 0),
        (2, 1, 0),
    ]


def test_a_disk_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with SpillingSorter(1) as sorter, pytest.raises(DiskError, match="set TMPDIR"):
        sorter.add(Sorted(1, 1, 0, b"x"))

"""One worker to a data directory."""

import subprocess
import sys

import pytest

from cdp_stream.errors import DiskError, UsageError
from cdp_stream.store.data_directory import hold_data_directory

HOLD = """
import sys
from pathlib import Path
from cdp_stream.store.data_directory import hold_data_directory
with hold_data_directory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_is_made_and_let_go_of(tmp_path):
    for _ in range(2):
        with hold_data_directory(tmp_path / "a" / "b"):
            assert (tmp_path / "a" / "b").is_dir()


def test_another_process_with_the_same_directory_is_refused_until_the_first_is_dead(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)  # fmt: skip
    try:
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(UsageError, match=f"process {other.pid}.*a --data-dir of its own"),
            hold_data_directory(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with hold_data_directory(tmp_path):
        pass


def test_a_place_where_no_directory_can_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="choose another --data-dir"), (
        hold_data_directory(tmp_path / "file")
    ):  # fmt: skip
        pass

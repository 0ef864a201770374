"""One worker to a data directory."""

import os
import subprocess
import sys

import pytest

from cdp_stream.errors import DiskError, UsageError
from cdp_stream.store.data_directory import hold_data_directory, is_open_to_others
from tests.store.stores import filled

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


def test_a_place_where_no_directory_can_be_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="choose another --data-dir"), (
        hold_data_directory(tmp_path / "file")
    ):  # fmt: skip
        pass


def modes(*paths):
    return [path.stat().st_mode & 0o777 for path in paths]


def test_what_is_made_is_nobody_else_s_and_what_is_there_stays(tmp_path):
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    there.chmod(0o755)
    previous = os.umask(0o022)
    try:
        with hold_data_directory(there / "a" / "b"):
            made = [there, there / "a", there / "a" / "b", there / "a" / "b" / "worker.lock"]
            assert modes(*made) == [0o755, 0o700, 0o700, 0o600]
    finally:
        os.umask(previous)
    assert [is_open_to_others(one) for one in made[:2]] == [True, False]
    there.chmod(0o770)  # as a volume of Kubernetes is
    assert not is_open_to_others(there)


def test_the_folders_of_rows_are_nobody_else_s(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    filled(tmp_path / "open" / "rows", rows=1)
    assert modes(tmp_path / "open" / "rows", tmp_path / "open" / "rows" / "0") == [0o700, 0o700]

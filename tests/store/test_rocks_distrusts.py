"""Rows that are not certain to be the changelog's are thrown away, whatever happened to them."""

import os
import random
import resource
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdp_stream.errors import DiskError
from cdp_stream.store.damage import StoreDamagedError
from cdp_stream.store.rocks_rows import RocksRows
from tests.store.stores import HOUR, LOG, Clock, filled, opened

ROWS = 2_000


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("healthy")
    return folder, filled(folder, ROWS)


def survives(directory, model):
    """Open; the rows are those at the position that is told, or damage is noticed."""
    store, found = opened(directory)
    try:
        single = {key: value for key in model if (value := store.rows(0).get(key)) is not None}
        rows = dict(store.rows(0).items())
        assert single == rows
    except StoreDamagedError:
        store.drop(0)
        assert store.open(0, LOG).position == 0
        rows, found = dict(store.rows(0).items()), None
    keys = list(model)[: found.position if found else 0]
    assert rows == {key: model[key] for key in keys}
    store.load(0, {b"new": b"1"}, 1)
    assert store.rows(0)[b"new"] == b"1"
    store.close()


def test_a_healthy_store_is_kept(healthy, tmp_path):
    folder, model = healthy
    shutil.copytree(folder, tmp_path / "copy")
    store, found = opened(tmp_path / "copy")
    assert (found.position, found.discarded) == (ROWS, "")
    assert dict(store.rows(0).items()) == model
    store.close()


@given(seed=st.integers(0, 10**9), kind=st.sampled_from(["flip", "cut", "delete", "empty", "junk"]))
@settings(max_examples=min(120, settings().max_examples * 2))
@example(seed=0, kind="delete")
def test_a_file_that_is_damaged_gives_no_wrong_row(healthy, tmp_path_factory, seed, kind):
    folder, model = healthy
    copy = tmp_path_factory.mktemp("damaged") / "copy"
    shutil.copytree(folder, copy)
    draw = random.Random(seed)
    files = sorted(path for path in (copy / "0").iterdir() if path.is_file())
    victim = draw.choice(files)
    content = bytearray(victim.read_bytes())
    place = draw.randrange(len(content) + 1)
    if kind == "flip" and content:
        content[min(place, len(content) - 1)] ^= 1 << draw.randrange(8)
        victim.write_bytes(content)
    elif kind == "cut":
        os.truncate(victim, place)
    elif kind == "delete":
        victim.unlink()
    elif kind == "empty":
        victim.write_bytes(b"")
    else:
        victim.write_bytes(bytes(content[:place]) + draw.randbytes(100) + bytes(content[place:]))
    survives(copy, model)
    shutil.rmtree(copy.parent)


@pytest.mark.parametrize("kind", [5, 6, 7, 8])
@pytest.mark.parametrize("length", [0, 90, 6004, 65535])
@pytest.mark.parametrize("place", [0, -346, None])
def test_a_manifest_that_rocksdb_would_read_without_end_is_damage(
    healthy, tmp_path, kind, length, place
):
    folder, model = healthy
    shutil.copytree(folder, tmp_path / "copy")
    (manifest,) = (tmp_path / "copy/0").glob("MANIFEST-*")
    content = manifest.read_bytes()
    place = len(content) if place is None else place % len(content)
    header = struct.pack("<IHB", 1, length, kind)
    manifest.write_bytes(content[:place] + header + content[place:])
    survives(tmp_path / "copy", model)


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": "other.profiles-changelog"},
        {"cluster": "d"},
        {"topic_id": "cd34"},
        {"row_version": 2},
    ],
)
def test_rows_of_another_log_or_format_are_not_used(healthy, tmp_path, wrong):
    shutil.copytree(healthy[0], tmp_path / "copy")
    store, found = opened(tmp_path / "copy", log=replace(LOG, **wrong))
    assert found.position == 0
    assert found.discarded.startswith(f"foreign: {next(iter(wrong))} ")
    assert dict(store.rows(0).items()) == {}
    store.close()


def test_rows_of_another_partition_are_not_used(healthy, tmp_path):
    shutil.copytree(healthy[0] / "0", tmp_path / "3")
    store, found = opened(tmp_path, partition=3)
    assert found.discarded == "foreign: partition 0 instead of 3"
    store.close()


def test_a_directory_that_is_no_database_is_begun_anew(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "CURRENT").write_text("nonsense")
    store, found = opened(tmp_path)
    assert (found.position, found.discarded[:9]) == (0, "damaged: ")
    store.close()
    shutil.rmtree(tmp_path / "0")
    (tmp_path / "0").write_text("a file where a directory should be")
    store, found = opened(tmp_path)
    assert found.position == 0
    store.close()


@pytest.mark.parametrize(
    ("away", "kept"), [(11 * HOUR, True), (13 * HOUR, False), (-HOUR, False), (-1_000, True)]
)
def test_rows_that_were_left_alone_for_long_are_read_anew(tmp_path, away, kept):
    clock = Clock()
    filled(tmp_path, 10, clock)
    clock.now += away
    store, found = opened(tmp_path, clock)
    assert (found.position > 0, found.discarded) == (
        kept, "" if kept else f"last written {away / HOUR:.1f} hours ago",
    )  # fmt: skip
    store.close()


def test_rows_that_are_held_and_up_to_date_do_not_grow_old(tmp_path):
    clock = Clock()
    filled(tmp_path, 10, clock)
    store, found = opened(tmp_path, clock)
    assert store.aging() == {}
    for _ in range(30):
        clock.now += HOUR
        assert store.aging() == {0: 500}
        store.refresh(0, 500, clock.now)
        store.tidy()
    store.close()
    clock.now += HOUR
    store, again = opened(tmp_path, clock)
    assert (again, again.position) == (found, 500)
    store.close()


def test_rows_that_have_moved_on_meanwhile_are_not_refreshed_nor_are_they_by_tidying(tmp_path):
    clock = Clock()
    store, _ = opened(tmp_path, clock)
    store.load(0, {b"1": b"a"}, 1)
    clock.now += 13 * HOUR
    store.refresh(0, 0, clock.now)
    store.refresh(1, 0, clock.now)  # of a partition that is held no more
    store.tidy()
    store.close()
    store, found = opened(tmp_path, clock)
    assert found.discarded == "last written 13.0 hours ago"
    store.close()


def test_what_a_worker_writes_after_it_was_cut_off_is_as_old_as_its_session(tmp_path):
    clock, session = Clock(), Clock()
    store = RocksRows(tmp_path, clock, memory=8 * 1024 * 1024, lease_ms=session)
    store.open(0, LOG)
    store.load(0, {b"1": b"a"}, 1)
    clock.now += 13 * HOUR  # it was stopped for so long, and finds an answer from before
    store.write(0, {b"2": b"b"})
    store.confirm(0, 1, 2)
    store.close()
    store, found = opened(tmp_path, clock)
    assert found.discarded == "last written 13.0 hours ago"
    store.close()


def test_partitions_that_went_elsewhere_are_removed_after_an_hour(tmp_path):
    clock = Clock()
    store, _ = opened(tmp_path, clock)
    store.open(1, LOG)
    store.let_go(1)
    clock.now = int((tmp_path / "1").stat().st_mtime * 1000) + HOUR // 2
    store.tidy()
    assert (tmp_path / "1").exists()
    clock.now += HOUR
    store.tidy()
    assert not (tmp_path / "1").exists()
    assert (tmp_path / "0").exists()
    store.close()


def test_what_was_not_confirmed_is_lost_after_a_reopening(tmp_path):
    store, _ = opened(tmp_path)
    store.load(0, {b"1": b"a"}, 1)
    store.write(0, {b"1": b"b", b"2": b"c"})
    store.let_go(0)
    assert store.open(0, LOG).position == 1
    assert dict(store.rows(0).items()) == {b"1": b"a"}
    store.confirm(7, 1, 1)  # of a partition that is held no more: nothing happens
    store.close()


def confirm_each(store, batches):
    for number, rows in enumerate(batches, start=1):
        store.write(0, rows)
        store.confirm(0, 1, number)


def test_a_full_disk_is_an_error_and_what_is_on_it_stays_right(tmp_path):
    store, _ = opened(tmp_path)
    log = [{b"%d" % (n * 300 + i): os.urandom(300) for i in range(300)} for n in range(200)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(DiskError, match="see to the disk"):
            confirm_each(store, log)
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store, found = opened(tmp_path)
    expected = {key: value for rows in log[: found.position] for key, value in rows.items()}
    assert dict(store.rows(0).items()) == expected
    store.close()


def test_a_place_that_cannot_be_written_is_reported_with_what_to_do(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DiskError, match="see to the disk"):
        opened(Path(blocked) / "below")


def test_what_was_deleted_is_off_the_disk_within_a_day(tmp_path):
    filled(tmp_path)
    (options,) = [sorted(path.glob("OPTIONS-*"))[-1] for path in tmp_path.iterdir()]
    assert "  periodic_compaction_seconds=86400\n" in options.read_text()

"""The comparison sees every kind of difference, and the damage is done."""

import json

import pytest

from tests.chaos.compare import differing_changes, differing_state
from tests.chaos.damage import back_up, damage


def change(number, action="add", **fields):
    told = {"message_id": f"m{number}", "action": action, "audience_id": "a", "mpid": str(number)}
    return json.dumps({**told, **fields}).encode()


EXPECTED = [change(1), change(2), change(3), change(2, "delete", message_id="m4")]


def test_the_same_changes_in_any_order_are_the_same():
    assert differing_changes(EXPECTED[::-1], EXPECTED) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (EXPECTED[1:], ["1 changes missing"]),
        ([*EXPECTED, change(9)], ["1 changes too many"]),
        ([*EXPECTED, EXPECTED[0]], ["1 message_ids published twice", "1 changes too many"]),
        ([*EXPECTED[:3], change(2, "delete", message_id="m4", effective_at=1)],
         ["1 changes missing", "1 changes too many"]),
    ],
)  # fmt: skip
def test_what_is_lost_doubled_or_changed_is_told(found, told):
    assert [line.split(":")[0] for line in differing_changes(found, EXPECTED)] == told


def test_the_newest_state_is_compared():
    good = [(b"a:1", EXPECTED[0]), (b"a:2", EXPECTED[1]), (b"a:3", EXPECTED[2]), (b"a:2", None)]
    assert differing_state(good, EXPECTED) == []
    for bad in (good[1:], good[:-1], [*good, (b"a:9", change(9))], [*good, (b"a:3", change(1))]):
        (line,) = differing_state(bad, EXPECTED)
        assert line.startswith("1 memberships wrong")


def contents(data):
    return {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest.mark.parametrize("seed", range(30))
def test_damage_changes_rows_and_nothing_beside_them(tmp_path, seed):
    data = tmp_path / "data"
    for name in ("0/000010.sst", "1/000010.log"):
        file = data / "topic" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"rows" * 50)
    back_up(data)
    (data / "topic" / "0" / "000010.sst").write_bytes(b"newer rows")
    (data / "topic" / "1" / "000010.log").write_bytes(b"newer rows")
    (data / "worker.lock").write_bytes(b"17")
    before = contents(data)
    told = damage(data, seed)
    after = contents(data)
    assert {path for path in before if after.get(path) != before[path]} - {data / "worker.lock"}
    assert told == "all deleted" or after[data / "worker.lock"] == b"17"

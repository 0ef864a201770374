"""Room for decoded rows is a worker's, not a partition's."""

from cdp_stream.partition.room import RowRoom


class Holder:
    pass


def test_room_is_shared_evenly_by_those_that_are_there():
    room = RowRoom(100)
    assert room.share() == 100
    holders = [Holder() for _ in range(3)]
    for holder in holders:
        room.join(holder)
    assert room.share() == 33
    del holder, holders[0]
    assert room.share() == 50
    room.join(holders[0])
    assert room.share() == 50


def test_there_is_room_for_one_row_at_least():
    room = RowRoom(1)
    kept = [Holder(), Holder()]
    for holder in kept:
        room.join(holder)
    assert room.share() == 1

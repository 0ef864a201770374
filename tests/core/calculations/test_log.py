"""Times with payloads in one run of bytes."""

from cdp_stream.core.calculations.log import Log, writable

LOG = Log(6)


def filled(*times):
    log = bytearray()
    for place, time in enumerate(times):
        LOG.insert(log, time, place.to_bytes(6, "big"))
    return log


def read(log):
    return [
        (LOG.time(log, offset), int.from_bytes(LOG.payload(log, offset), "big"))
        for offset in range(0, len(log), LOG.width)
    ]


def test_entries_are_in_order_of_time_and_of_equal_times_as_they_came():
    assert read(filled(5, 3, 5, 9, 3, 0)) == [(0, 5), (3, 1), (3, 4), (5, 0), (5, 2), (9, 3)]


def test_a_floor_begins_with_the_first_entry_that_is_not_before_it():
    log = filled(2, 4, 4, 6, 8)
    starts = [LOG.start(log, floor) // LOG.width for floor in (-(2**63), 0, 2, 3, 4, 5, 7, 8, 9)]
    assert starts == [0, 0, 0, 1, 1, 3, 4, 4, 5]
    assert LOG.start(log, 2**63) == len(log)
    assert LOG.start(b"", 5) == 0
    assert (LOG.time_from(log, 5), LOG.time_from(log, 9)) == (6, None)


def test_the_greatest_time_of_an_event_fits():
    log = filled(253_402_300_799_999, 1)
    assert read(log) == [(1, 1), (253_402_300_799_999, 0)]
    assert LOG.start(log, 253_402_300_799_999) == LOG.width
    assert LOG.start(log, 253_402_300_800_000) == 2 * LOG.width


def test_an_entry_is_found_at_its_own_place_and_not_across_two():
    time, wanted = 0x010101010101, b"\1" * 6
    log = bytearray()
    LOG.insert(log, 5, wanted)
    LOG.insert(log, time, b"\2" + b"\1" * 5)
    LOG.insert(log, time, wanted)
    assert log.find(LOG.entry(time, wanted)) < 2 * LOG.width
    assert LOG.find(log, time, wanted) == 2 * LOG.width


def test_decoded_bytes_become_writable_and_written_ones_stay_the_same():
    log = bytearray(b"x")
    assert writable(log) is log
    assert type(writable(b"x")) is bytearray

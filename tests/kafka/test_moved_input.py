"""Where records that came in by the old number of partitions belong."""

from typing import NamedTuple

from cdp_stream.kafka.moved_input import by_place
from cdp_stream.kafka.produce import Routing


class Sent(NamedTuple):
    key: bytes | None
    offset: int


def test_what_has_a_key_goes_where_its_profile_goes_in_order_and_the_rest_stays():
    routing = Routing(5)
    keys = [b"7", None, b"8", b"7", None, b"9", b"8"]
    records = [Sent(key, offset) for offset, key in enumerate(keys)]
    places = by_place(records, 3, routing)
    assert [record.offset for record in places[3] if record.key is None] == [1, 4]
    for key in {*keys} - {None}:
        theirs = [record for record in places[routing.partition_of(key)] if record.key == key]
        assert theirs == [record for record in records if record.key == key]
    assert sum(map(len, places.values())) == len(records)

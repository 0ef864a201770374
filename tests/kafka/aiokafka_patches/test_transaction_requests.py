"""The two requests in the versions that a broker knows."""

from cdp_stream.kafka.aiokafka_patches.group_member import GroupMembership
from cdp_stream.kafka.aiokafka_patches.transaction_requests import NextEpoch, OffsetsOfMember


def test_offsets_go_out_in_the_newest_version_that_the_broker_knows():
    request = OffsetsOfMember("id", (5, 1), GroupMembership("g", 7, "m"), [("t", 3, 42)])
    old, new = request.prepare({28: (0, 2)}), request.prepare({28: (0, 5)})
    assert (old.API_VERSION, new.API_VERSION) == (0, 3)
    assert old.topics == [("t", [(3, 42, "")])]
    assert (new.generation_id, new.member_id, new.topics) == (
        7, "m", [("t", [(3, 42, -1, "", {})], {})],
    )  # fmt: skip
    assert new.encode()
    assert old.encode()


def test_the_next_epoch_is_asked_for_by_the_last_where_the_broker_compares():
    request = NextEpoch("id", 60_000, (5, 1))
    old, new = request.prepare({22: (0, 2)}), request.prepare({22: (0, 5)})
    assert (old.API_VERSION, new.API_VERSION) == (0, 3)
    assert (new.producer_id, new.producer_epoch) == (5, 1)
    assert new.encode()
    assert old.encode()

"""Where what an output has yet to be sent begins."""

from cdp_stream.kafka.repartition.preconditions import unsent_from


def test_of_a_connected_output_all_that_no_position_is_behind_waits():
    assert unsent_from({}, 2, is_connected=True) == {0: 0, 1: 0}
    # -1: the group is known, and has no position there.
    assert unsent_from({1: 5, 2: -1}, 3, is_connected=True) == {0: 0, 1: 5, 2: 0}


def test_of_an_output_that_is_not_connected_what_its_group_knew_of_waits():
    assert unsent_from({}, 2, is_connected=False) == {}
    assert unsent_from({1: 5}, 2, is_connected=False) == {1: 5}


def test_a_position_in_a_partition_that_is_gone_is_passed_over():
    assert unsent_from({3: 5}, 1, is_connected=True) == {0: 0}

"""How tests are dealt out."""

from tests.distribution import group_of, in_order


def test_tests_of_one_broker_and_of_a_quick_file_stay_together_and_others_go_alone():
    assert group_of("tests/chaos/test_network.py::test_x") == "proxied_kafka"
    assert group_of("tests/core/test_row.py::test_x[a::b]") == "tests/core/test_row.py"
    assert group_of("tests/topologies/test_time.py::test_x[1]") == (
        "tests/topologies/test_time.py::test_x[1]"
    )


def test_the_longest_come_first_and_others_alternate_with_the_quick_ones():
    groups = ["a.py", "b.py", "c.py", "d.py", "x.py::1", "x.py::2", "kafka_cluster"]
    assert in_order(groups) == [
        "kafka_cluster", "a.py", "x.py::1", "b.py", "x.py::2", "c.py", "d.py",
    ]  # fmt: skip
    assert in_order([]) == []

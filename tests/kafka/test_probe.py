import pytest

from cdp_stream.errors import BrokerError, UsageError
from cdp_stream.kafka.clients.probe import (
    answers,
    create_topics,
    free_port,
    parse_address,
    wait_until_ready,
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("localhost:9092", ("localhost", 9092)), ("[::1]:80", ("[::1]", 80))],
)
def test_an_address_is_a_host_and_a_port(address, expected):
    assert parse_address(address) == expected


@pytest.mark.parametrize(
    "address", ["localhost", ":9092", "localhost:", "localhost:kafka", "", "a:-1"]
)
def test_a_half_address_is_refused(address):
    with pytest.raises(UsageError, match="is not host:port"):
        parse_address(address)


@pytest.mark.parametrize("address", ["localhost:0", "localhost:65536"])
def test_a_port_out_of_range_is_refused(address):
    with pytest.raises(UsageError, match="out of range"):
        parse_address(address)


def test_nobody_answers_where_nobody_listens():
    assert not answers(f"127.0.0.1:{free_port()}")


def test_waiting_for_nobody_ends():
    with pytest.raises(BrokerError, match=r"no Kafka broker answered at .* within 0\.2 s"):
        wait_until_ready(f"127.0.0.1:{free_port()}", timeout_s=0.2)


def test_waiting_for_an_ended_process_ends_at_once():
    with pytest.raises(BrokerError, match="ended before it answered"):
        wait_until_ready(f"127.0.0.1:{free_port()}", timeout_s=60, is_alive=lambda: False)


def test_topics_cannot_be_made_where_nobody_listens():
    with pytest.raises(BrokerError, match="cannot create topics at"):
        create_topics(f"127.0.0.1:{free_port()}", {"orders": 1})

"""A broker that several processes of a test run share."""

import multiprocessing
from contextlib import contextmanager

from tests.brokers.sharing import shared

LIMIT_S = 30
CONTEXT = multiprocessing.get_context("spawn")


def use(folder, number, asked, done):
    """What a process of a test run does."""

    @contextmanager
    def broker():
        (folder / f"started-{number}").touch()
        yield f"address of {number}"
        (folder / f"stopped-{number}").touch()

    with shared(folder, "kafka", broker) as address:
        asked.put(address)
        done.wait(LIMIT_S)


def begin(folder, number, done):
    """A process, and the address that it was given."""
    asked = CONTEXT.Queue()
    process = CONTEXT.Process(target=use, args=(folder, number, asked, done))
    process.start()
    return process, asked.get(timeout=LIMIT_S)


def test_the_first_starts_the_broker_and_stops_it_when_the_last_is_done(tmp_path):
    first_done, second_done = CONTEXT.Event(), CONTEXT.Event()
    first, address = begin(tmp_path, 1, first_done)
    second, same = begin(tmp_path, 2, second_done)
    assert (address, same) == ("address of 1", "address of 1")
    first_done.set()
    first.join(0.3)
    assert first.is_alive()
    assert not (tmp_path / "stopped-1").exists()
    second_done.set()
    for process in (first, second):
        process.join(LIMIT_S)
        assert process.exitcode == 0
    assert sorted(path.name for path in tmp_path.glob("st*")) == ["started-1", "stopped-1"]


def test_a_process_that_comes_after_the_last_starts_another(tmp_path):
    done = CONTEXT.Event()
    done.set()
    addresses = []
    for number in (1, 2):
        process, address = begin(tmp_path, number, done)
        process.join(LIMIT_S)
        addresses.append(address)
    assert addresses == ["address of 1", "address of 2"]

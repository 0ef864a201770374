"""How far a partition has been delivered: nothing lost, nothing doubled, whatever happens when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cdp_stream.sinks.offsets.progress import Progress, has_other_positions


def admitted(progress: Progress, *records: tuple[int, str]) -> list[int]:
    """The offsets that are to be delivered of these records, read in order."""
    offsets = [offset for offset, name in records if progress.admit(offset, name)]
    progress.read(records[-1][0] + 1)
    return offsets


def test_the_position_is_the_first_that_waits() -> None:
    progress = Progress(10, None, ())
    assert progress.start == 10
    assert admitted(progress, (10, "a"), (11, "b"), (13, "a")) == [10, 11, 13]
    assert progress.position == 10
    progress.confirm(11, "b")
    assert progress.position == 10
    progress.confirm(10, "a")
    assert progress.position == 13
    progress.confirm(13, "a")
    assert progress.position == 14
    assert progress.kept() is None


def test_a_stopped_connection_is_kept_and_the_others_go_on() -> None:
    progress = Progress(0, None, ())
    admitted(progress, (0, "a"), (1, "b"), (2, "a"), (3, "b"))
    progress.confirm(2, "a")
    progress.stop("a")
    assert progress.position == 1
    progress.confirm(1, "b")
    progress.confirm(3, "b")
    assert progress.position == 4
    assert progress.kept() == {
        "connections": {"a": {"offset": 0, "seen": 4, "owed": 1, "since": 0, "confirmed": [[2, 2]]}}
    }
    assert admitted(progress, (4, "a"), (5, "b")) == [5]
    assert progress.owed == 2


def test_a_resumed_connection_is_read_again_and_only_it() -> None:
    progress = Progress(0, None, ())
    admitted(progress, (0, "a"), (1, "b"), (2, "a"))
    progress.confirm(2, "a")
    progress.stop("a")
    progress.confirm(1, "b")
    assert admitted(progress, (3, "a"), (4, "b")) == [4]
    assert progress.resume("a")
    assert progress.start == 0
    assert admitted(progress, (0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "b")) == [0, 3]
    progress.settle()
    assert progress.kept() == {
        "connections": {"a": {"offset": 0, "seen": 5, "owed": 2, "since": 0, "confirmed": [[2, 2]]}}
    }
    for offset, name in ((0, "a"), (3, "a"), (4, "b")):
        progress.confirm(offset, name)
    progress.settle()
    assert progress.kept() is None
    assert progress.position == 5


def test_a_connection_of_which_nothing_came_needs_no_second_reading() -> None:
    progress = Progress(7, None, {"a"})
    admitted(progress, (7, "b"))
    progress.confirm(7, "b")
    assert progress.kept() is None
    assert not progress.resume("a")
    assert admitted(progress, (8, "a")) == [8]


def test_what_was_kept_goes_on_after_a_restart() -> None:
    kept = {"connections": {"a": {"offset": 3, "confirmed": [[5, 6]]}}, "confirmed": [[11, 12]]}
    progress = Progress(10, kept, ())
    assert progress.start == 3
    records = [(offset, "a" if offset < 9 else "b") for offset in range(3, 14)]
    assert admitted(progress, *records) == [3, 4, 7, 8, 10, 13]


def test_what_was_not_confirmed_is_admitted_again_after_stepping_back() -> None:
    progress = Progress(0, None, ())
    admitted(progress, (0, "a"), (1, "a"), (2, "a"))
    progress.confirm(1, "a")
    progress.step_back()
    assert progress.kept(all_confirmed=True) == {"confirmed": [[1, 1]]}
    assert admitted(progress, (0, "a"), (1, "a"), (2, "a"), (3, "a")) == [0, 2, 3]


def test_what_waits_for_a_stopped_connection_is_counted_and_dated() -> None:
    progress = Progress(0, None, {"a"})
    for offset, name in enumerate("babba"):
        assert progress.admit(offset, name, dated=100 + offset) == (name == "b")
        progress.read(offset + 1)
        progress.confirm(offset, name)
    assert (progress.position, progress.owed, progress.owed_since) == (5, 2, 101)
    kept = progress.kept()
    assert kept == {"connections": {"a": {"offset": 1, "seen": 5, "owed": 2, "since": 101}}}
    # What was read since the counts were kept is read again, and counted once.
    again = Progress(7, kept, {"a"})
    assert again.start == 5
    assert admitted(again, (5, "a"), (6, "b"), (7, "a")) == []
    assert (again.owed, again.owed_since) == (4, 101)
    assert not has_other_positions(again.kept(), kept)
    assert again.resume("a")
    assert again.start == 1
    assert admitted(again, (1, "a"), (2, "b"), (4, "a"), (5, "a"), (7, "a")) == [1, 4, 5, 7]
    for offset in (1, 4, 5, 7):
        assert again.owed
        again.confirm(offset, "a")
    assert (again.owed, again.owed_since) == (0, None)


def test_a_blocked_connection_goes_on_behind_what_blocked_it() -> None:
    progress = Progress(0, None, ())
    assert progress.admit(0, "a")
    assert progress.admit(1, "b")
    assert progress.admit(2, "a")
    progress.block("a", 2)
    assert admitted(progress, (3, "a"), (4, "b")) == [4]
    for offset, name in ((0, "a"), (1, "b"), (4, "b")):
        progress.confirm(offset, name)
    assert progress.position == 5
    assert progress.position_of("a") == 2
    progress.confirm(2, "a")
    assert progress.unblock("a")
    assert not progress.unblock("a")
    assert progress.start == 3
    assert admitted(progress, (3, "a"), (4, "b")) == [3]


def test_one_that_was_stopped_while_it_was_blocked_is_not_unblocked() -> None:
    progress = Progress(0, None, ())
    progress.admit(0, "a")
    progress.block("a", 0)
    progress.stop("a")
    assert not progress.unblock("a")
    progress.step_back()
    assert not progress.admit(0, "a")
    assert progress.resume("a")
    assert progress.admit(0, "a")


def test_what_one_confirmed_before_a_restart_is_not_sent_again_after_a_stop() -> None:
    progress = Progress(0, {"confirmed": [[1, 1], [3, 3]]}, ())
    progress.stop("a")
    assert admitted(progress, (0, "b"), (1, "a"), (2, "a"), (3, "b")) == [0]
    assert progress.owed == 1
    progress.resume("a")
    assert admitted(progress, (1, "a"), (2, "a"), (3, "b"), (4, "a")) == [2, 4]


def test_what_one_delivered_ahead_of_the_others_stays_delivered() -> None:
    progress = Progress(0, None, ())
    admitted(progress, (0, "b"), (1, "a"), (2, "a"))
    progress.stop("a")
    progress.resume("a")
    assert admitted(progress, (1, "a"), (2, "a"), (3, "a")) == [1, 2, 3]
    for offset in (1, 2):
        progress.confirm(offset, "a")
    progress.settle()
    assert progress.position == 0
    kept = progress.kept()
    # Neither after a crash,
    again = Progress(0, kept, ())
    again.settle()
    assert admitted(again, (0, "b"), (1, "a"), (2, "a"), (3, "a"), (4, "b")) == [0, 3, 4]
    # nor after the output was stopped, nor after the connection was.
    progress.step_back()
    assert admitted(progress, (0, "b"), (1, "a")) == [0]
    progress.stop("a")
    assert admitted(progress, (2, "a"), (3, "a")) == []
    assert progress.owed == 1
    progress.resume("a")
    assert admitted(progress, (1, "a"), (2, "a"), (3, "a")) == [3]
    for offset, name in ((0, "b"), (3, "a")):
        progress.confirm(offset, name)
    progress.settle()
    assert (progress.position, progress.kept()) == (4, None)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(1, 6)),
        st.tuples(st.just("confirm"), st.integers(0, 50)),
        st.tuples(st.just("fault"), st.integers(0, 6)),
        st.tuples(st.just("stop"), st.sampled_from("abc")),
        st.tuples(st.just("resume"), st.sampled_from("abc")),
        st.tuples(st.just("block"), st.just(0)),
        st.tuples(st.just("let go"), st.sampled_from("abc")),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("crash"), st.just(0)),
        st.tuples(st.just("halt"), st.just(0)),
    ),
    max_size=80,
)


class Simulated:
    """A sink over one partition of 40 records, with Kafka's position and what is kept."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.committed, self.kept = 0, None
        self.stopped: set[str] = set()
        self.delivered: list[int] = []
        self.crashed_with: set[int] = set()
        self.begin()

    def begin(self) -> None:
        self.progress = Progress(self.committed, self.kept, self.stopped)
        self.on_its_way: list[int] = []
        self.cursor = self.progress.start

    def read(self, count: int, faulty: int = -1) -> None:
        """Take a slice; at the record of that place its connection stops, if it is new to it."""
        for place in range(count):
            if self.cursor >= len(self.names):
                break
            name = self.names[self.cursor]
            if place == faulty:
                self.progress.read(self.cursor)
            if self.progress.admit(self.cursor, name):
                assert self.cursor not in self.delivered or self.cursor in self.crashed_with
                if place == faulty:
                    self.stop(name)
                else:
                    self.on_its_way.append(self.cursor)
            self.cursor += 1
        self.progress.read(self.cursor)

    def confirm(self, place: int) -> None:
        """Confirm one on its way; per connection in order, as deliveries are."""
        if self.on_its_way:
            some = self.on_its_way[place % len(self.on_its_way)]
            offset = next(o for o in self.on_its_way if self.names[o] == self.names[some])
            self.on_its_way.remove(offset)
            self.delivered.append(offset)
            self.progress.confirm(offset, self.names[offset])

    def stop(self, name: str) -> None:
        self.stopped.add(name)
        self.progress.stop(name)

    def resume(self, name: str) -> None:
        if name in self.stopped:
            self.stopped.discard(name)
            self.on_its_way = [o for o in self.on_its_way if self.names[o] != name]
            if self.progress.resume(name):
                self.cursor = self.progress.start

    def block(self) -> None:
        """Hold the connection of the record read last behind it."""
        last = self.cursor - 1
        if last in self.on_its_way and self.names[last] not in self.stopped:
            self.progress.block(self.names[last], last)

    def unblock(self, name: str) -> None:
        """Let go one of which nothing is on its way."""
        on_its_way = any(self.names[offset] == name for offset in self.on_its_way)
        if not on_its_way and self.progress.unblock(name):
            self.cursor = self.progress.start

    def commit(self, *, everything: bool = False) -> None:
        self.progress.settle()
        position = self.progress.position
        self.kept = self.progress.kept(all_confirmed=everything)
        self.committed = position
        if not self.crashed_with:
            for name, entry in (self.kept or {}).get("connections", {}).items():
                below = {o for o in range(entry["seen"]) if self.names[o] == name}
                assert entry.get("owed", 0) == len(below - set(self.delivered))

    def crash(self) -> None:
        # What was confirmed and not committed comes again, with the same ids.
        self.crashed_with |= set(self.delivered)
        self.begin()

    def halt(self) -> None:
        """An orderly stop and start: nothing comes twice."""
        self.on_its_way = []
        self.progress.step_back()
        self.commit(everything=True)
        self.begin()


@given(st.lists(st.sampled_from("abc"), min_size=40, max_size=40), STEPS)
def test_every_record_is_delivered_in_order_whatever_happens(  # noqa: PLR0912 - one per step
    names: list[str], steps: list
) -> None:
    sink = Simulated(names)
    for verb, value in steps:
        match verb:
            case "read":
                sink.read(value)
            case "confirm":
                sink.confirm(value)
            case "fault":
                sink.read(6, value)
            case "stop":
                sink.stop(value)
            case "resume":
                sink.resume(value)
            case "block":
                sink.block()
            case "let go":
                sink.unblock(value)
            case "commit":
                sink.commit()
            case "crash":
                sink.crash()
            case "halt":
                sink.halt()
    for name in "abc":
        sink.resume(name)
    for _ in range(3):
        sink.read(100)
        while sink.on_its_way:
            sink.confirm(0)
        for name in "abc":
            sink.unblock(name)
        sink.commit()
    assert set(sink.delivered) == set(range(40))
    assert sink.committed == 40
    assert sink.kept is None
    for name in "abc":
        first = list(dict.fromkeys(o for o in sink.delivered if names[o] == name))
        assert first == sorted(first)
    if not sink.crashed_with:
        assert len(sink.delivered) == 40

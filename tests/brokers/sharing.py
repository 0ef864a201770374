"""One broker for all processes of a test run."""

import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def shared(
    folder: Path, name: str, broker: Callable[[], AbstractContextManager[str]]
) -> Iterator[str]:
    """The address of a broker that the first process to ask starts, and stops after the last.

    Args:
        folder: What the processes of one run have in common.
        name: Which broker.
        broker: Starts it and gives its address.
    """
    address = folder / name
    with (folder / f"{name}.gate").open("w") as gate, (folder / f"{name}.users").open("w") as users:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if address.exists():
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(gate, fcntl.LOCK_UN)
            yield address.read_text()
            return
        with broker() as started:
            address.write_text(started)
            fcntl.flock(gate, fcntl.LOCK_UN)
            try:
                yield started
            finally:
                # No process starts to use it now; the ones that use it may finish.
                fcntl.flock(gate, fcntl.LOCK_EX)
                address.unlink()
                fcntl.flock(gate, fcntl.LOCK_UN)
                # The others' tests may take longer than a single test may, which a timer limits.
                signal.setitimer(signal.ITIMER_REAL, 0)
                fcntl.flock(users, fcntl.LOCK_EX)

"""A whole replay of a file: definitions and events in, sorted changes or members out, with
progress.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from cdp_stream.core.model.event import Batch
from cdp_stream.core.plan.plan import Plan
from cdp_stream.errors import DiskError
from cdp_stream.formats.rejects import Reject, rejected_line
from cdp_stream.offline.lines import LineFile
from cdp_stream.offline.replay import Replay

PROGRESS_EVERY = 5_000
"""Lines between two calls of a progress function."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the events of a replay come from.

    Attributes:
        events: a path, `.gz` included, or `-` for standard input.
        input_id: the input of every batch (`--input`); None leaves it to each batch.
        until: batches that arrive later are not read, and time runs on to it, epoch ms; None: the
            greatest arrival.
    """

    events: str
    input_id: str | None = None
    until: int | None = None


class Rejections:
    """Counts what could not be used, and writes it out if there is a file for it."""

    def __init__(self, out: IO[bytes] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.line = b""
        self._out = out

    def __call__(self, number: int, reject: Reject) -> None:
        """Take one reject of the line `number`; `line` is the line as read.

        Raises:
            DiskError: the file cannot be written.
        """
        self.counts[reject.reason.value] += 1
        if self._out is not None:
            try:
                self._out.write(rejected_line(reject, number, self.line))
            except OSError as error:
                raise DiskError(
                    f"cannot write the rejected lines: {error.strerror}", "free some space"
                ) from error

    def summary(self) -> str | None:
        """One line for standard error; None when nothing was rejected."""
        if not self.counts:
            return None
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.counts.items()))
        return f"rejected {self.counts.total()}: {reasons}"


def read_events(
    file: LineFile, rejections: Rejections, progress: Callable[[int], None] | None
) -> Iterator[bytes]:
    """The lines of a file; `rejections` knows the current one, `progress` gets the bytes read."""
    for number, line in enumerate(file):
        rejections.line = line
        if progress is not None and number % PROGRESS_EVERY == 0:
            progress(file.bytes_read)
        yield line


def replay_of(
    plan: Plan,
    source: Source,
    rejections: Rejections,
    on_batch: Callable[[Batch], None] | None = None,
) -> Replay:
    """A replay that is ready to be fed from `source`; `on_batch` is given each batch that is
    applied.
    """
    return Replay(
        plan,
        until=source.until,
        input_id=source.input_id,
        on_reject=rejections,
        on_batch=on_batch,
    )

"""The engine with no Kafka: the reference way to run it.

A profile's clock moves only by its own batches, and once, after the last one, to `until`. So
profiles do not depend on each other, and their changes are sorted at the end.

Source: docs/semantics.md, instants; docs/commands.md, replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cdp_stream.core.engine.evaluation import Engine
from cdp_stream.core.model.change import Change
from cdp_stream.core.model.event import Batch
from cdp_stream.core.model.row import Row
from cdp_stream.core.plan.plan import Plan
from cdp_stream.formats.events import BatchDecoder
from cdp_stream.formats.membership import encode_change
from cdp_stream.formats.rejects import Reject, too_large_for_profile
from cdp_stream.offline.spill import Sorted, SpillingSorter

OnReject = Callable[[int, Reject], None]
"""Called for every reject: the line's number from 1, and the reject."""


class Replay:
    """Profiles evaluated over a stream of batches.

    Attributes:
        rows: mpid -> row; after `finish` the clock of each is `until`.
        greatest_arrival: of the batches applied, epoch ms; None before the first.
        lines: how many lines were read, blank ones included.
        events: how many events were in the batches applied.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        until: int | None = None,
        input_id: str | None = None,
        on_reject: OnReject | None = None,
        keep: Callable[[Batch], bool] | None = None,
        on_batch: Callable[[Batch], None] | None = None,
    ) -> None:
        """Prepare an empty replay.

        Args:
            until: batches that arrive later are not read, epoch ms; None reads all.
            input_id: the input of every batch, as a header would name it.
            on_reject: called for what could not be used.
            keep: called with each batch before it is applied; one that it refuses is skipped.
            on_batch: given each batch that is applied.

        Raises:
            UsageError: the account has no such input.
        """
        self.rows: dict[int, Row] = {}
        self.greatest_arrival: int | None = None
        self.lines = 0
        self.events = 0
        self._until = until
        self._input_id = input_id
        self._on_reject = on_reject
        self._keep = keep
        self._on_batch = on_batch
        self._engine = Engine(plan)
        self._row_limit = plan.account.row_limit
        self._decoder = BatchDecoder(plan.inputs)

    def feed(self, line: bytes, changes: list[Change], input_id: str | None = None) -> None:
        """Apply one line; what it changes is appended to `changes`.

        Args:
            input_id: the input of this line, where it is not that of all.
        """
        self.lines += 1
        if not line or line.isspace():
            return
        batch, rejects = self._decoder.decode_line(line, input_id or self._input_id)
        if batch is not None and self._until is not None and batch.arrival > self._until:
            return
        if rejects and self._on_reject is not None:
            for reject in rejects:
                self._on_reject(self.lines, reject)
        if batch is None:
            return
        arrival = batch.arrival
        if self._keep is not None and not self._keep(batch):
            return
        if self._on_batch is not None:
            self._on_batch(batch)
        if self.greatest_arrival is None or arrival > self.greatest_arrival:
            self.greatest_arrival = arrival
        row = self.rows.get(batch.mpid)
        if row is None:
            row = self.rows[batch.mpid] = Row(batch.mpid)
        self.events += len(batch.events)
        refused = self._engine.apply(row, batch, changes)
        if refused and self._on_reject is not None:
            for reject in too_large_for_profile(line, refused, self._row_limit):
                self._on_reject(self.lines, reject)

    def finish(self, changes: Callable[[list[Change]], None]) -> int | None:
        """Move every profile to `until` (default: the greatest arrival), handing over the changes
        as they come.

        Returns:
            The instant of the profiles' clocks now; None when there was no batch and no
            `until`.
        """
        until = self._until if self._until is not None else self.greatest_arrival
        if until is None:
            return None
        forgotten = []
        made: list[Change] = []
        for mpid, row in self.rows.items():
            if not self._engine.wake(row, until, made):
                forgotten.append(mpid)
            if made:
                changes(made)
                made.clear()
        for mpid in forgotten:
            del self.rows[mpid]
        return until

    def run(
        self,
        lines: Iterable[bytes],
        sorter: SpillingSorter,
        *,
        keep: Callable[[Change], bool] | None = None,
    ) -> None:
        """Feed all lines, finish, and put the encoded changes into the sorter."""
        account_id = self._engine.plan.account_id

        def take(made: list[Change]) -> None:
            for change in made:
                if keep is None or keep(change):
                    value = encode_change(change, account_id)
                    sorter.add(Sorted(change.effective_at, change.mpid, change.ordinal, value))

        made: list[Change] = []
        feed = self.feed
        for line in lines:
            feed(line, made)
            if made:
                take(made)
                made.clear()
        self.finish(take)

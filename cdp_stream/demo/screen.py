"""The demo's two displays: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cdp_stream.demo.tally import AudienceCount, Tally
from cdp_stream.errors import counted

__all__ = ["LiveScreen", "PlainScreen", "Screen", "tables"]

_LINE_EVERY_S = 5.0
_RATE_OVER_S = 3.0
_BAR_WIDTH = 24
_WITHOUT_BAR = 24 + 3 * 7 + 5 * 2
"""What the columns before a bar are wide at least, and the gaps."""


Clock = Callable[[], float]
"""Seconds that only grow, such as ``time.monotonic``."""


class Screen(Protocol):
    """Where the demo shows what it does."""

    def report(self, line: str) -> None:
        """Report a step."""
        ...

    def show(self, tally: Tally) -> None:
        """Show the stream as it is now; called several times a second."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class LiveScreen:
    """Two tables that change in place."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._live: Live | None = None
        self._rate = _Rate(clock)

    def report(self, line: str) -> None:
        """Print a line above the tables."""
        self._console.print(line, highlight=False)

    def show(self, tally: Tally) -> None:
        """Draw the tables anew."""
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        picture = _picture(tally, self._rate.after(tally.published), self._console.width)
        self._live.update(picture, refresh=True)
        if tally.finished:
            self.close()

    def close(self) -> None:
        """Stop drawing; the last picture stays."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class PlainScreen:
    """Lines only: progress every few seconds, and the tables once at the end."""

    def __init__(self, results: Console, progress: Console, clock: Clock) -> None:
        self._results = results
        self._progress = progress
        self._clock = clock
        self._shown_at = clock()
        self._rate = _Rate(clock)

    def report(self, line: str) -> None:
        """Print a line."""
        self._progress.print(line, highlight=False, soft_wrap=True)

    def show(self, tally: Tally) -> None:
        """Print a line if the last one is old enough."""
        rate = self._rate.after(tally.published)
        if tally.finished:
            self._results.print(*tables(tally, self._results.width), sep="\n")
        elif self._clock() - self._shown_at >= _LINE_EVERY_S:
            self._shown_at = self._clock()
            sizes = ", ".join(
                f"{count.audience_id} {count.members:,}"
                for count in tally.counts.values()
                if count.depth is None
            )
            self.report(f"{_headline(tally, rate)}; {sizes}")

    def close(self) -> None:
        """Nothing to do."""


def tables(tally: Tally, width: int = 100) -> list[Table]:
    """The audiences, and the milestones of each journey as a funnel, whose bars fill the rest of
    the width.
    """
    bar = min(_BAR_WIDTH, width - _WITHOUT_BAR)
    audiences = _table("audience")
    journeys: dict[str, Table] = {}
    most = max((s.members for s in tally.counts.values() if s.depth is not None), default=0)
    for count in tally.counts.values():
        cells = (f"{count.members:,}", f"{count.adds:,}", f"{count.deletes:,}")
        if count.depth is None:
            audiences.add_row(count.name, *cells)
        else:
            journey = count.audience_id.partition("/")[0]
            table = journeys.setdefault(journey, _table(f"journey {journey}", bar))
            bars = (_bar(count, most, bar),) if bar > 0 else ()
            table.add_row("  " * count.depth + count.name, *cells, *bars)
    return [audiences, *journeys.values()]


def _table(title: str, bar: int = 0) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(title, min_width=24, no_wrap=True)
    for name in ("members", "adds", "drops"):
        table.add_column(name, justify="right", min_width=7, no_wrap=True)
    if bar > 0:
        table.add_column("", min_width=bar, no_wrap=True)
    return table


def _bar(count: AudienceCount, most: int, width: int) -> Text:
    return Text("█" * round(width * count.members / most) if most else "", style="cyan")


def _picture(tally: Tally, rate: float, width: int) -> Group:
    total = max(1, tally.purchases)
    bar = ProgressBar(total=total, completed=tally.published, width=min(60, width))
    return Group("", Text(_headline(tally, rate), style="bold"), bar, "", *tables(tally, width))


def _headline(tally: Tally, rate: float) -> str:
    date = datetime.fromtimestamp(tally.stream_time / 1000, UTC)
    line = (
        f"{date:%Y-%m-%d}: {tally.published:,} of {counted(tally.purchases, 'purchase')}, "
        f"{counted(tally.changes, 'membership change')}"
    )
    return line if tally.finished else f"{line}, {rate:,.0f} events/s"


class _Rate:
    """How many a second, over the last few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._points: deque[tuple[float, int]] = deque()

    def after(self, count: int) -> float:
        """The rate, now that the count is this."""
        now = self._clock()
        points = self._points
        points.append((now, count))
        while now - points[0][0] > _RATE_OVER_S:
            points.popleft()
        seconds = now - points[0][0]
        return (count - points[0][1]) / seconds if seconds else 0.0

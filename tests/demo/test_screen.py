"""The tables count what the messages say; without a terminal there is a line now and then."""

from io import StringIO

import orjson
from rich.console import Console

from cdp_stream.definitions import load_text
from cdp_stream.demo.screen import LiveScreen, PlainScreen, tables
from cdp_stream.demo.tally import Tally, empty_tally

DEFINITIONS = """
version: 1
account: acme
workspaces:
  - id: shop
    lookback: unlimited
    inputs: [{id: web, kind: platform}]
audiences:
  - {id: buyers, name: Buyers, criteria: {event: Buy, when: any_time}}
  - {id: hidden, status: draft, criteria: {event: Look, when: any_time}}
journeys:
  - id: life
    milestones:
      - id: came
        criteria: {event: Come, when: any_time}
        then:
          - id: stayed
            criteria: {event: Stay, when: any_time}
            then: [{id: for-good, criteria: {event: Marry, when: any_time}}]
          - {id: rest, remaining: true}
      - {id: nobody, remaining: true}
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tally_of(*changes: tuple[str, str]) -> Tally:
    account = load_text(DEFINITIONS).account
    assert account is not None
    tally = empty_tally(account, purchases=10)
    tally.add(orjson.dumps({"audience_id": a, "action": action}) for a, action in changes)
    return tally


def text_of(*parts: object) -> str:
    out = StringIO()
    Console(file=out, width=100).print(*parts, sep="\n")
    return out.getvalue()


def test_members_are_adds_less_deletes() -> None:
    tally = tally_of(("buyers", "add"), ("buyers", "add"), ("buyers", "delete"))
    count = tally.counts["buyers"]
    assert (count.members, count.adds, count.deletes, tally.changes) == (1, 2, 1, 3)


def test_milestones_know_their_depth_and_drafts_are_left_out() -> None:
    depths = {count.audience_id: count.depth for count in tally_of().counts.values()}
    assert depths == {
        "buyers": None,
        "life/came": 0,
        "life/stayed": 1,
        "life/for-good": 2,
        "life/rest": 1,
        "life/nobody": 0,
    }


def test_the_tables_show_the_journey_as_a_funnel() -> None:
    tally = tally_of(*[("life/came", "add")] * 4, *[("life/stayed", "add")] * 2, ("buyers", "add"))
    lines = text_of(*tables(tally)).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["audience", "members", "adds", "drops"],
        ["Buyers", "1", "1", "0"],
    ]
    came, stayed = (next(line for line in lines if name in line) for name in ("came", "stayed"))
    assert came.count("█") == 2 * stayed.count("█") > 0
    assert stayed.startswith("  stayed")


def test_on_sixty_columns_names_and_numbers_are_whole_and_bars_get_the_rest() -> None:
    tally = tally_of(*[("life/came", "add")] * 4, ("buyers", "add"))
    for width, bar in ((60, 5), (55, 0)):
        out = StringIO()
        Console(file=out, width=width).print(*tables(tally, width), sep="\n")
        lines = out.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        assert [line.split() for line in lines[:2]] == [
            ["audience", "members", "adds", "drops"],
            ["Buyers", "1", "1", "0"],
        ]
        (came,) = (line for line in lines if "came" in line)
        assert came.split()[1:4] == ["4", "4", "0"]
        assert came.count("█") == bar


def test_without_a_terminal_a_line_comes_every_five_seconds_and_tables_at_the_end() -> None:
    results, progress, clock = StringIO(), StringIO(), Clock()
    screen = PlainScreen(Console(file=results, width=100), Console(file=progress, width=100), clock)
    tally = tally_of(("buyers", "add"))
    tally.published, tally.stream_time = 1, 852_076_800_000
    for clock.now in (1.0, 4.9):
        screen.show(tally)
    assert progress.getvalue() == ""
    clock.now, tally.published = 5.0, 3
    screen.show(tally)
    assert progress.getvalue() == (
        "1997-01-01: 3 of 10 purchases, 1 membership change, 20 events/s; buyers 1\n"
    )
    assert results.getvalue() == ""
    tally.finished = True
    screen.show(tally)
    assert "Buyers" in results.getvalue()


def test_a_terminal_is_left_as_it_was() -> None:
    out = StringIO()
    screen = LiveScreen(Console(file=out, width=100, force_terminal=True), Clock())
    tally = tally_of(("buyers", "add"))
    screen.report("started")
    screen.show(tally)
    screen.close()
    shown = out.getvalue()
    assert shown.startswith("started\n")
    assert "0 of 10 purchases" in shown
    # The cursor is hidden while the picture is live, and shown again.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")

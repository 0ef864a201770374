"""Each warning as it is printed: place, words and code."""

from cdp_stream.definitions import load_text
from cdp_stream.lint import warnings_of
from tests.lint.accounts import all_warnings_in, warnings_in


def lines_of(body: str, lookback: str = "30d") -> list[str]:
    return [str(warning) for warning in warnings_in(body, lookback)]


def test_a_contradiction_names_the_criteria_that_make_it() -> None:
    body = """audiences:
  - id: a
    criteria:
      all:
        - {event: X}
        - {event: Z}
      exclude: [{event: X}]
"""
    assert lines_of(body) == [
        "definitions.yaml:12:5: audiences[0].criteria: no profile can ever be a member of `a`:"
        " `criteria.all[0]` and `criteria.exclude` contradict each other; change or remove one of"
        " its criteria [never-true]"
    ]


def test_a_branch_that_nobody_can_reach_is_reported_once_at_its_top() -> None:
    body = """journeys:
  - id: j
    milestones:
      - id: top
        criteria: {event: X}
        then:
          - {id: one, criteria: {event: Y}}
          - id: two
            criteria: {event: Y, count: {at_least: 2}}
            then:
              - {id: below, criteria: {event: Z}}
          - {id: rest, remaining: true}
"""
    assert lines_of(body) == [
        "definitions.yaml:17:13: journeys[0].milestones[0].then[1].id: no profile can reach"
        " `j/two`: its parents and the splits before it leave no profile; remove it, or change its"
        " criteria, its parents' or those of the splits before it [unreachable-milestone]"
    ]


def test_a_milestone_lies_within_those_above_it_by_design() -> None:
    body = """audiences:
  - {id: same, criteria: {event: X}}
journeys:
  - id: j
    milestones:
      - id: top
        criteria: {event: X}
        then:
          - {id: one, criteria: {event: Y}}
          - {id: rest, remaining: true}
"""
    assert [(w.code, w.related) for w in warnings_in(body)] == [("equal", ("same", "j/top"))]


def test_milestones_whose_own_criteria_contradict_are_never_true_and_unreachable() -> None:
    body = """journeys:
  - id: j
    milestones:
      - {id: m, criteria: {all: [{event: X}, {not: {event: X}}]}}
"""
    found = [(w.code, w.related) for w in warnings_in(body)]
    assert found == [("unreachable-milestone", ("j/m",)), ("never-true", ("j/m",))]


def test_a_remaining_split_that_is_left_empty_contradicts_nothing() -> None:
    body = """journeys:
  - id: j
    milestones:
      - id: top
        criteria: {event: X}
        then:
          - {id: all, criteria: {event: X}}
          - {id: rest, remaining: true}
  - id: k
    milestones:
      - {id: always, criteria: {any: [{event: X}, {not: {event: X}}]}}
      - {id: rest, remaining: true}
"""
    found = [w for w in warnings_in(body) if w.code in ("never-true", "unreachable-milestone")]
    assert [(w.code, w.related) for w in found] == [
        ("unreachable-milestone", ("j/rest",)),
        ("unreachable-milestone", ("k/rest",)),
    ]
    assert all("and the splits before it leave no profile" in w.message for w in found)


def test_a_window_beyond_the_lookback_says_what_is_really_evaluated() -> None:
    body = """audiences:
  - {id: a, criteria: {event: A, when: {last: 60d}}}
  - {id: b, criteria: {event: B, when: {between: [60d, 20d]}}}
  - {id: c, lookback: 7d, criteria: {not: {event: C, when: any_time}}}
  - {id: d, criteria: {event: D, when: {last: 30d}}}
  - {id: e, lookback: 7d, criteria: {event: E}}
"""
    found = [w for w in warnings_in(body) if w.code == "beyond-lookback"]
    assert [(w.line, w.path, w.message) for w in found] == [
        (
            11,
            "audiences[0].criteria.when",
            "the window reaches back 60d, but the lookback is 30d: what is really evaluated is the"
            " last 30d",
        ),
        (
            12,
            "audiences[1].criteria.when",
            "the window reaches back 60d, but the lookback is 30d: what is really evaluated is from"
            " 30d to 20d ago",
        ),
        (
            13,
            "audiences[2].criteria.not.when",
            "the window has no limit, but the lookback is 7d: what is really evaluated is the last"
            " 7d",
        ),
    ]


def test_nothing_is_beyond_an_unlimited_lookback() -> None:
    body = """audiences:
  - {id: a, criteria: {event: A, when: {last: 9999d}}}
  - {id: b, criteria: {event: B, when: any_time}}
  - {id: c, criteria: {event: C, when: {on: 2026-01-01}}}
"""
    assert lines_of(body, lookback="unlimited") == []


def test_a_calendar_window_names_the_date_from_which_the_audience_is_empty() -> None:
    body = """audiences:
  - {id: a, criteria: {event: A, when: {between: [2026-01-01, 2026-01-31]}}}
  - {id: b, criteria: {any: [{event: B, when: {before: 2026-01-01}}, {event: C}]}}
  - {id: c, lookback: 36h, criteria: {event: D, when: {on: 2026-01-01}}}
  - {id: d, criteria: {event: E, when: {after: 2026-01-01}}}
"""
    found = [w for w in warnings_in(body) if w.code == "fading-window"]
    assert [w.message for w in found] == [
        "these days leave the lookback of 30d: from 2026-03-03 on the audience `a` is empty",
        "these days leave the lookback of 30d: from 2026-01-31 on no event counts for this",
        "these days leave the lookback of 36h: from 2026-01-03T12:00:00Z on the audience"
        " `c` is empty",
    ]


def fading(body: str, lookback: str = "30d") -> list[str]:
    found = [w for w in warnings_in(body, lookback) if w.code == "fading-window"]
    return [w.message.partition(": ")[2] for w in found]


def test_of_several_calendar_windows_the_date_is_when_the_audience_is_empty() -> None:
    january, march = "{event: A, when: {on: 2026-01-01}}", "{event: B, when: {on: 2026-03-01}}"
    first, last = "from 2026-01-04 on", "from 2026-03-04 on"
    few = "{event: C, when: {on: 2026-01-01}, count: {at_most: 3}}"
    body = f"""audiences:
  - {{id: a, criteria: {{any: [{january}, {march}]}}}}
  - {{id: b, criteria: {{all: [{march}, {january}]}}}}
  - {{id: c, criteria: {{any: [{january}, {{event: C, when: {{last: 2d}}}}]}}}}
  - {{id: d, criteria: {few}}}
"""
    assert fading(body, "2d") == [
        f"{first} no event counts for this, and {last} the audience `a` is empty",
        f"{last} the audience `a` is empty",
        f"{last} no event counts for this, and {first} the audience `b` is empty",
        f"{first} the audience `b` is empty",
        f"{first} no event counts for this",
        f"{first} no event counts for this",
    ]


def test_dates_are_written_in_full() -> None:
    body = "audiences: [{id: a, criteria: {event: A, when: {on: 0001-01-01}}}]\n"
    assert fading(body, "1d") == ["from 0001-01-03 on the audience `a` is empty"]
    assert fading(body, "1500ms") == ["from 0001-01-02T00:00:01.500Z on the audience `a` is empty"]


def test_each_workspace_whose_lookback_is_exceeded_is_named() -> None:
    head = """version: 1
account: shop
workspaces:
  - {id: w, lookback: 30d, inputs: [{id: web, kind: platform, api_key: k}]}
  - {id: v, lookback: 7d, inputs: [{id: crm, kind: feed, api_key: l}]}
audiences:
"""
    for name, window in zip("abc", ["last: 10d", "last: 60d", "last: 7d"], strict=True):
        head += f"  - {{id: {name}, criteria: {{event: A, when: {{{window}}}}}}}\n"
    head += "  - {id: e, lookback: 3d, criteria: {event: A, when: {last: 5d}}}\n"
    loaded = load_text(head)
    assert loaded.problems == []
    found = [(*w.related, w.message) for w in warnings_of(loaded) if w.code == "beyond-lookback"]
    rest = "what is really evaluated there is"
    assert found == [
        ("a", f"the window reaches back 10d, but the lookback of `v` is 7d: {rest} the last 7d"),
        ("b", f"the window reaches back 60d, but the lookback of `w` is 30d: {rest} the last 30d"),
        ("b", f"the window reaches back 60d, but the lookback of `v` is 7d: {rest} the last 7d"),
        ("e", "the window reaches back 5d, but the lookback is 3d: what is really evaluated is the"
         " last 3d"),
    ]  # fmt: skip


def test_a_sequence_that_may_last_longer_than_the_lookback_is_a_warning() -> None:
    steps = "sequence: [{event: A}, {event: B}]"
    body = f"""audiences:
  - {{id: a, criteria: {{{steps}, within: 60d}}}}
  - {{id: b, criteria: {{{steps}, within: 30d}}}}
  - {{id: c, lookback: 7d, criteria: {{{steps}, within: 8d}}}}
"""
    found = [w for w in warnings_in(body) if w.code == "beyond-lookback"]
    assert [(w.line, w.path, w.message) for w in found] == [
        (
            11,
            "audiences[0].criteria.within",
            "the sequence may last 60d, but the lookback is 30d, so in 30d it must be over",
        ),
        (
            13,
            "audiences[2].criteria.within",
            "the sequence may last 8d, but the lookback is 7d, so in 7d it must be over",
        ),
    ]
    assert "beyond-lookback" not in {w.code for w in warnings_in(body, "unlimited")[:2]}


def test_criteria_whose_state_grows_are_named() -> None:
    body = """audiences:
  - {id: a, criteria: {event: A, when: {between: [6d, 4d]}}}
  - {id: b, criteria: {sequence: [{event: A}, {event: B}], within: 2h}}
  - {id: c, criteria: {cart_abandonment: {wait: 2h}}}
  - {id: d, criteria: {calculated_attribute: total, at_least: 5}}
  - {id: e, criteria: {calculated_attribute: newest, last: 5d}}
  - {id: f, criteria: {event: A, count: {at_least: 1000}, when: {on: 2026-01-01}}}
calculated_attributes:
  - {id: total, calculation: sum, of: {commerce: purchase, field: total_amount}, within: 5d}
  - {id: newest, calculation: last_occurrence_timestamp, of: {event: A}}
"""
    found = [w for w in warnings_in(body) if w.code == "unbounded-state"]
    assert [w.related for w in found] == [("a",), ("b",), ("c",), ("d",)]
    assert found[3].message == (
        "`calculated_attribute: total` keeps an entry for every event that `total` is made of,"
        " until it leaves the window, so a profile's state grows with its traffic"
    )


def test_the_window_of_a_calculated_attribute_may_lie_beyond_the_lookback() -> None:
    body = """calculated_attributes:
  - {id: ltv, calculation: count, of: {event: A}, within: 90d}
"""
    assert lines_of(body) == [
        "definitions.yaml:11:51: calculated_attributes[0].within: the window reaches back 90d, but"
        " the lookback is 30d, so that is what is really evaluated; shorten the window, or lengthen"
        " the lookback of the workspace [beyond-lookback]"
    ]


def test_unconnected_audiences_are_reported_with_outputs_and_without() -> None:
    body = """audiences:
  - {id: a, criteria: {event: A}}
  - {id: b, criteria: {event: B}}
  - {id: c, status: draft, criteria: {event: C}}
  - {id: d, criteria: {event: D}}
"""
    found = all_warnings_in(body)
    assert [(w.code, w.related) for w in found] == [
        ("unconnected", ("a",)), ("unconnected", ("b",)), ("unconnected", ("d",)),
    ]  # fmt: skip
    body += """outputs:
  - {id: all, connector: webhook, settings: {url: "https://example.com", secret: "${SECRET}"}}
connections:
  - {audience: a, output: all}
  - {audience: d, output: all, status: inactive}
"""
    assert [(w.code, w.related) for w in all_warnings_in(body)] == [("unconnected", ("b",))]


HEAD_OF_ONE = """version: 1
account: shop
workspaces:
  - {id: main, inputs: [{id: web, kind: platform}]}
"""


def warned(body: str) -> list[tuple[str, int, tuple[str, ...]]]:
    loaded = load_text(HEAD_OF_ONE + body)
    assert loaded.errors
    found = warnings_of(loaded)
    assert all(w.path.split(".")[0] for w in found)
    return [(w.code, w.line, w.related) for w in found]


def test_what_has_no_error_is_warned_about_where_other_definitions_have() -> None:
    body = """audiences:
  - {id: wrong, criteria: {event: A, wher: []}}
  - {id: never, criteria: {all: [{event: A}, {not: {event: A}}]}}
  - {id: refers, criteria: {all: [{audience: wrong}, {not: {audience: wrong}}]}}
  - {id: again, criteria: {not: {audience: refers}}}
  - {id: below, criteria: {not: {any: [{audience: trial/paid}, {audience: trial/paid}]}}}
  - {id: some, criteria: {event: B, when: {last: 60d}}}
  - {id: more, criteria: {calculated_attribute: broken, at_least: 1}}
  - {id: more, criteria: {event: B}}
journeys:
  - id: trial
    milestones:
      - {id: paid, criteria: {evnt: A}}
      - {criteria: {event: A}, then: [{id: deep, criteria: {event: C}}]}
  - id: fine
    milestones:
      - {id: all, criteria: {any: [{event: C}, {not: {event: C}}]}}
      - {id: rest, remaining: true}
calculated_attributes:
  - {id: broken, calculation: total, of: {event: A}}
connections:
  - {audience: nobody, output: nowhere}
"""
    assert warned(body) == [
        ("never-true", 7, ("never",)),
        ("beyond-lookback", 11, ("some",)),
        ("always-true", 21, ("fine/all",)),
        ("unreachable-milestone", 22, ("fine/rest",)),
    ]


def test_an_error_of_all_definitions_leaves_nothing_to_warn_about() -> None:
    never = "  - {id: never, criteria: {all: [{event: A}, {not: {event: A}}]}}\n"
    assert warned("audience: []\naudiences:\n" + never) == []
    assert warned("audiences:\n" + never + "  - {id: never, criteria: {event: A}}\n") == []
    assert warned("event_tiers: []\naudiences:\n" + never) == []
    assert warnings_of(load_text("version: 1")) == []
    assert warnings_of(load_text("version: [")) == []

"""Short ways to lint a definition file around what a test is about."""

from cdp_stream.definitions import Problem, load_text
from cdp_stream.lint import warnings_of

HEAD = """version: 1
account: shop
workspaces:
  - id: main
    lookback: {lookback}
    inputs:
      - {{id: web, kind: platform}}
      - {{id: app, kind: platform}}
      - {{id: crm, kind: feed, tier: preserve}}
"""


def warnings_in(body: str, lookback: str = "30d") -> list[Problem]:
    """The warnings of a file whose workspace is as in `HEAD`, but those of missing connections."""
    return [w for w in all_warnings_in(body, lookback) if w.code != "unconnected"]


def all_warnings_in(body: str, lookback: str = "30d") -> list[Problem]:
    """The same with those."""
    loaded = load_text(HEAD.format(lookback=lookback) + body)
    assert loaded.problems == []
    return warnings_of(loaded)


def about(*criteria: str, own: str = "", lookback: str = "30d") -> list[tuple[str, ...]]:
    """The code and related ids of the warnings about audiences `a`, `b`, ... with these criteria,
    in flow style; those of how the state grows left out.
    """
    lines = ["audiences:"]
    for name, text in zip("abcdefgh", criteria, strict=False):
        lines.append(f"  - {{id: {name}, criteria: {text}{own and ', ' + own}}}")
    found = warnings_in("\n".join(lines) + "\n", lookback)
    return [(w.code, *w.related) for w in found if w.code != "unbounded-state"]

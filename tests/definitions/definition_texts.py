"""Short ways to write a definition file around what a test is about."""

from cdp_stream.core.model.criterion import Expression
from cdp_stream.core.model.definition import Audience
from cdp_stream.definitions import load_text

HEAD = """
version: 1
account: shop
workspaces:
  - id: main
    lookback: {lookback}
    inputs:
      - {{id: web, kind: platform}}
      - {{id: app, kind: platform}}
"""


def audiences_in(body: str, lookback: str = "unlimited") -> dict[str, Audience]:
    """The audiences and milestones of a file whose workspace is as in `HEAD`."""
    loaded = load_text(HEAD.format(lookback=lookback) + body)
    assert loaded.problems == []
    assert loaded.account is not None
    return {audience.id: audience for audience in loaded.account.audiences}


def audience_of(criteria: str, own: str = "", lookback: str = "unlimited") -> Audience:
    """The only audience, with criteria in flow style."""
    body = f"audiences:\n  - id: a\n    criteria: {criteria}\n"
    if own:
        body += f"    {own}\n"
    return audiences_in(body, lookback)["a"]


def expression_of(criteria: str, own: str = "", lookback: str = "unlimited") -> Expression:
    """The expression of the only audience."""
    return audience_of(criteria, own, lookback).expression


def problems_of(criteria: str) -> list[str]:
    """Codes of the problems of an only audience."""
    body = f"audiences:\n  - id: a\n    criteria: {criteria}\n"
    return [problem.code for problem in load_text(HEAD.format(lookback="30d") + body).problems]

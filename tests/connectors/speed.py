"""How long each connector takes to make requests of changes, and to read the answers.

`python -m tests.connectors.speed [NAME...]` prints µs of CPU a change, in full batches, with a
partner whose answers were made beforehand. The budget is 15.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from cdp_stream.collector import calm_collector
from cdp_stream.connectors.change import OutputChange
from cdp_stream.connectors.connector import HttpConnector
from cdp_stream.connectors.exchange import Answer, Request
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from tests.connectors.changes import change, identity_types
from tests.connectors.conformance import Case, nth
from tests.partners.converse import converse

ROUNDS = 5
MOST = 10_000


def changes_for(case: Case) -> list[OutputChange[Any]]:
    """A full batch, two identities each."""
    types = identity_types(case.connector)[:2]
    count = min(case.exchange().connector.gathering.count, MOST)
    return [
        case.filled(change(mpid=str(n), identities={one: nth(one, n) for one in types}))
        for n in range(1, count + 1)
    ]


def measured(case: Case) -> float:
    """The best of some rounds: µs a change."""
    changes = changes_for(case)
    partner = case.partner()
    partner.quota = None
    answers: list[Answer] = []
    # What the partner says is known beforehand: its own time does not count.
    converse(case.exchange(), changes, lambda request: _kept(answers, partner.answer(request)))
    best = float("inf")
    for _ in range(ROUNDS):
        said, exchange = iter(answers), case.exchange()
        begun = time.process_time()
        converse(exchange, changes, partial(_next_of, said))
        best = min(best, time.process_time() - begun)
    return 1e6 * best / len(changes)


def _kept(answers: list[Answer], answer: Answer) -> Answer:
    answers.append(answer)
    return answer


def _next_of(said: Iterator[Answer], _request: Request) -> Answer:
    return next(said)


def main(names: list[str]) -> None:
    """Print a line a connector."""
    calm_collector()  # as sinks do
    for name in names or CONNECTORS:
        if not issubclass(connector_class(name), HttpConnector):
            continue
        module = import_module(f"tests.connectors.test_{CONNECTORS[name].partition(':')[0]}")
        suites = [one for key, one in vars(module).items() if key.startswith("TestConforms")]
        for suite in suites:
            cost = measured(suite.case)
            print(f"{name:<22} {cost:6.1f} µs  {'' if cost <= 15 else 'over the budget'}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])

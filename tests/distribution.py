"""How tests are dealt out to the processes that run them side by side (`--dist loadgroup`).

Tests that share a broker of their own, and the quick tests of a file, stay together. Everything
else goes one by one to whichever process is free. Tests on brokers wait for most of their time, and
quick tests compute: they alternate, so that each process waits while others compute, and the quick
ones come last, so that all processes end together.
"""

from collections import defaultdict

import pytest

from tests.brokers.fixtures import OF_SEVERAL_TESTS

_LONG = ("kafka", "embedded", "slow")
_SHARED = {*OF_SEVERAL_TESTS, "postgresql"}
_ALTERNATING = 0.8
"""The share of the quick tests that the others are spread over."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("loadgroup", False):
        return
    together, alone, quick = defaultdict(list), [], defaultdict(list)
    for item in items:
        shared = _SHARED.intersection(getattr(item, "fixturenames", ()))
        if shared:
            name = min(shared)
            together[name].append(item)
        elif any(item.get_closest_marker(mark) for mark in _LONG):
            alone.append([item])
            continue
        else:
            name = str(item.path.relative_to(config.rootpath / "tests").with_suffix(""))
            quick[name].append(item)
        item.add_marker(pytest.mark.xdist_group(name))
    longest_first = sorted(together.values(), key=len, reverse=True)
    units = [*longest_first, *_alternating(alone, list(quick.values()))]
    items[:] = [item for unit in units for item in unit]


def _alternating(
    alone: list[list[pytest.Item]], quick: list[list[pytest.Item]]
) -> list[list[pytest.Item]]:
    placed = [(_ALTERNATING * n / len(alone), unit) for n, unit in enumerate(alone)]
    placed += [(n / len(quick), unit) for n, unit in enumerate(quick)]
    return [unit for _place, unit in sorted(placed, key=lambda pair: pair[0])]

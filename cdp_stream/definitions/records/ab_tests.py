"""Reads A/B tests: percentages into buckets.

Source: docs/semantics.md, A/B tests.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from cdp_stream.core.model.ab_test import BUCKETS
from cdp_stream.core.model.definition import AbTest, Variant
from cdp_stream.definitions.account.records import Read, read_record
from cdp_stream.definitions.account.schema import AbTestRecord, VariantRecord
from cdp_stream.definitions.source.nodes import Mark, Node, Scalar, Sequence, describe, shown
from cdp_stream.definitions.source.problems import Problems

CONTROL: Final = "Control"
MAX_VARIANTS: Final = 5
_WHOLE: Final = 100


def read_ab_test(node: Node | None, path: str, seed: str, problems: Problems) -> AbTest | None:
    """The A/B test that a node is, with this seed unless it has its own.

    None when there is none, or something in it is wrong.
    """
    if node is None:
        return None
    before = len(problems.found)
    read = read_record(AbTestRecord, node, path, problems)
    if read is None:
        return None
    _check_number(read, problems)
    variants: list[Variant] = []
    names: dict[str, Mark] = {}
    reached = Decimal(0)
    for place, (item, at) in enumerate(read.items("variants"), start=1):
        variant = read_record(VariantRecord, item, at, problems)
        if variant is None:
            continue
        name = variant.record.name
        if name is None:
            name = f"Variant {place}"
        if "name" not in variant.wrong:
            _check_name(name, variant, names, problems)
        if "percent" not in variant.wrong:
            reached += _percent(variant.record.percent, f"{at}.percent", problems)
        variants.append(Variant(name, int(reached * BUCKETS / _WHOLE)))
    if reached > _WHOLE:
        message = f"the variants have {reached:f} percent together"
        advice = f"at most {_WHOLE}; {CONTROL} gets what they leave"
        at = f"{path}.variants"
        problems.error("shares-over-100", read.mark("variants"), at, message, advice)
    if len(problems.found) > before:
        return None
    variants.append(Variant(CONTROL, BUCKETS))
    own = read.record.seed
    return AbTest(seed if own is None else own, tuple(variants))


def _check_number(read: Read[AbTestRecord], problems: Problems) -> None:
    value = read.node.get("variants")
    if not isinstance(value, Sequence):
        return
    at = f"{read.path}.variants"
    if not value.items:
        message = "an A/B test needs at least one variant in addition to Control"
        problems.error("empty-list", value.mark, at, message, "as `- {percent: 50}`")
    if len(value.items) >= MAX_VARIANTS:
        message = f"{len(value.items)} variants and {CONTROL} are too many"
        advice = f"at most {MAX_VARIANTS} with {CONTROL}"
        mark = value.items[MAX_VARIANTS - 1].mark
        problems.error("too-many-variants", mark, at, message, advice)


def _check_name(
    name: str, variant: Read[VariantRecord], names: dict[str, Mark], problems: Problems
) -> None:
    """Names differ in more than their case, and none is Control."""
    at, mark = f"{variant.path}.name", variant.mark("name")
    folded = name.casefold()
    if folded == CONTROL.casefold():
        message = f"`{CONTROL}` is the variant that gets what the others leave"
        problems.error("bad-value", mark, at, message, "leave it out, or give it another name")
    elif folded in names:
        message = f"the variant `{shown(name)}` is already at line {names[folded].line}"
        problems.error("duplicate-name", mark, at, message, "give one of the two another name")
    names.setdefault(folded, mark)


def _percent(node: object, path: str, problems: Problems) -> Decimal:
    """The percentage, 0 where it is wrong."""
    assert isinstance(node, Node)
    value = node.value if isinstance(node, Scalar) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 <= value <= _WHOLE:  # type: ignore[operator]
        percent = Decimal(repr(value))
        if percent * _WHOLE % 1 == 0:
            return percent
    advice = f"a number from 0 to {_WHOLE}, with at most two decimals, as `40` or `33.33`"
    problems.error(
        "bad-percent", node.mark, path, f"{describe(node)} is not a valid percentage", advice
    )
    return Decimal(0)

"""Reads `where`: tests on the values of one event.

Source: docs/definitions.md, where.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.model.criterion import Condition, Source
from cdp_stream.definitions.criteria.tests_on_values import VALUE_OPERATORS, read_test
from cdp_stream.definitions.source.nodes import Mapping, Node, Sequence, describe, shown
from cdp_stream.definitions.source.problems import Problems
from cdp_stream.definitions.synonyms import meanings_of

SOURCES: Final = tuple(source.value for source in Source)
APP_FIELDS: Final = ("version", "build")
PRODUCT_SOURCES: Final = frozenset({Source.PRODUCT, Source.PRODUCT_ATTRIBUTE})
_GROUPS: Final = frozenset({"all", "any", "not"})
_FOLDED_SOURCES: Final = frozenset({Source.ATTRIBUTE, Source.PRODUCT_ATTRIBUTE})


def read_where(
    node: Node, path: str, problems: Problems, products_only: bool = False
) -> tuple[Condition, ...]:
    """The conditions of a `where` list, without those that are wrong.

    With `products_only` they may look at nothing but the product.
    """
    if not isinstance(node, Sequence):
        advice = "as `where: [{attribute: category, equals: x}]`"
        problems.wrong_type(node, path, "a list of conditions", advice)
        return ()
    if not node.items:
        advice = "leave `where` out to count every event"
        problems.error("empty-list", node.mark, path, "the list is empty", advice)
    conditions = [
        _read_condition(item, f"{path}[{index}]", problems) for index, item in enumerate(node.items)
    ]
    if products_only:
        for index, condition in enumerate(conditions):
            if condition is not None and condition.source not in PRODUCT_SOURCES:
                item, source = node.items[index], condition.source.value
                assert isinstance(item, Mapping)
                message = f"only products are tested here, not `{source}`"
                advice = "write `product` or `product_attribute`"
                at = f"{path}[{index}].{source}"
                problems.error("misplaced-key", item.mark_of(source), at, message, advice)
    return tuple(condition for condition in conditions if condition is not None)


def _read_condition(node: Node, path: str, problems: Problems) -> Condition | None:
    if not isinstance(node, Mapping):
        problems.wrong_type(node, path, "a mapping", "as `{attribute: category, equals: x}`")
        return None
    named = [key for key in node.entries if key in SOURCES]
    unknown = [key for key in node.entries if key not in SOURCES and key not in VALUE_OPERATORS]
    for key in unknown:
        advice = problems.word_or_list(key, (*SOURCES, *VALUE_OPERATORS) if named else SOURCES)
        if not named and _GROUPS.intersection((key, *meanings_of(key))):
            advice = "all conditions of `where` must hold; write a criterion for each way to hold"
        at = node.mark_of(key)
        problems.error(
            "unknown-key", at, f"{path}.{shown(key)}", f"unknown key `{shown(key)}`", advice
        )
    if not named and not unknown:
        choices = ", ".join(f"`{source}`" for source in SOURCES)
        message = "a condition needs the place of its value"
        problems.error("missing-subject", node.mark, path, message, f"add one of {choices}")
    elif len(named) > 1:
        message = f"a condition tests one value, not {' and '.join(f'`{key}`' for key in named)}"
        advice = "write an entry of `where` for each"
        problems.error(
            "many-subjects", node.mark_of(named[1]), f"{path}.{named[1]}", message, advice
        )
    test = read_test(node, path, problems, complain_of_none=not unknown)
    if len(named) != 1:
        return None
    source = Source(named[0])
    value_key = read_key(source, node.entries[source].value, f"{path}.{source}", problems)
    return None if value_key is None or test is None else Condition(source, value_key, test)


def read_key(source: Source, node: Node, path: str, problems: Problems) -> str | None:
    """The key under which a source has the value, None when it is wrong."""
    key = problems.text_of(node, path, f"the {source.value.replace('_', ' ')} to test")
    if key is None:
        return None
    if source is Source.APP and key not in APP_FIELDS:
        problems.bad_word(node, path, f"{describe(node)} is not a field of the app", APP_FIELDS)
        return None
    return folded_key(key) if source in _FOLDED_SOURCES else key


def folded_key(key: str) -> str:
    """An attribute key as it is compared: exact, save reserved keys (`$...`), which ignore case."""
    return key.casefold() if key.startswith("$") else key

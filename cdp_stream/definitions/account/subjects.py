"""Reads which events a criterion, or an entry of `event_tiers`, is about.

Names are case-folded, and two ways to write the same subject give the same `Subject`.

Source: docs/definitions.md, criteria.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.model.subject import (
    ATTRIBUTION,
    COMMERCE,
    CRASH,
    EVENT,
    INSTALL,
    SESSION,
    SUBJECTS,
    UNINSTALL,
    UPGRADE,
    Subject,
)
from cdp_stream.definitions.source.nodes import Mapping, Node, Scalar, describe, shown
from cdp_stream.definitions.source.problems import Problems

ANY: Final = "any"
PRODUCT_ACTIONS: Final = (
    "add_to_cart", "remove_from_cart", "checkout", "checkout_option", "click", "view_detail",
    "purchase", "refund", "add_to_wishlist", "remove_from_wish_list",
)  # fmt: skip
COMMERCE_ACTIONS: Final = (*PRODUCT_ACTIONS, "promotion_view", "promotion_click", "impression")
SESSION_ENDS: Final = ("start", "end")
LIFECYCLE: Final = frozenset({INSTALL, UPGRADE, UNINSTALL, CRASH})
_NARROWED: Final = ("name", "custom_event_type")


def read_subject(kind: str, node: Node, path: str, problems: Problems) -> Subject | None:
    """The subject that `kind: node` names, None when it is wrong, with the problem noted."""
    assert kind in SUBJECTS, kind
    if kind == EVENT and isinstance(node, Mapping):
        return _read_narrowed(node, path, problems)
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        problems.wrong_type(node, path, "`any`" if kind in LIFECYCLE else "text, or `any`")
        return None
    name = node.value
    if kind in LIFECYCLE and name != ANY:
        message, advice = f"{describe(node)} narrows no {kind}", f"write `{kind}: any`"
        problems.error("bad-value", node.mark, path, message, advice)
        return None
    choices = {COMMERCE: (*COMMERCE_ACTIONS, ANY), SESSION: SESSION_ENDS}.get(kind)
    if choices is not None and name.casefold() not in choices:
        what = "commerce action" if kind == COMMERCE else "session event"
        problems.bad_word(node, path, f"`{shown(name)}` is not a valid {what}", choices)
        return None
    return Subject(kind, _folded(name))


def _read_narrowed(node: Mapping, path: str, problems: Problems) -> Subject | None:
    """`event: {name: N, custom_event_type: T}`; either may be left out, not both."""
    if not node.entries:
        problems.missing_key(node, path, "name", "add `name: any`")
    problems.unknown_keys(node, path, _NARROWED)
    texts = {}
    for key in _NARROWED:
        value = node.get(key)
        text = None if value is None else problems.text_of(value, f"{path}.{key}")
        if text is not None:
            texts[key] = _folded(text)
    if not node.entries or len(texts) < len(node.entries):
        return None
    name, custom_event_type = texts.get("name"), texts.get("custom_event_type")
    if custom_event_type == ATTRIBUTION:
        return Subject(ATTRIBUTION, name)
    return Subject(EVENT, name, custom_event_type)


def _folded(name: str) -> str | None:
    return None if name == ANY else name.casefold()


def subject_text(kind: str, node: Node) -> str:
    """The short form of a subject as written: `event: Play Video`, `event: Search (navigation)`."""
    if isinstance(node, Mapping):
        name = node.text("name") or ANY
        narrowed = node.text("custom_event_type")
        return f"{kind}: {name} ({narrowed})" if narrowed else f"{kind}: {name}"
    return f"{kind}: {node.value}" if isinstance(node, Scalar) else kind

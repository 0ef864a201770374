"""Reads consent criteria: the newest answer of the profile to a regulation and purpose.

Source: docs/definitions.md, consent.
"""

from __future__ import annotations

from typing import Final

from cdp_stream.core.model.operators import Test
from cdp_stream.definitions.criteria.criterion_keys import CONSENT, STATE
from cdp_stream.definitions.criteria.written import Written
from cdp_stream.definitions.source.nodes import Mapping, shown
from cdp_stream.definitions.source.problems import Problems

GDPR: Final = "gdpr"
CCPA: Final = "ccpa"
REGULATIONS: Final = (GDPR, CCPA)
_UNSET: Final = Test("exists", False)
STATES: Final[dict[str, dict[str, Test]]] = {
    GDPR: {"given": Test("is", True), "rejected": Test("is", False), "unset": _UNSET},
    CCPA: {"opted_out": Test("is", True), "not_opted_out": Test("is", False), "unset": _UNSET},
}
"""The states of each regulation, as tests of `consented`; under CCPA that means opted out."""
_KEYS: Final = ("regulation", "purpose")


def read_consent_key(criterion: Written) -> str | None:
    """`gdpr:PURPOSE`, the purpose case-folded, or `ccpa`; None when it is wrong."""
    node, path, problems = criterion.value, criterion.at(), criterion.problems
    if not isinstance(node, Mapping):
        advice = "as `{regulation: gdpr, purpose: newsletter}`"
        problems.wrong_type(node, path, "a mapping", advice)
        return None
    texts, fine = _read_texts(node, path, problems)
    regulation = texts.get("regulation")
    if "regulation" not in node.entries:
        advice = "add `regulation: gdpr` or `regulation: ccpa`"
        problems.missing_key(node, path, "regulation", advice)
    elif regulation is not None and regulation not in REGULATIONS:
        value = node.entries["regulation"].value
        message = f"`{shown(regulation)}` is not a valid regulation"
        problems.bad_word(value, f"{path}.regulation", message, REGULATIONS)
    elif regulation == GDPR and "purpose" not in node.entries:
        problems.missing_key(node, path, "purpose", "name the purpose, as `purpose: newsletter`")
    elif regulation == CCPA and "purpose" in node.entries:
        at, message = f"{path}.purpose", "`ccpa` has one purpose only, the sale of data"
        problems.error("misplaced-key", node.mark_of("purpose"), at, message, "leave it out")
    elif fine and regulation is not None:
        return f"{GDPR}:{texts['purpose']}" if regulation == GDPR else CCPA
    return None


def _read_texts(node: Mapping, path: str, problems: Problems) -> tuple[dict[str, str], bool]:
    """The folded texts of the known keys, and whether nothing else was there."""
    problems.unknown_keys(node, path, _KEYS)
    texts: dict[str, str] = {}
    for key in _KEYS:
        value = node.get(key)
        text = None if value is None else problems.text_of(value, f"{path}.{key}")
        if text is not None:
            texts[key] = text.casefold()
    return texts, len(texts) == len(node.entries)


def read_consent_state(criterion: Written, key: str | None) -> Test | None:
    """The test that `state` means; `key` None where the regulation is not known."""
    node, path, problems = criterion.node.get(STATE), criterion.at(STATE), criterion.problems
    regulation = None if key is None else key.partition(":")[0]
    known = [name for name in STATES if regulation in (name, None)]
    states = list(dict.fromkeys(state for name in known for state in STATES[name]))
    if node is None:
        advice = f"add one of {', '.join(f'`state: {state}`' for state in states)}"
        parent = f"{criterion.scope.prefix}{criterion.path}"
        problems.missing_key(criterion.node, parent, STATE, advice)
        return None
    text = problems.text_of(node, path, "one of " + ", ".join(f"`{name}`" for name in states))
    if text is None:
        return None
    if text.casefold() not in states:
        of = f"`{regulation}` {CONSENT}" if regulation else CONSENT
        problems.bad_word(node, path, f"`{shown(text)}` is not a valid state of {of}", states)
        return None
    return None if regulation is None else STATES[regulation][text.casefold()]

"""Changes to a good record, and the values to put into it."""

import json

from hypothesis import strategies as st

numbers = (
    st.integers(-(10**40), 10**40)
    | st.sampled_from(
        [2**63, 2**63 - 1, -(2**63), 253_402_300_799_999, 253_402_300_800_000, 10**300]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
)
RARE = {
    "<1e400>": "1e400",
    "<-1e400>": "-1e400",
    "<digits>": "9" * 400,
    "<half a pair>": r'"\ud800"',
    "<its other half>": r'"a\udfffb"',
}
"""Texts that stand for JSON that few parsers take: `written` puts that in their place."""
scalars = (
    st.none()
    | st.booleans()
    | numbers
    | st.text(max_size=8)
    | st.sampled_from(["\x00", "é" * 300, "v" * 5000])
    | st.sampled_from(sorted(RARE))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(document, path=()):
    yield path
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, child in items:
        yield from paths(child, (*path, key))


def replaced(document, path, value):
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def without(document, path):
    copy = dict(document) if isinstance(document, dict) else list(document)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(document[path[0]], path[1:])
    return copy


def written(document) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for mark, rare in RARE.items():
        text = text.replace(f'"{mark}"', rare)
    return text.encode()

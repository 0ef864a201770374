"""Random connections of a definition file, and what becomes of them as definitions change."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from tests.properties.recount_account import Account, Audience
from tests.properties.value_strategies import ATTRIBUTES

Json = Any
CONNECTORS: Final[dict[str, list[str] | None]] = {
    "all": None,
    "mail": ["email"],
    "two": ["email", "customer_id"],
    "none": ["facebook"],
}
"""The identity types that each accepts; None is every one."""
OUTPUTS = ["out", "side"]
SHARED = [key for key in ATTRIBUTES if key != "$V"]
"""Definitions fold reserved keys before the engine sees them."""
MPID = 12
"""Most batches are of this profile."""


@st.composite
def outputs(draw: st.DrawFn, before: Json | None) -> Json:
    """The connector of each output; seldom another than before, when the output is a new one."""
    found = {}
    for name in OUTPUTS:
        kept = before is not None and draw(st.integers(0, 7)) < 7
        found[name] = before[name] if kept else draw(st.sampled_from(sorted(CONNECTORS)))
    return found


@st.composite
def connections(
    draw: st.DrawFn, definitions: Json, connectors: Json, before: list[Json]
) -> list[Json]:
    """The connections of a definition file, as an edit of those that were there before."""
    account = Account(definitions)
    known = {one["id"]: one for one in before}
    found = []
    for audience in account.audiences.values():
        for variant in parts_of(audience):
            for output in OUTPUTS:
                name = audience.id if variant is None else f"{audience.id}#{variant}"
                identity = f"{name}@{output}"
                if identity in known:
                    what = draw(edited(account, known[identity]))
                elif draw(st.integers(0, 4)) < (1 if output == "out" else 4):
                    what = None
                else:
                    active = draw(st.integers(0, 3)) < 3
                    what = {"active": active, "list": 0, "share": draw(shares(account))}
                if what is not None:
                    parts = {"audience": audience.id, "variant": variant, "output": output}
                    types = {"identities": CONNECTORS[connectors[output]]}
                    found.append({"id": identity, **parts, **what, **types})
    return found


@st.composite
def edited(draw: st.DrawFn, account: Account, was: Json) -> Json | None:
    """What becomes of a connection; None where it is removed."""
    edit = draw(st.sampled_from([None, None, "remove", "active", "list", "share", "share"]))
    if edit == "remove":
        return None
    share = [name for name in was["share"] if name in (*SHARED, *account.calculated)]
    return {
        "active": was["active"] is not (edit == "active"),
        "list": 1 - was["list"] if edit == "list" else was["list"],
        "share": draw(shares(account)) if edit == "share" else share,
    }


def parts_of(audience: Audience) -> list[str | None]:
    """The whole audience, and of its test the variant that most batches are of, and the last."""
    names = audience.variants()
    return list(dict.fromkeys([None, *([audience.variant_of(MPID), names[-1]] if names else [])]))


def shares(account: Account) -> st.SearchStrategy[list[str]]:
    """Some attributes to share."""
    names = [*account.calculated, *account.calculated, *SHARED]
    return st.lists(st.sampled_from(names), max_size=3, unique=True)

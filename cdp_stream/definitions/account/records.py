"""Reads one record: its node against its model, every finding at the key it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from cdp_stream.definitions.account.schema import AcceptanceRecord, Record
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import CODES, Problems

R = TypeVar("R", bound=Record)

ACCEPT: Final = "accept"
"""The key of the warnings that a definition accepts."""

_EXPECTED: Final = {
    "string_type": "text",
    "bool_type": "`true` or `false`",
    "list_type": "a list",
    "is_instance_of": "a list",
}
_STAND_INS: Final[dict[str, Any]] = {
    "version": 1, "id": "unnamed", "kind": "platform", "calculation": "count", "inputs": None,
    "criteria": None, "connector": "", "output": "", "warning": "equal", "reason": "none",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read(Generic[R]):
    """A record, with stand-ins for what was wrong, so that the rest of it can still be checked.

    Attributes:
        wrong: the keys that are missing or wrong; the record's values for them mean nothing.
    """

    record: R
    node: Mapping
    path: str
    wrong: frozenset[str]

    def mark(self, key: str) -> Mark:
        """Where a key of the record is written."""
        return self.node.mark_of(key)

    def items(self, key: str) -> list[tuple[Node, str]]:
        """The nodes of a list under a key, each with its path; none where there is no list."""
        value = self.node.get(key)
        base = f"{self.path}.{key}" if self.path else key
        if not isinstance(value, Sequence):
            return []
        return [(item, f"{base}[{index}]") for index, item in enumerate(value.items)]


def read_record(model: type[R], node: Node, path: str, problems: Problems) -> Read[R] | None:
    """The record that a node is, None when it is not even a mapping."""
    if not isinstance(node, Mapping):
        problems.wrong_type(node, path, "a mapping")
        return None
    values = {key: _value(entry.value, key in model.NODES) for key, entry in node.entries.items()}
    wrong: set[str] = set()
    try:
        record = model.model_validate(values)
    except ValidationError as error:
        for finding in error.errors(include_url=False):
            wrong.add(str(finding["loc"][0]))
            _note(finding, model, node, path, problems)
        record = _without(model, values, wrong)
    read = Read(record, node, path, frozenset(wrong))
    if ACCEPT in model.model_fields:
        _check_acceptances(read, problems)
    return read


def _check_acceptances(read: Read[R], problems: Problems) -> None:
    """Note what is wrong with the warnings that a definition accepts."""
    value, at = read.node.get(ACCEPT), f"{read.path}.{ACCEPT}" if read.path else ACCEPT
    if isinstance(value, Sequence) and not value.items:
        problems.error("empty-list", value.mark, at, "the list is empty", "leave the key out")
    for item, path in read.items(ACCEPT):
        read_record(AcceptanceRecord, item, path, problems)


def _value(node: Node, keep: bool) -> Any:
    """What pydantic sees of a node; a mapping stays a node, which fits no type."""
    if isinstance(node, Scalar) and not keep:
        return node.value
    if isinstance(node, Sequence) and not keep:
        return [_value(item, keep=False) for item in node.items]
    return node


def _without(model: type[R], values: dict[str, Any], wrong: set[str]) -> R:
    """The record with its wrong keys at their defaults, or at stand-ins where there are none."""
    kept = {key: value for key, value in values.items() if key not in wrong}
    for name, spec in model.model_fields.items():
        if name not in kept and spec.is_required():
            kept[name] = Sequence(Mark("", 1, 1)) if name in model.NODES else _STAND_INS[name]
    return model.model_validate(kept)


def _note(finding: Any, model: type[Record], node: Mapping, path: str, problems: Problems) -> None:
    """One finding of pydantic as a problem of ours."""
    location = finding["loc"]
    key = str(location[0])
    kind, context = finding["type"], finding.get("ctx", {})
    at, where = _place(node, path, location)
    if kind == "missing":
        problems.error(
            "missing-key", node.mark, where, f"the key `{key}` is missing", f"add `{key}:`"
        )
    elif kind == "extra_forbidden":
        note_unknown_key(key, node.mark_of(key), where, model, problems)
    elif kind == "literal_error":
        choices = list(_choices(context["expected"]))
        if isinstance(at, Scalar) and isinstance(at.value, str):
            problems.bad_word(at, where, f"`{shown(at.value)}` is not a valid {key}", choices)
        else:
            expected = "one of " + ", ".join(f"`{choice}`" for choice in choices)
            problems.wrong_type(at, where, expected)
    elif kind in CODES:
        problems.error(kind, at.mark, where, finding["msg"], context.get("advice"))
    else:
        problems.wrong_type(at, where, _EXPECTED[kind])


def _place(node: Mapping, path: str, location: tuple[int | str, ...]) -> tuple[Node, str]:
    """The node that a finding is about, and its path."""
    at: Node = node
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
            at = at.items[step] if isinstance(at, Sequence) else at
        else:
            path = f"{path}.{shown(step)}" if path else shown(step)
            at = (at.get(step) or at) if isinstance(at, Mapping) else at
    return at, path


def _choices(expected: str) -> list[str]:
    """The words of pydantic's `'a', 'b' or 'c'`."""
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def note_unknown_key(
    key: str, at: Mark, path: str, model: type[Record], problems: Problems
) -> None:
    """Note a key that a record does not have."""
    known = list(model.model_fields)
    problems.error(
        "unknown-key", at, path, f"unknown key `{shown(key)}`", problems.word_or_list(key, known)
    )

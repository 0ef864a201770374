"""Checks the settings of an output or a connection against what the connector declares.

`${NAME}` is not filled in here: what has one is a value that is not known yet, so its type
is no problem. A secret must be written so, and what is there instead is never printed.

Source: docs/definitions.md, outputs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from cdp_stream.connectors.settings import secret_fields
from cdp_stream.core.secret_names import SECRET_PREFIX, SecretNames, names_in
from cdp_stream.definitions.source.nodes import Mapping, Mark, Node, Scalar, Sequence, shown
from cdp_stream.definitions.source.problems import Problems

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_EXPECTED: Final = {
    "string_type": "text",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def read_settings(
    node: Node | None, at: Mark, path: str, model: type[BaseModel], problems: Problems
) -> dict[str, Any]:
    """The settings as written; what is wrong with them is noted.

    Args:
        node: the value of `settings`; None where there is no such key.
        at: where the record is that lacks the key.
        path: of the settings.
    """
    if node is not None and not isinstance(node, Mapping):
        problems.wrong_type(node, path, "a mapping")
        return {}
    if node is None:
        node = Mapping(at)
    values: dict[str, Any] = plain(node)
    secrets = {_written_name(model, name) for name in secret_fields(model)}
    reported = {
        name
        for name in secrets & node.entries.keys()
        if not _check_secret(node.entries[name].value, f"{path}.{name}", name, problems)
    }
    try:
        # As JSON, so that a list does for any kind of list and nothing is turned into another type.
        model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        findings = error.errors(include_url=False, include_context=True)
        for finding in _one_of_each_place(findings):
            if finding["loc"][:1] not in {(name,) for name in reported}:
                _note(finding, model, node, path, problems)
    return values


def check_names(
    documents: Iterable[Mapping], secret_names: SecretNames, problems: Problems
) -> None:
    """Note every `${NAME}` in settings that operators do not allow.

    It depends on where the definitions run, and is no part of what they mean: versions that were
    applied before stay readable whatever operators allow now.
    """
    for document in documents:
        for kind in ("outputs", "connections"):
            records = document.get(kind)
            items = records.items if isinstance(records, Sequence) else []
            for number, record in enumerate(items):
                settings = record.get("settings") if isinstance(record, Mapping) else None
                if settings is None:
                    continue
                for scalar, path in _scalars(settings, f"{kind}[{number}].settings"):
                    _check_names(scalar, path, secret_names, problems)


def _scalars(node: Node, path: str) -> Iterator[tuple[Scalar, str]]:
    if isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from _scalars(entry.value, f"{path}.{shown(key)}")
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            yield from _scalars(item, f"{path}[{number}]")
    else:
        yield node, path


def _check_names(scalar: Scalar, path: str, secret_names: SecretNames, problems: Problems) -> None:
    for name in dict.fromkeys(names_in(scalar.value)):
        if not secret_names.allows(name):
            message, advice = secret_names.refusal(name), secret_names.advice(name)
            problems.error("secret-not-allowed", scalar.mark, path, message, advice)


def plain(node: Node) -> Any:
    """A node as JSON data."""
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def _one_of_each_place(findings: list[Any]) -> list[Any]:
    """A value that fits none of several types is reported once, by the first of them."""
    first: dict[Any, Any] = {}
    for finding in findings:
        first.setdefault(finding["loc"][:1] or ("",), finding)
    return list(first.values())


def _check_secret(node: Node, path: str, name: str, problems: Problems) -> bool:
    """Whether nothing is in clear. A secret is the name of an environment variable; inside a
    mapping or a list text may be around it, as in `Bearer ${TOKEN}`.
    """
    before, pending = len(problems.found), [(node, True)]
    while pending:
        part, alone = pending.pop()
        if isinstance(part, Mapping):
            pending += [(entry.value, False) for entry in part.entries.values()]
        elif isinstance(part, Sequence):
            pending += [(item, False) for item in part.items]
        elif part.value is not None and not _is_hidden(part, alone):
            message = f"`{name}` is a secret and is here in clear"
            own = re.sub(r"[^A-Z0-9]+", "_", name.upper()).removesuffix("SECRET").strip("_")
            variable = f"{SECRET_PREFIX}{own or 'KEY'}"
            advice = f"write `${{{variable}}}`"
            advice += ", and give it to the worker as an environment variable"
            problems.error("secret-in-clear", part.mark, path, message, advice)
    return len(problems.found) == before


def _is_hidden(scalar: Scalar, alone: bool) -> bool:
    if not isinstance(scalar.value, str):
        return False
    found = _REFERENCE.fullmatch if alone else _REFERENCE.search
    return found(scalar.value) is not None


def _note(
    finding: Any, model: type[BaseModel], node: Mapping, path: str, problems: Problems
) -> None:
    """One finding of pydantic as a problem of ours."""
    location, kind = finding["loc"], finding["type"]
    if not location:
        problems.error("bad-value", node.mark, path, _said(finding))
        return
    key = str(location[0])
    written: Any = node.get(key)
    where = f"{path}.{shown(key)}"
    if kind == "extra_forbidden" and len(location) == 1:
        known = [_written_name(model, name) for name in model.model_fields]
        advice = problems.near_or_list(key, known) if known else "it has no settings"
        message = f"unknown setting `{shown(key)}`"
        problems.error("unknown-key", node.mark_of(key), where, message, advice)
    elif written is None:
        message = f"the setting `{key}` is missing"
        problems.error("missing-key", node.mark, where, message, f"add `{key}:` under `settings:`")
    elif not _holds_reference(written):
        _note_value(finding, model, written, where, problems)


def _note_value(
    finding: Any, model: type[BaseModel], written: Node, where: str, problems: Problems
) -> None:
    kind, context = finding["type"], finding.get("ctx", {})
    at: Node = written
    for step in finding["loc"][1:]:
        if isinstance(at, Sequence) and isinstance(step, int) and step < len(at.items):
            at, where = at.items[step], f"{where}[{step}]"
        elif isinstance(at, Mapping) and (inner := at.get(str(step))) is not None:
            at, where = inner, f"{where}.{shown(str(step))}"
    name = str(finding["loc"][0])
    is_secret = name in {_written_name(model, secret) for secret in secret_fields(model)}
    if is_secret and kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind]}"
        problems.error("wrong-type", at.mark, where, message)
    elif kind in _EXPECTED:
        problems.wrong_type(at, where, _EXPECTED[kind])
    elif kind == "literal_error":
        choices = [one.strip("' ") for one in re.split(r", | or ", context["expected"])]
        word = at.value if isinstance(at, Scalar) and isinstance(at.value, str) else ""
        message = (
            f"this is not a valid {name}" if is_secret else f"`{shown(word)}` is not a valid {name}"
        )
        problems.error("bad-value", at.mark, where, message, problems.near_or_list(word, choices))
    else:
        problems.error("bad-value", at.mark, where, _said(finding))


def _said(finding: Any) -> str:
    """The message of pydantic, or of a connector's own check; without the value."""
    text = str(finding["msg"]).removeprefix("Value error, ")
    return shown(text[:1].lower() + text[1:], limit=200)


def _holds_reference(node: Node) -> bool:
    """Whether some of a value is filled in later."""
    if isinstance(node, Mapping):
        return any(_holds_reference(entry.value) for entry in node.entries.values())
    if isinstance(node, Sequence):
        return any(map(_holds_reference, node.items))
    return isinstance(node.value, str) and _REFERENCE.search(node.value) is not None


def _written_name(model: type[BaseModel], name: str) -> str:
    """The key of a field in a file, which may be another than its name in Python."""
    return model.model_fields[name].alias or name

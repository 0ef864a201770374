"""A converted definition as a definition file of ours, with its notes as comments.

Source: docs/importing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import Any, Final

import yaml

from cdp_stream.definitions.yaml_scalars import NumberTooLongError, plain_value
from cdp_stream.imports.convert import Converted

WIDTH: Final = 100
_SHORT: Final = 80


@dataclass(frozen=True, slots=True)
class Frame:
    """What a definition file needs besides the audience.

    Attributes:
        account: its id; None writes the audience alone, for an account that has its workspaces.
        source: the imported file, for the first comment.
    """

    account: str | None
    workspace: str
    audience_id: str
    source: str


class _Dumper(yaml.SafeDumper):
    """Writes what our reader reads, lists indented below their keys."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - of the base class
        """Write everything out."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists too."""
        super().increase_indent(flow, indentless=False)


# By YAML 1.2 dates are text, and so is every word but `true`, `false` and `null`.
_Dumper.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.rpartition(":")[2] in {"int", "float", "null"}
        or (tag.endswith(":bool") and first in "tTfF")
    ]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_text = plain_value(text) == text
    except NumberTooLongError:
        is_text = False
    style = None if is_text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _mapping(dumper: yaml.SafeDumper, mapping: dict[str, Any]) -> yaml.MappingNode:
    flat = not any(isinstance(value, dict | list) for value in mapping.values())
    short = len(str(mapping)) <= _SHORT
    nested_once = all(
        not isinstance(value, dict | list)
        or (isinstance(value, dict) and not any(isinstance(v, dict | list) for v in value.values()))
        or (isinstance(value, list) and not any(isinstance(v, dict | list) for v in value))
        for value in mapping.values()
    )
    flow = short and (flat or nested_once)
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping.items(), flow_style=flow)


def _sequence(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    flow = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)


def written(converted: Converted, frame: Frame) -> str:
    """The definition file."""
    lines = [f"Imported from {_one_line(frame.source)}, a definition of mParticle's audience-sdk."]
    if converted.left_out:
        lines.append(
            "Something was left out, so the audience is a draft: mend it, then delete `status`."
        )
    lines.extend(_one_line(str(note)) for note in converted.notes)
    comments = "".join(f"# {line}\n" for line in lines)
    return comments + _dumped(_document(converted, frame))


def _document(converted: Converted, frame: Frame) -> dict[str, Any]:
    document: dict[str, Any] = {"version": 1}
    if frame.account is not None:
        feed = {"id": f"{frame.workspace}-feed"[-64:], "kind": "feed"}
        workspace = {"id": frame.workspace, "lookback": "unlimited", "inputs": [feed]}
        document |= {"account": frame.account, "workspaces": [workspace]}
    audience: dict[str, Any] = {"id": frame.audience_id, "workspaces": [frame.workspace]}
    if converted.left_out:
        audience["status"] = "draft"
    audience["criteria"] = converted.criteria
    document["audiences"] = [audience]
    if converted.calculated:
        document["calculated_attributes"] = converted.calculated
    return document


def _dumped(document: dict[str, Any]) -> str:
    """The document, with an empty line before each list at its top."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            text = yaml.dump(
                value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH
            )
            parts.append(f"\n{key}:\n{indent(text, '  ')}")
        else:
            parts.append(f"{key}: {value}\n")
    return "".join(parts)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))

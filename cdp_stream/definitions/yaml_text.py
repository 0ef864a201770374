"""Values as YAML that our reader reads back as they are, laid out as people write definitions."""

from __future__ import annotations

from typing import Any, Final

import yaml

from cdp_stream.definitions.source.yaml_scalars import NumberTooLongError, plain_value

_WIDTH: Final = 100
_SHORT: Final = 80


class _Dumper(yaml.SafeDumper):
    """Writes what our reader reads, lists indented below their keys."""

    def ignore_aliases(self, data: Any) -> bool:
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


def yaml_text(value: Any) -> str:
    """A value as YAML, whose lines end with a newline; short mappings and lists are on one line."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text.removesuffix("...\n")

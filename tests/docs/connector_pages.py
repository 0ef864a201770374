"""The parts of docs/connectors that are made from the connectors' own declarations.

`python -m tests.docs.connector_pages` writes them anew into the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cdp_stream.connectors.connector import AnyConnector
from cdp_stream.connectors.describing import (
    DELETIONS,
    PATTERNS,
    Setting,
    batching_words,
    rate_words,
    settings_of,
)
from cdp_stream.connectors.registry import CONNECTORS, connector_class
from cdp_stream.connectors.settings import HttpSettings, OutputSettings
from tests.docs.console import ROOT

FOLDER = ROOT / "docs/connectors"
BEGIN, END = "<!-- from the code: begin -->\n", "<!-- from the code: end -->\n"
_SHARED = {*OutputSettings.model_fields, *HttpSettings.model_fields}


def made_part(name: str) -> str:
    """Facts and settings of one connector."""
    connector = connector_class(name)
    lines = [*_facts(connector)]
    own = [one for one in settings_of(connector.output_settings) if one.name not in _SHARED]
    lines += ["", "## Settings", ""]
    lines += _table(own) if own else ["None of its own."]
    shared = "shared-settings-over-http" if _is_http(connector) else "shared-settings"
    lines += ["", f"Also the settings of [every output](README.md#{shared})."]
    connection = settings_of(connector.connection_settings)
    lines += ["", "## Settings of a connection", ""]
    lines += _table(connection) if connection else ["None."]
    return "\n".join(lines) + "\n"


def made_index() -> str:
    """The table of all connectors, and the settings that they share."""
    lines = [
        "| connector | what it does | attributes | deleted audience |",
        "|---|---|---|---|",
    ]
    for name in CONNECTORS:
        connector = connector_class(name)
        attributes = "yes" if connector.takes_attributes else "no"
        deleted = DELETIONS[connector.on_audience_delete]
        lines.append(f"| [`{name}`]({name}.md) | {connector.summary} | {attributes} | {deleted} |")
    every = settings_of(OutputSettings)
    http = [one for one in settings_of(HttpSettings) if one.name not in OutputSettings.model_fields]
    lines += ["", "## Shared settings", "", *_table(every)]
    lines += ["", "## Shared settings over HTTP", "", "Those above, and:", "", *_table(http)]
    return "\n".join(lines) + "\n"


def put(text: str, made: str) -> str:
    """A page with its made part."""
    before, _, rest = text.partition(BEGIN)
    _old, _, behind = rest.partition(END)
    return before + BEGIN + made + END + behind


def part_of(text: str) -> str:
    """The made part as it stands in a page."""
    (part,) = re.findall(f"{BEGIN}(.*?){END}", text, re.DOTALL)
    return str(part)


def _is_http(connector: type[AnyConnector]) -> bool:
    return issubclass(connector.output_settings, HttpSettings)


def _facts(connector: type[AnyConnector]) -> Iterator[str]:
    identities = "every type"
    if connector.identities is not None:
        identities = ", ".join(f"`{one}`" for one in sorted(connector.identities))
    yield "| | |"
    yield "|---|---|"
    yield f"| pattern | {connector.pattern}: {PATTERNS[connector.pattern]} |"
    yield f"| identities | {identities} |"
    yield f"| shared attributes | {'yes' if connector.takes_attributes else 'no'} |"
    yield f"| sent after | {batching_words(connector)} |"
    if (rate := rate_words(connector)) is not None:
        yield f"| at most | {rate} |"
    yield f"| deleted audience | {DELETIONS[connector.on_audience_delete]} |"
    if connector.extra is not None:
        yield f"| needs | `pip install 'cdp-stream[{connector.extra}]'` |"


def _table(settings: list[Setting]) -> list[str]:
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for one in settings:
        kind = f"{one.type}, **secret**" if one.secret else one.type
        default = "required" if one.required else _code(one.default)
        rows.append(f"| `{one.name}` | {kind} | {default} | {one.description} |")
    return rows


def _code(text: Any) -> str:
    return f"`{text}`" if text else ""


def main() -> None:
    """Write the made parts."""
    for name in CONNECTORS:
        page = FOLDER / f"{name}.md"
        page.write_text(put(page.read_text(), made_part(name)))
    index = FOLDER / "README.md"
    index.write_text(put(index.read_text(), made_index()))


if __name__ == "__main__":
    main()

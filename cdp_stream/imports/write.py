"""A converted definition as a definition file of ours, with its notes as comments.

Source: docs/importing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import Any

from cdp_stream.definitions.yaml_text import yaml_text
from cdp_stream.imports.convert import Converted


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


def written(converted: Converted, frame: Frame) -> str:
    """The definition file."""
    lines = [f"Imported from {_one_line(frame.source)}, a definition of mParticle's audience-sdk."]
    if converted.left_out:
        lines.append(
            "Something was left out, so the audience is a draft: complete it, then delete `status`."
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
            parts.append(f"\n{key}:\n{indent(yaml_text(value), '  ')}")
        else:
            parts.append(f"{key}: {value}\n")
    return "".join(parts)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))

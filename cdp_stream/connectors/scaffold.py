"""Writes the first files of a new connector from `starter/`: a connector that works, and its test.

Source: docs/connectors/writing.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

from cdp_stream.connectors.registry import CONNECTORS
from cdp_stream.errors import DiskError, UsageError

__all__ = ["class_name", "scaffold"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST: Final = 40


def class_name(name: str) -> str:
    """`acme-mail` -> `AcmeMail`."""
    return "".join(word.capitalize() for word in name.split("-"))


def scaffold(name: str, directory: Path) -> list[Path]:
    """Write the two files: in a checkout of cdp-stream to their places, elsewhere side by side.

    Returns:
        What was written.

    Raises:
        UsageError: the name cannot be one, or is in use, or a file is there; nothing is written.
        DiskError: the files cannot be written.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"`{name}` cannot be a connector's name",
            f"write small letters, digits and single dashes, a letter first, at most {_LONGEST}",
        )
    if name in CONNECTORS:
        raise UsageError(f"there is a connector `{name}` already", "choose another name")
    files = dict(_files(name, directory))
    existing = [str(path) for path in files if path.exists()]
    if existing:
        raise UsageError(
            f"{' and '.join(existing)} would be overwritten", "move it away, or choose another name"
        )
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiskError(
            f"{error.filename or directory} cannot be written: {error.strerror}",
            "name a directory that you may write to with --directory",
        ) from error
    return list(files)


def _files(name: str, directory: Path) -> Iterator[tuple[Path, str]]:
    file_name = name.replace("-", "_")
    own = directory / "cdp_stream" / "connectors"
    is_checkout = (own / "registry.py").exists()
    module = f"cdp_stream.connectors.partners.{file_name}" if is_checkout else file_name
    words = {
        "name": name,
        "title": name.replace("-", " ").title(),
        "class_name": class_name(name),
        "module": module,
    }
    tests = directory / "tests" / "connectors" if is_checkout else directory
    templates = resources.files("cdp_stream.connectors") / "starter"
    for template, path in (
        ("connector.py.txt", (own / "partners" if is_checkout else directory) / f"{file_name}.py"),
        ("test.py.txt", tests / f"test_{file_name}.py"),
    ):
        text = (templates / template).read_text(encoding="utf-8")
        yield path, Template(text).substitute(words)

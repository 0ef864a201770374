"""The table of packages in docs/architecture.md, made from import-linter's layers.

`python -m tests.docs.module_table` writes it anew into the page.
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.docs.console import ROOT

PAGE = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- from the contracts: begin -->\n", "<!-- from the contracts: end -->\n"
_LAYERS = "the layers point one way"
_START = re.compile(r"[Ss]tart reading at `+([^`]+)`+")


@dataclass(frozen=True)
class Package:
    """A package or module of a layer.

    Attributes:
        name: Its dotted name.
        decides: The first sentence of its docstring.
        start: The file below it that its docstring names for a first reading; None for a module.
    """

    name: str
    decides: str
    start: str | None

    @property
    def path(self) -> Path:
        """Its folder or file, below the root of the project."""
        path = Path(*self.name.split("."))
        return path if (ROOT / path).is_dir() else path.with_suffix(".py")


def layers() -> list[list[str]]:
    """Names of packages and modules, layer by layer, the one that imports all others first."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [one for one in linter["contracts"] if one["name"] == _LAYERS]
    return [[part.strip(" ()") for part in re.split(r"[|:]", one)] for one in contract["layers"]]


def package(name: str) -> Package:
    """What a package's own docstring states about it."""
    path = ROOT / Path(*name.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(source.read_text("utf-8"))) or ""
    start = _START.search(docstring)
    first = re.split(r"[.;]\s", docstring.replace("\n", " ") + " ")[0] + "."
    return Package(name, first, start[1] if start else None)


def parts(found: Package) -> list[Package]:
    """The packages inside of a package."""
    folder = ROOT / found.path
    inner = sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    return [package(f"{found.name}.{name}") for name in inner]


def made_table() -> str:
    """The packages by layer, the one that imports nothing first, each with those inside of it."""
    lines = ["| layer | package | what it is for | start reading at |", "|---|---|---|---|"]
    for number, names in enumerate(reversed(layers())):
        for found in map(package, sorted(names)):
            lines += [_row(str(number), found), *(_row("", part) for part in parts(found))]
    return "\n".join(lines) + "\n"


def _row(layer: str, found: Package) -> str:
    path = f"`{found.path.as_posix()}`" if found.path.suffix else f"`{found.path.as_posix()}/`"
    start = f"[`{found.start}`](../{found.path / found.start})" if found.start else ""
    return f"| {layer} | {path} | {found.decides} | {start} |"


def part_of(page: str) -> str:
    """The generated part of the page."""
    return page.split(BEGIN)[1].split(END, maxsplit=1)[0]


def main() -> None:
    """Write the table into the page."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + made_table() + END + rest.split(END)[1])


if __name__ == "__main__":
    main()

"""import-linter names what the core must not import; this names all that it may."""

import ast
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CORE = sorted((CHECKOUT / "cdp_stream" / "core").rglob("*.py"))


def imported(source: str) -> set[str]:
    """The modules that a module imports, by their whole names."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def is_allowed(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in sys.stdlib_module_names or name.startswith(
        ("cdp_stream.core", "cdp_stream.errors")
    )


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_the_core_imports_the_standard_library_only(path):
    assert {name for name in imported(path.read_text("utf-8")) if not is_allowed(name)} == set()


def test_what_is_not_allowed_is_seen():
    found = imported("import orjson\nfrom cdp_stream.kafka import worker\nimport re\n")
    assert {name for name in found if not is_allowed(name)} == {"orjson", "cdp_stream.kafka"}

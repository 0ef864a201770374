"""How tests are laid out: what holds of all of them, whoever wrote them."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST_NAME = 80
MODULES = sorted(TESTS.rglob("*.py"))


def place(path: Path) -> str:
    return str(path.relative_to(TESTS.parent))


def imported(path: Path) -> set[str]:
    """The names that a module imports, and the modules from which."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_no_module_imports_a_test_module():
    """What two of them need is in a module beside them, or a fixture."""
    found = {place(path): imported(path) for path in MODULES}
    test_modules = {
        path: {name for name in names if re.match(r"tests(\.\w+)*\.test_", name)}
        for path, names in found.items()
    }
    assert {path: names for path, names in test_modules.items() if names} == {}


def test_the_name_of_a_test_is_a_sentence_of_at_most_80_characters():
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, functions) and node.name.startswith("test_")
    ]
    assert [name for name in names if len(name) > LONGEST_NAME] == []
    assert [name for name in names if name.count("_") < 2] == []

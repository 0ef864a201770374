"""docs/sinks.md explains every code of a fault."""

import ast
import re

from tests.docs.console import ROOT


def codes_in(tree):
    """The third argument of each `Fault(...)` or `_fault(...)`, and what is logged without one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        named = [one.value for one in node.keywords if one.arg == "code"]
        if node.func.id in {"Fault", "_fault"}:
            named += node.args[2:]
        elif node.func.id != "log":
            continue
        yield from (one.value for one in named if isinstance(one, ast.Constant))


def test_every_code_is_explained():
    page = (ROOT / "docs/sinks.md").read_text()
    table = page.partition("| `code` in the log | |\n")[2].partition("\n\n")[0]
    explained = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| [^|]+ \|", table, re.M))))
    sources = [*ROOT.glob("cdp_stream/sinks/*.py"), *ROOT.glob("cdp_stream/connectors/*.py")]
    used = {code for path in sources for code in codes_in(ast.parse(path.read_text()))}
    assert explained == used | {"refused"}
    assert len(used) > 5

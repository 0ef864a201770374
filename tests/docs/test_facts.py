"""docs/operations.md lists every fact that the log may have."""

import ast
import re

from tests.docs.console import ROOT

OF_LIBRARIES = "library"
"""What aiokafka and others log."""
OF_ANY_MODULE = {"log", "Tallied"}
PASSED_ON = {"fact", "self._fact"}
"""What those write who were given a fact."""


def writers(nodes):
    """Names of a module's own functions that are given a fact first."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            arguments = [one.arg for one in node.args.args if one.arg != "self"]
            if arguments[:1] == ["fact"] and node.name != "__init__":
                yield node.name


def facts_in(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    named = OF_ANY_MODULE | set(writers(nodes))
    for call in nodes:
        if not isinstance(call, ast.Call) or not call.args:
            continue
        function = ast.unparse(call.func)
        if function.removeprefix("self.") in named:
            yield call.args[0]


def test_every_fact_is_listed_and_no_other():
    written = [fact for path in ROOT.glob("cdp_stream/**/*.py") for fact in facts_in(path)]
    known = {fact.value for fact in written if isinstance(fact, ast.Constant)}
    others = {ast.unparse(fact) for fact in written if not isinstance(fact, ast.Constant)}
    assert others == PASSED_ON
    page = (ROOT / "docs/operations.md").read_text()
    table = page.partition("### Facts\n")[2].partition("\n#")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted(known | {OF_LIBRARIES})
